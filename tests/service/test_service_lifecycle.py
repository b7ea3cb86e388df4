"""The life of a release: migrations, seeds, configuration, migration under load, shutdown under load."""

import json
import shutil
import threading
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

import psycopg
import pytest

from tests.service.shapes import expect_problem
from tests.service.support import Image, Postgres, Service, serve, stop, wait_until
from tests.service.users import ALICE, BOB, SECRET, Person, log_in

pytestmark = pytest.mark.soak  # the images are fixed: their digests are in recorded evidence
_NUMBERS = count()


@pytest.fixture
def fresh(cluster: Postgres, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment with a new, empty database."""
    return {**environment, "DATABASE_URL": cluster.database(f"fresh{next(_NUMBERS)}")}


def rows(environment: dict[str, str], statement: str) -> list[tuple[object, ...]]:
    """Return a query's rows."""
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_release_may_run_any_number_of_times(images: dict[str, Image], fresh: dict[str, str], version: str) -> None:
    query = "SELECT (SELECT array_agg(version) FROM schema_migrations), array_agg(users.* ORDER BY email) FROM users"
    assert images[version].release(fresh)[0] == 0
    first = rows(fresh, query)
    code, output = images[version].release(fresh)
    assert (code, output) == (0, "")
    assert rows(fresh, query) == first


def test_releases_at_once_do_not_collide(images: dict[str, Image], fresh: dict[str, str]) -> None:
    with TemporaryFile() as log, ExitStack() as cleaning:
        running = [images[version].start("release", fresh, log) for version in ("1.0.0", "1.1.0", "1.0.0", "1.1.0")]
        for process in running:
            cleaning.callback(stop, process)
        codes = [process.wait(20) for process in running]
        log.seek(0)
        assert codes == [0] * 4, log.read()
    assert rows(fresh, "SELECT count(*) FROM users") == [(2,)]
    assert rows(fresh, "SELECT count(*) FROM schema_migrations") == [(2,)]


def test_older_release_runs_after_a_newer_migration(images: dict[str, Image], fresh: dict[str, str]) -> None:
    assert images["1.1.0"].release(fresh)[0] == 0
    assert images["1.0.0"].release(fresh)[0] == 0
    assert len(rows(fresh, "SELECT version FROM schema_migrations")) == 2


def test_changed_or_failing_migration_changes_nothing(
    images: dict[str, Image], fresh: dict[str, str], tmp_path: Path
) -> None:
    assert images["1.0.0"].release(fresh)[0] == 0
    image = Image(Path(shutil.copytree(images["1.1.0"].folder, tmp_path / "image")))
    (image.folder / "migrations" / "0003_wrong.sql").write_text("CREATE TABLE kept (); SELECT 1 / 0")
    code, output = image.release(fresh)
    assert (code, "release failed: division by zero" in output) == (1, True)
    assert rows(fresh, "SELECT to_regclass('kept'), count(*) FROM schema_migrations") == [(None, 1)]

    (image.folder / "migrations" / "0001_users_and_consults.sql").write_text("SELECT 1")
    code, output = image.release(fresh)
    assert (code, "0001_users_and_consults was changed" in output) == (1, True)


def test_seeding_updates_only_a_changed_password(images: dict[str, Image], fresh: dict[str, str]) -> None:
    def hashes() -> dict[object, object]:
        return dict[object, object](rows(fresh, "SELECT email, password_hash FROM users"))  # type: ignore[arg-type]  # pairs

    assert images["1.0.0"].release(fresh)[0] == 0
    before = hashes()
    changed = [ALICE.as_json(), Person(BOB.email, "another").as_json()]
    assert images["1.0.0"].release({**fresh, "SEED_USERS": json.dumps(changed)})[0] == 0
    after = hashes()
    assert all(str(stored).startswith("$argon2id$") for stored in after.values())
    assert before[ALICE.email] == after[ALICE.email]
    assert before[BOB.email.lower()] != after[BOB.email.lower()]


WRONG: list[tuple[str, str, str, str | None]] = [
    ("1.1.0", "web", "REDIS_HOST", None),
    ("1.0.0", "web", "JWT_SECRET", ""),
    ("1.1.0", "web", "RATE_LIMIT_MAX_REQUESTS", "-1"),
    ("1.0.0", "web", "DATABASE_URL", "canary-db-password@nowhere"),
    ("1.1.0", "release", "DATABASE_URL", None),
    ("1.0.0", "release", "SEED_USERS", '[{"email": "a@b.c", "password": "canary'),
    ("1.1.0", "release", "SEED_USERS", '{"canary": 1}'),
]


def test_wrong_configuration_is_one_clear_line(images: dict[str, Image], environment: dict[str, str]) -> None:
    with ExitStack() as cleaning:
        running = []  # concurrent: each spends half a second on imports
        for version, command, name, value in WRONG:
            changed = {**environment, "PORT": "1024", name: value}
            settings = {key: text for key, text in changed.items() if text is not None}
            log = cleaning.enter_context(TemporaryFile())
            process = images[version].start(command, settings, log)
            cleaning.callback(stop, process)
            running.append((name, process, log))
        for name, process, log in running:
            assert process.wait(20) == 2
            log.seek(0)
            output = log.read().decode()
            assert output.startswith(f"telehealth-api: the environment variable {name} ")
            assert output.count("\n") == 1
            assert "canary" not in output


def test_the_older_colour_keeps_serving_while_the_newer_migrates(
    images: dict[str, Image], fresh: dict[str, str], tmp_path: Path
) -> None:
    assert images["1.0.0"].release(fresh)[0] == 0
    with serve(images["1.0.0"], fresh, tmp_path / "log") as service:
        caller, statuses, done = log_in(service, ALICE), list[int](), threading.Event()

        def load() -> None:
            body = {"patient": "p", "reason": "r", "starts_at": "2030-01-01T10:00:00Z"}
            while not done.is_set():
                created = caller.request("POST", "/consults", body)
                statuses.extend([created.status_code, caller.request("GET", "/consults").status_code])

        thread = threading.Thread(target=load)
        thread.start()
        try:
            wait_until(lambda: len(statuses) > 10, "load")
            assert images["1.1.0"].release(fresh)[0] == 0
            seen = len(statuses)
            wait_until(lambda: len(statuses) > seen + 20, "load after the migration")
        finally:
            done.set()
            thread.join()
    assert set(statuses) == {200, 201}
    assert rows(fresh, "SELECT count(*) FROM consults") == [(len(statuses) // 2,)]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_sigterm_lets_requests_in_flight_finish(
    images: dict[str, Image], environment: dict[str, str], colours: dict[str, Service], version: str, tmp_path: Path
) -> None:
    with serve(images[version], environment, tmp_path / "log") as service:
        clients = [HTTPConnection("127.0.0.1", service.port, timeout=10) for _ in range(12)]
        try:
            for client in clients:  # after a first answer on each, the server has accepted all of them
                client.request("GET", "/health")
                assert client.getresponse().read()
            for client in clients:  # twelve hashes on two threads: most wait
                client.request("POST", "/auth/login", json.dumps(ALICE.as_json()))
            statuses = [clients[0].getresponse().status]
            service.process.terminate()
            statuses += [client.getresponse().status for client in clients[1:]]
        finally:
            for client in clients:
                client.close()
        assert statuses == [200] * 12
        assert stop(service.process) == 0


def test_unexpected_failure_is_a_500_without_details(
    images: dict[str, Image], fresh: dict[str, str], tmp_path: Path
) -> None:
    with serve(images["1.0.0"], fresh, tmp_path / "log") as service:  # its database has no tables
        response = service.client.post("/auth/login", json=ALICE.as_json())
        expect_problem(response, 500)
        assert set(response.json()) == {"type", "title", "status"}
        assert service.client.get("/health").status_code == 200
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (failure,) = [line for line in lines if line["message"] == "unexpected exception"]
    assert failure["exception"] == "UndefinedTable"
    assert ALICE.password not in json.dumps(lines)


def test_logs_contain_requests_but_no_secret(service: Service) -> None:
    caller = log_in(service, ALICE)
    booked = caller.book("canary-reason", patient="canary-patient")
    caller.request("GET", "/consults?cursor=canary-cursor")
    caller.request("DELETE", f"/consults/{booked['id']}")
    service.client.post("/auth/login", content=b'{"password": "canary-cut')
    wait_until(lambda: f"/consults/{booked['id']}" in service.log.read_text(), "logged")
    text = service.log.read_text()
    for secret in ("canary", SECRET, caller.token, caller.token.split(".")[2], "argon2id"):
        assert secret not in text
    assert {"method", "path", "status", "ms"} <= set(json.loads(text.splitlines()[-1]))

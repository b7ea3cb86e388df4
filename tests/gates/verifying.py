"""The shipped checks, run with ``pytest --base-url=URL``, as a QA engineer does, against one release that runs as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deployment.settings import load
from infrastructure.description import service_of
from tests.checkout import SETTINGS_FILE
from tests.e2e.images import REPOSITORY, Fault, make_registry
from tests.gates import fake_environment
from tests.service.support import Image, Postgres, Service, free_port, postgres, serve, stop, valkey
from tests.service.users import ALICE, BOB, SECRET
from verification.stores.connections import Before, before
from verification.stores.queues import takers

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONAL = ("health", "database", "redis", "auth", "endpoints", "bystander", "continuity", "rehearsal")
OLD = "1.0.0"
# The live domain, as the front door names it to a colour; no process listens there.
LIVE_URL = "http://live.telehealth.localhost:8080"
LONGEST_RUN_S = 120


def changed_settings(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the shipped settings with these words replaced, each of which must occur exactly once; return the file."""
    text = SETTINGS_FILE.read_text(encoding="utf-8")
    service = ('service = "', f'service = "{ROOT}/')  # the shipped file's path is relative to that file
    for word, other in (*changes, service):
        assert text.count(word) == 1, word
        text = text.replace(word, other)
    path = folder / "deployment.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed_description(folder: Path, word: str, other: str) -> Path:
    """Write the shipped settings and description of the service, the latter with a word replaced; return the settings' file."""
    text = (ROOT / "suites" / "service.yaml").read_text(encoding="utf-8")
    assert text.count(word) == 1, word
    described = folder / "service.yaml"
    contract = f"contract: {ROOT}/suites/contract/"
    described.write_text(text.replace("contract: contract/", contract).replace(word, other), encoding="utf-8")
    path = folder / "deployment.toml"
    shipped = SETTINGS_FILE.read_text(encoding="utf-8")
    path.write_text(shipped.replace('service = "suites/service.yaml"', f'service = "{described}"'), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Verified:
    """The result of a run: exit code, output, the outcome of each gate, and each failing check with its message."""

    code: int
    output: str
    gates: Mapping[str, str]
    failures: Mapping[str, str]

    def failing(self, gate: str) -> list[str]:
        """Return the messages of a gate's failing checks."""
        of = (f"suites.{gate}.", f"suites.service.yaml.{gate}::")
        return [text for name, text in self.failures.items() if name.startswith(of)]


@dataclass(frozen=True)
class Bench:
    """The servers that releases run on: one database, one Valkey, one signing secret."""

    folder: Path
    cluster: Postgres
    environment: Mapping[str, str]
    users: Sequence[Mapping[str, str]]
    stores: Mapping[str, str | None]

    def image(self, fault: Fault | None) -> Image:
        """Return the image of 1.1.0 with this fault, or of the good 1.1.0."""
        name = "good" if fault is None else fault.name
        place = self.folder / name
        if not place.exists():
            make_registry(place, () if fault is None else (fault,))
        return Image(place / REPOSITORY / ("1.1.0" if fault is None else fault.tag))

    @contextmanager
    def serving(self, fault: Fault | None, restarts: bool = False, **variables: str) -> Iterator[Service]:
        """Run the release until the block ends; with ``restarts``, start it again whenever it exits."""
        image, log = self.image(fault), self.folder / "service.log"
        with serve(image, {**self.environment, **variables}, log) as service:
            if not restarts:
                yield service
                return
            with _restarted_when_it_ends(image, {**self.environment, **variables}, service, log):
                yield service

    def with_own_database(self, name: str) -> Bench:
        """Return the same servers with a new database at 1.1.0, for a release that changes the schema."""
        url = self.cluster.database(name.replace("-", "_"))
        own = {**self.environment, "DATABASE_URL": url}
        made = replace(self, environment=own, stores={**self.stores, "database": url})
        made.migrate(None)
        return made

    def migrate(self, fault: Fault | None) -> None:
        """Run the release's migrations, as its image does before it serves."""
        code, output = self.image(fault).release(self.environment)
        assert code == 0, output

    def snapshot(self) -> Before:
        """Return the state of database and Redis, as a deployment records it before it starts a release."""
        url, statement = self.environment["DATABASE_URL"], service_of(load(SETTINGS_FILE)).stores["database"]["rows"]
        seen, redis = before(url, statement, [user["email"] for user in self.users]), self.stores["redis"]
        taking = takers(redis) if redis else None
        return replace(seen, takers=taking and taking[1])

    @contextmanager
    def live(self) -> Iterator[Service]:
        """Run 1.0.0 as the live colour, on the same database and Valkey, until the block ends."""
        image = Image(self.image(None).folder.parent / OLD)
        with serve(image, self.environment, self.folder / "live.log") as service:
            yield service

    def verify(
        self,
        service: Service,
        gates: Sequence[str] = FUNCTIONAL,
        *options: str,
        settings: Path | None = None,
        beside: Service | None = None,
        seen: Before | None = None,
    ) -> Verified:
        """Run these gates' checks against the service, with the shipped settings unless others are given.

        ``beside`` is the live colour, ``seen`` the state of the stores before the release was started.
        """
        facts = {
            "users": list(self.users),
            "token_secret": self.environment["JWT_SECRET"],
            "stores": self.stores,
            "before": None if seen is None else asdict(seen),
            "live_url": LIVE_URL,
            "viewer_host": "x-forwarded-host",
        }
        facts_file = self.folder / "fake-environment.json"
        facts_file.write_text(json.dumps(facts), encoding="utf-8")
        reports = self.folder / "reports"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "EMBEDDED_"))}
        ran = subprocess.run(
            _arguments(service, beside, reports, [*options, *(f"suites/{gate}" for gate in gates)]),
            cwd=ROOT,
            env={
                **inherited,
                fake_environment.FILE: str(facts_file),
                **({fake_environment.SETTINGS: str(settings)} if settings else {}),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins of development take a second to import
                "EMBEDDED_STATE": str(self.folder / "no-environment"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
            check=False,
        )
        return _read(ran.returncode, ran.stdout + ran.stderr, reports / "latest")


def _arguments(service: Service, beside: Service | None, reports: Path, more: Sequence[str]) -> list[str]:
    """Return the command that verifies the service, and compares it with the live colour ``beside`` if there is one."""
    command = [sys.executable, "-m", "pytest", f"--base-url=http://api.telehealth.localhost:{service.port}"]
    command += [f"--reports={reports}", "-q", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    for plugin in ("no:cacheprovider", "tests.gates.fake_environment", "html", "metadata", "xdist"):
        command += ["-p", plugin]
    if beside is not None:
        live = f"http://blue.telehealth.localhost:{beside.port}"
        command += [f"--live-url={live}", f"--expect-version={service.version}"]
    return [*command, *more]


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Run the servers until the block ends, with the database migrated to 1.1.0."""
    folder = Path(tempfile.mkdtemp(prefix="gates-"))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    users = [ALICE.as_json(), BOB.as_json()]
    try:
        for name in ("postgres", "valkey"):
            (folder / name).mkdir()
        port = free_port()
        with postgres(folder / "postgres") as cluster, valkey(folder / "valkey", port):
            environment = {
                "DATABASE_URL": cluster.database("telehealth"),
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(port),
                "JWT_SECRET": SECRET,
                "SEED_USERS": json.dumps(users),
                "CORS_ORIGINS": "https://app.telehealth.com",
            }
            stores = {"database": environment["DATABASE_URL"], "redis": f"redis://127.0.0.1:{port}/0"}
            made = Bench(folder, cluster, environment, users, stores)
            made.migrate(None)
            yield made
    finally:
        shutil.rmtree(folder)


def _read(code: int, output: str, folder: Path) -> Verified:
    assert (folder / "verification.json").exists(), output
    facts = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    failures = {}
    for case in ET.parse(folder / "junit.xml").iter("testcase"):  # noqa: S314 - our own file
        if case.get("classname") == "deployment":  # a step or the verdict, not a check
            continue
        for found in (*case.findall("failure"), *case.findall("error")):
            failures[f"{case.get('classname')}::{case.get('name')}"] = found.get("message", "")
    return Verified(code, output, {gate["name"]: gate["outcome"] for gate in facts["gates"]}, failures)


@contextmanager
def _restarted_when_it_ends(
    image: Image, environment: Mapping[str, str], service: Service, log: Path
) -> Iterator[None]:
    """Start the service again each time that it exits, as a platform does."""
    ending = threading.Event()
    running = [service.process]

    def watch() -> None:
        while not ending.is_set():
            running[-1].wait()
            if not ending.is_set():
                with log.open("ab") as output:
                    running.append(image.start("web", {**environment, "PORT": str(service.port)}, output))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        for process in running:
            stop(process)
        thread.join()

"""An environment that is up: its outputs, its AWS resources, a second `up` and a registry sync."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from infrastructure.embedded import cloud, statelock
from infrastructure.embedded.errors import EmptyRegistry, ImageChanged, NotRunning, StateOwned
from infrastructure.embedded.estate.resources import HEALTH_CHECK
from infrastructure.embedded.layout import Layout, read_environment
from tests.embedded.conftest import SERVED


def live(running: Any, path: str = "/health") -> httpx.Response:
    """Send a request to the live domain; its name cannot be resolved, so it goes to loopback with this Host header."""
    host = running.outputs.live_url.removeprefix("http://")
    port = host.partition(":")[2]
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host}, trust_env=False)


def test_the_live_domain_serves_the_lowest_tag_on_blue(running: Any) -> None:
    answer = live(running)
    assert answer.json()["version"] == "1.0.0"
    assert (answer.headers["x-bg-color"], answer.headers["x-bg-generation"]) == ("blue", "1")


def test_the_release_receives_both_hosts_and_its_secrets_but_no_aws_variables(running: Any) -> None:
    seen = live(running).json()
    assert seen["viewer"] == running.outputs.live_url.removeprefix("http://")
    assert ".awsapprunner.localhost:" in seen["host"]
    assert seen["injected"] == ["DATABASE_URL", "JWT_SECRET", "SEED_USERS"]
    assert seen["aws"] == []


def test_the_service_has_the_health_check_that_lets_a_release_warm_up(running: Any) -> None:
    client = running.client("apprunner")
    (summary,) = client.list_services()["ServiceSummaryList"]
    service = client.describe_service(ServiceArn=summary["ServiceArn"])["Service"]
    assert service["HealthCheckConfiguration"] == {**HEALTH_CHECK, "Path": "/health"}


def test_a_second_up_reports_it_and_changes_nothing(running: Any) -> None:
    lines: list[str] = []
    before = cloud.inspect(running.state)
    assert cloud.up(running.state, Path("/nowhere"), SERVED, progress=lines.append) == running.outputs
    assert lines == [f"already up: {running.outputs.live_url}"]
    assert cloud.inspect(running.state) == before


def test_inspect_lists_every_process(running: Any) -> None:
    found = cloud.inspect(running.state)
    assert found is not None
    assert found.healthy
    assert [process.name for process in found.processes] == ["postgres", "valkey", "moto", "caddy", "endpoint"]
    assert len(found.instances) == 1


def test_the_outputs_file_is_readable_by_its_owner_only(running: Any) -> None:
    file = running.state / "outputs.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["services"]["green"] == "embedded-telehealth-api-green"
    assert cloud.outputs(running.state) == running.outputs
    assert running.outputs.credentials.secret_access_key not in repr(running.outputs)


def test_no_secret_is_in_a_log_or_an_argv(running: Any) -> None:
    known = json.loads((running.state / "secrets.json").read_text())
    values = [value for value in known.values() if isinstance(value, str)] + known["smoke_users"]
    found = cloud.inspect(running.state)
    assert found is not None
    texts = [path.read_text(errors="replace") for path in (running.state / "logs").rglob("*") if path.is_file()]
    texts += [Path(f"/proc/{process.pid}/cmdline").read_text() for process in found.processes]
    assert texts
    assert not [name for name in known if any(value in text for value in values for text in texts)]


def test_ecr_holds_the_images_with_their_manifests_digests(running: Any) -> None:
    ecr = running.client("ecr")
    answer = ecr.batch_get_image(
        repositoryName=running.outputs.repository, imageIds=[{"imageTag": "1.0.0"}, {"imageTag": "1.1.0"}]
    )
    assert len(answer["images"]) == 2
    for image in answer["images"]:
        digest = f"sha256:{hashlib.sha256(image['imageManifest'].encode()).hexdigest()}"
        assert image["imageId"]["imageDigest"] == digest
        version = json.loads(image["imageManifest"])["annotations"]["org.opencontainers.image.version"]
        assert version == image["imageId"]["imageTag"]
        assert (running.state / "images" / digest.replace(":", "-") / "content" / "VERSION").exists()


def test_secrets_manager_holds_the_services_secrets(running: Any) -> None:
    manager = running.client("secretsmanager")
    values = {
        name: manager.get_secret_value(SecretId=arn)["SecretString"] for name, arn in running.outputs.secrets.items()
    }
    users = json.loads(values["smoke_users"])
    assert [sorted(user) for user in users] == [["email", "password"]] * 2
    assert values["signing_key"].startswith("-----BEGIN PRIVATE KEY-----")
    with psycopg.connect(values["database_url"]) as connection:
        row = connection.execute("select current_user, usesuper from pg_user where usename = current_user").fetchone()
    assert row == ("service", False)


def test_the_database_refuses_a_login_without_a_password(running: Any) -> None:
    found = cloud.inspect(running.state)
    assert found is not None
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{found.processes[0].port}/postgres", connect_timeout=5)


def test_the_key_value_store_has_its_initial_content(running: Any) -> None:
    store = running.client("cloudfront-keyvaluestore")
    arn = running.outputs.key_value_store_arn
    values = {item["Key"]: item["Value"] for item in store.list_keys(KvsARN=arn)["Items"]}
    assert (values["active"], values["generation"]) == ("blue", "1")
    assert json.loads(values["weights"]) == {"blue": 100, "green": 0}
    assert ".awsapprunner.localhost:" in values["origin.blue"]


def test_a_new_tag_is_pushed_and_a_changed_one_refused(running: Any, image: Callable[..., Path]) -> None:
    folder = image(running.registry, "1.2.0")
    try:
        assert cloud.sync_registry(running.state) == ["1.2.0"]
        assert cloud.sync_registry(running.state) == []
        (folder / "serve.py").write_text("# other content\n")
        image(running.registry, "1.3.0")
        with pytest.raises(ImageChanged, match=r"1\.2\.0") as refused:
            cloud.sync_registry(running.state)
        assert refused.value.tag == "1.2.0"
        details = running.client("ecr").describe_images(repositoryName="telehealth-api")["imageDetails"]
        assert "1.3.0" not in [tag for detail in details for tag in detail["imageTags"]]
    finally:
        for tag in ("1.2.0", "1.3.0"):
            shutil.rmtree(running.registry / "telehealth-api" / tag, ignore_errors=True)


def test_a_missing_registry_folder_is_refused(running: Any) -> None:
    hidden = running.registry.with_name("hidden")
    os.rename(running.registry, hidden)
    try:
        with pytest.raises(EmptyRegistry):
            cloud.sync_registry(running.state)
    finally:
        os.rename(hidden, running.registry)


def test_without_an_environment_there_is_nothing_to_report(tmp_path: Path) -> None:
    assert cloud.inspect(tmp_path / "none") is None
    assert cloud.outputs(tmp_path / "none") is None
    assert not cloud.down(tmp_path / "none")
    with pytest.raises(NotRunning, match=r"deploy\.py up"):
        cloud.sync_registry(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_environment_that_is_removed_while_the_push_waits_stays_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push has seen it and waits for the lock; `down` ends. No file is left, above all no new passwords."""
    monkeypatch.setattr(cloud, "outputs", lambda _: object())
    with pytest.raises(NotRunning, match=r"deploy\.py up"):
        cloud.sync_registry(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_a_run_that_began_while_down_waited_keeps_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` found no run and waited for the lock; the run was about to create its environment."""
    (tmp_path / "kept").touch()

    def owned(_: Layout) -> None:
        raise StateOwned(tmp_path, "20261129-120000-green-abc123", 4711, "12:00")

    monkeypatch.setattr(statelock, "refuse_strangers", owned)
    with pytest.raises(StateOwned):
        cloud.down(tmp_path, under_a_run=False)
    assert (tmp_path / "kept").exists()
    assert not cloud.down(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"run": "a-run"}', '{"run": 1, "pid": "x", "started_at": 0, "since": ""}'])
def test_a_damaged_record_of_an_owner_stops_no_command(tmp_path: Path, text: str) -> None:
    Layout(tmp_path).owner.write_text(text)
    cloud.refuse_strangers(tmp_path)
    assert not cloud.down(tmp_path, under_a_run=False)


def test_a_store_that_is_no_longer_declared_keeps_running(running: Any) -> None:
    """Its instances may still use it: the running release was deployed with its address."""
    assert cloud.up(running.state, running.registry, replace(SERVED, stores=())) == running.outputs
    found = cloud.inspect(running.state)
    assert found is not None
    assert {"postgres", "valkey"} <= {one.name for one in found.processes if one.answers}


def test_an_environment_of_an_earlier_version_has_every_store(running: Any) -> None:
    layout = Layout(running.state)
    document = json.loads(layout.environment.read_text())
    written = layout.environment.read_text()
    del document["served"]["stores"]
    try:
        layout.environment.write_text(json.dumps(document))
        found = read_environment(layout)
    finally:
        layout.environment.write_text(written)
    assert found is not None
    assert found.served.stores == ("database", "redis")

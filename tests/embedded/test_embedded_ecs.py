"""An environment on ECS: its resources, its repair, and the limit of one platform per folder."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.errors import StatePlatform
from infrastructure.embedded.estate.ecs import GRACE_S
from tests.embedded.conftest import SERVED, Running, make_image
from tests.embedded.test_embedded_repair import eventually, same_outputs, the


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Start one environment on ECS for this file, with 1.0.0 live."""
    parent = Path(tempfile.mkdtemp(prefix="embedded-test-"))
    parent.chmod(0o755)
    for tag in ("1.0.0", "1.1.0"):
        make_image(parent / "registry", tag)
    try:
        outputs = cloud.up(parent / "state", parent / "registry", SERVED, platform="ecs")
        yield Running(parent / "state", parent / "registry", outputs)
    finally:
        cloud.down(parent / "state")
        shutil.rmtree(parent)


def ask(url: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send GET /health to a URL; return status, headers in lower case and JSON body."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection("127.0.0.1", int(host.rpartition(":")[2]), timeout=10)
    try:
        connection.request("GET", "/health", headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, json.loads(body) if body else {}
    finally:
        connection.close()


def test_the_live_domain_answers_and_names_no_colour(running: Running) -> None:
    status, headers, seen = ask(running.outputs.live_url)
    assert (status, seen["version"], seen["viewer"]) == (200, "1.0.0", None)
    assert f"http://{seen['host']}" == running.outputs.live_url, "the viewer's own host"
    assert seen["injected"] == ["DATABASE_URL", "JWT_SECRET", "SEED_USERS"]
    assert seen["aws"] == []
    assert not [name for name in headers if name.startswith("x-")]


def test_each_colour_has_an_address_of_its_own(running: Running) -> None:
    urls = running.outputs.colour_urls
    assert ask(urls["blue"])[2]["version"] == "1.0.0"
    assert ask(urls["green"])[0] == 503, "no task runs there yet"


def test_the_estate_matches_the_outputs(running: Running) -> None:
    outputs, ecs = running.outputs, running.client("ecs")
    services = ecs.describe_services(cluster=outputs.cluster, services=list(outputs.services.values()))["services"]
    assert [(one["desiredCount"], one["runningCount"]) for one in services] == [(1, 1), (0, 0)]
    assert [one["healthCheckGracePeriodSeconds"] for one in services] == [GRACE_S] * 2
    rule = running.client("elbv2").describe_rules(RuleArns=[outputs.listener_rule_arn])["Rules"][0]
    weights = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert {one["TargetGroupArn"]: one["Weight"] for one in weights} == {
        outputs.target_groups["blue"]: 100,
        outputs.target_groups["green"]: 0,
    }


@pytest.mark.parametrize(
    "name",
    ["endpoint", *(pytest.param(name, marks=pytest.mark.soak) for name in ("instance", "caddy", "moto", "postgres"))],
)
def test_up_repairs_a_killed_process(running: Running, name: str) -> None:
    victim = the(running, name)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: the(running, name).pid != victim.pid)
    assert same_outputs(cloud.up(running.state, Path("/nowhere"), SERVED, platform="ecs"), running.outputs)
    found = cloud.inspect(running.state)
    assert found is not None
    assert found.healthy
    assert ask(running.outputs.live_url)[2]["version"] == "1.0.0"


@pytest.mark.soak
def test_up_repairs_the_environment_after_all_processes_were_killed(running: Running) -> None:
    found = cloud.inspect(running.state)
    assert found is not None
    for pid in {process.pid for process in (*found.processes, *found.instances)}:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: cloud.inspect(running.state) is None)
    cloud.up(running.state, running.registry, SERVED, platform="ecs")
    assert ask(running.outputs.live_url)[2]["version"] == "1.0.0"


def test_a_folder_holds_one_platform_at_a_time(running: Running) -> None:
    for call in (
        lambda: cloud.up(running.state, running.registry, SERVED),
        lambda: cloud.up_for("a-run", running.state, running.registry, SERVED),
    ):
        with pytest.raises(StatePlatform, match=r"is on platform 'ecs', and 'apprunner' was asked for"):
            call()
    assert ask(running.outputs.live_url)[0] == 200


@pytest.mark.soak
def test_both_platforms_run_side_by_side_in_two_folders(running: Running) -> None:
    other = running.state.parent / "other"
    try:
        outputs = cloud.up(other, running.registry, SERVED)
        assert ask(outputs.live_url)[1]["x-bg-color"] == "blue"
        assert "x-bg-color" not in ask(running.outputs.live_url)[1]
        assert ask(running.outputs.live_url)[0] == 200
    finally:
        cloud.down(other)
    assert ask(running.outputs.live_url)[0] == 200

"""The values that fixtures give to checks, and on which process and in which order checks run, with and without workers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugins.project import PROMOTED, Project

TRACE = """
    import json, os, time
    import pytest
    from pathlib import Path

    TRACE = Path({folder!r})

    def trace(name, **facts):
        facts |= {{"name": name, "worker": os.environ.get("PYTEST_XDIST_WORKER", "main"), "at": time.monotonic()}}
        with (TRACE / "trace.txt").open("a") as file:
            file.write(json.dumps(facts, default=str) + chr(10))

    @pytest.fixture(scope="module")
    def of_module(request):
        trace("setup", module=request.module.__name__)
        yield
        trace("teardown", module=request.module.__name__)
"""
MEASURES = """
    @pytest.mark.parametrize("number", range(3))
    def test_measures(client, number):
        trace("begin", gate="{gate}")
        assert client.get("/health").status_code == 200
        trace("end", gate="{gate}")
"""
SEES = """
    from dataclasses import asdict

    def shown(release):
        return {name: getattr(release, name) for name in ("url", "version", "colour", "image", "digest")}

    def test_sees(client, candidate, live, lease, promoted, baked, provisioned, of_module):
        assert client.get("/health").json()["version"] == promoted.version
        trace("sees", candidate=shown(candidate), live=shown(live), lease=asdict(lease),
              promoted=shown(promoted), baked=asdict(baked), same=provisioned == candidate)

    @pytest.mark.parametrize("number", range(3))
    def test_more(client, promoted, number, of_module):
        assert client.get("/health").status_code == 200
"""


def traced(project: Project, *args: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a good deployment; return what its checks traced, and the report."""
    head = TRACE.format(folder=str(project.facts.folder))
    for gate in ("latency", "load"):
        project.suite(gate, head + MEASURES.format(gate=gate))
    project.suite("live", head + SEES)
    run = project.run(*args)
    assert run.result == PROMOTED, run.output
    lines = (project.facts.folder / "trace.txt").read_text().splitlines()
    return [json.loads(line) for line in lines], run.report


@pytest.mark.parametrize(
    "args",
    [
        ("-n0",),
        ("-n2", "--dist=worksteal"),
        pytest.param(("-n4", "--dist=worksteal"), marks=pytest.mark.soak),
        pytest.param(("--dist=each", "--tx=2*popen"), marks=pytest.mark.soak),
    ],
    ids=["alone", "two", "four", "each"],
)
def test_checks_see_the_deployment_itself(project: Project, args: tuple[str, ...]) -> None:
    trace, report = traced(project, *args)
    urls = project.facts.read("urls")
    (sees,) = [line for line in trace if line["name"] == "sees"]
    image = {"version": "1.1.0", "colour": "green", "image": "telehealth-api:1.1.0", "digest": f"sha256:{'b' * 64}"}
    assert sees["candidate"] == {"url": urls["green"], **image}
    assert sees["promoted"] == {"url": urls["live"], **image}
    assert sees["live"] == sees["promoted"]
    assert sees["lease"]["deployment_id"] == report["deployment_id"]
    assert sees["lease"]["token"] == 1
    assert sees["baked"]["requests"] > 0
    assert sees["baked"]["failed"] == 0
    assert sees["same"] is True

    measuring = [line for line in trace if line["name"] in ("begin", "end")]
    assert len({line["worker"] for line in measuring}) == 1, "checks that measure time must not run beside others"
    assert [line["name"] for line in measuring] == ["begin", "end"] * 6
    assert [line["gate"] for line in measuring] == ["latency"] * 6 + ["load"] * 6

    # A module fixture is set up at most twice on each process: for the stage before the bake and for the one after it.
    setups = [line["worker"] for line in trace if line["name"] == "setup"]
    teardowns = [line["worker"] for line in trace if line["name"] == "teardown"]
    assert sorted(setups) == sorted(teardowns)
    assert all(setups.count(worker) <= 2 for worker in setups)
    if args == ("-n0",):
        assert len(setups) == 2
        assert len(set(setups)) == 1


def test_users_and_sessions(project: Project) -> None:
    project.suite(
        "auth",
        """
        import pytest

        def test_users(smoke_users, smoke_user, client, fresh_client, sign_in, signed_in, limits, gate, contract, base_url):
            assert smoke_users[0] == smoke_user and len(smoke_users) == 2
            assert "canary" not in repr(smoke_users)
            assert client.get("/consults", headers=signed_in).status_code == 200
            assert fresh_client.get("/consults", headers=sign_in(smoke_users[1])).status_code == 200
            assert client.get("/consults").status_code == 401
            assert gate == "auth" and limits["timeout"] == 3
            assert str(client.base_url).rstrip("/") == base_url == str(fresh_client.base_url).rstrip("/")
    """,
    )
    project.settings("[gates.auth]\ntimeout = 3")
    run = project.run()
    assert run.result == PROMOTED, run.output


def test_live_colour_is_verified_without_a_deployment(project: Project) -> None:
    project.suite(
        "live",
        """
        def test_live(client, candidate, live, promoted, baked):
            assert candidate == live == promoted
            assert client.get("/health").json()["version"] == candidate.version == "1.0.0"
            assert baked.requests > 0

        def test_no_lock(client, lease):
            assert False, "nothing is locked"
    """,
    )
    run = project.run(target=None)
    assert (run.code, run.report["verdict"]) == (1, "failed"), run.output
    assert run.report["reason"].startswith("live: test_no_lock: no lease is held")
    assert run.calls == []
    assert run.gate("load")["outcome"] == "not_run"
    assert run.report["steps"] == []


def test_an_address_is_verified(project: Project) -> None:
    url = project.facts.read("urls")["blue"]
    project.suite("live", "def test_live(client, promoted): assert client.get('/health').json()['version'] == '1.0.0'")
    run = project.run(f"--base-url={url}", "--load", target=None)
    assert (run.code, run.report["verdict"], run.report["partial"]) == (0, "verified", False), run.output
    assert run.gate("load")["outcome"] == "passed"
    partial = project.run(f"--base-url={url}", "-k", "redis or health", target=None)
    assert (partial.code, partial.report["partial"]) == (0, True), partial.output

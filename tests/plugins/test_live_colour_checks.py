"""Checks of the live colour beside the candidate: when they run, and what a failure of them means."""

from __future__ import annotations

import pytest

from plugins.described.checks import checks_of
from plugins.stages import BEFORE_LOAD, LOADED
from tests.plugins.project import PROMOTED, REJECTED, Project
from tests.verification.contract_server import SERVICE

HARMED = "def test_{name}(live_client{more}): assert live_client.get('/health').status_code == 500, 'live is harmed'"
WELL = "def test_{name}(live_client{more}): assert live_client.get('/health').json()['version'] == '1.0.0'"
ORDERED = """
    def test_it(client, {asked}live_client):
        assert client.get("/health").status_code == 200
        assert live_client.get("/health").json()["version"] == "1.0.0"
        with open({path!r}, "a") as file:
            file.write("{gate} ")
"""


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_checks_run_right_before_and_after_the_load(project: Project, workers: str) -> None:
    path = str(project.facts.folder / "order.txt")
    moments = {
        "bystander": "",
        "database": "loaded, ",
        "latency": "",
        "load": "",
        "redis": "before_load, ",
        "zebra": "",
    }
    for gate, asked in moments.items():
        name = f"{gate}{'-after' if asked.startswith('loaded') else ''}"
        project.suite(gate, ORDERED.format(gate=name, asked=asked, path=path))
    project.add("bystander", WELL.format(name="later", more=", loaded"))
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    order = (project.facts.folder / "order.txt").read_text().split()
    assert order == ["bystander", "zebra", "redis", "latency", "load", "database-after"]
    assert run.gate("bystander")["checks"] == 2
    assert run.report["live_harmed"] is False


def test_failed_check_right_before_the_load_saves_latency_and_load(project: Project) -> None:
    project.add("endpoints", "def test_rows(client, before_load): assert client.get('/health').status_code == 500")
    project.suite("latency", "def test_it(client): assert client.get('/health').status_code == 200")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_rows"), run.report["reason"]
    assert run.gate("latency")["outcome"] == "not_run"


def test_a_described_store_is_counted_before_and_after_the_load() -> None:
    found = {one.name: one.when for one in checks_of(SERVICE) if one.gate in ("database", "redis") and one.when}
    assert {name for name, when in found.items() if when == BEFORE_LOAD} == {
        f"{name} before the load" for name, when in found.items() if when == LOADED
    }
    assert len(found) == 6


@pytest.mark.parametrize("more", ["", ", loaded"], ids=["after start-up", "after load"])
def test_harm_to_live_is_reported_first(project: Project, more: str) -> None:
    project.suite("bystander", HARMED.format(name="it", more=more))
    if not more:
        project.add("health", "def test_other(client): assert client.get('/health').status_code == 500")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["live_harmed"] is True
    assert run.report["reason"].startswith("bystander: test_it"), run.report["reason"]


def test_error_in_a_bystander_check_is_not_harm(project: Project) -> None:
    broken = "import pytest\n@pytest.fixture\ndef broken(): raise OSError\n"
    project.suite("bystander", f"{broken}def test_it(live_client, broken): pass")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["live_harmed"] is False


def test_live_is_checked_after_another_gate_failed(project: Project) -> None:
    """A candidate that fails its own gate and harms live: the reason names both."""
    sick = project.facts.folder / "sick.json"
    project.add(
        "redis",
        f"""
        def test_it(client):
            __import__("pathlib").Path({str(sick)!r}).write_text('{{"blue": true}}')
            assert client.get("/health").status_code == 500
        """,
    )
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["live_harmed"] is True
    assert run.report["reason"].startswith("redis: test_it"), run.report["reason"]
    assert "and the live colour was harmed: GET /health" in run.report["reason"]


def test_front_client_sends_the_live_domains_host(project: Project) -> None:
    """The request goes to the candidate's own address with the live domain's host in the front door's header."""
    project.suite(
        "rehearsal",
        """
        def test_it(front_client, client, live):
            request = front_client.get("/health").request
            assert request.url.netloc == client.base_url.netloc
            assert request.headers["host"] == live.url.removeprefix("http://")
            assert request.extensions["sni_hostname"] == "127.0.0.1"
            assert request.headers["x-forwarded-proto"] == "http"
        """,
    )
    run = project.run()
    assert run.result == PROMOTED, run.output


@pytest.mark.parametrize("target", ["green", None])
def test_a_live_url_needs_a_base_url(project: Project, target: str | None) -> None:
    run = project.run("--live-url=http://live.example", target=target)
    assert run.code == 4, run.output
    assert "--live-url" in run.output


def test_a_live_service_beside_an_address(project: Project) -> None:
    urls = project.facts.read("urls")
    project.suite(
        "continuity",
        f"""
        def test_it(client, live_client):
            assert str(client.base_url) == "{urls["blue"]}"
            assert str(live_client.base_url) == "{urls["live"]}"
            assert client.get("/health").status_code == live_client.get("/health").status_code
        """,
    )
    addresses = (f"--base-url={urls['blue']}", f"--live-url={urls['live']}", "--expect-version=1.0.0")
    run = project.run(*addresses, "suites/continuity", target=None)
    assert run.code == 0, run.output


ALLOW_UNHEALTHY_LIVE = "--allow-unhealthy-live=1.1.0 mends it"


def _with_sick_live(project: Project) -> Project:
    """Blue is live and answers 503."""
    project.facts.write("sick", {"blue": True})
    project.add("bystander", WELL.format(name="well", more=""))
    return project


def test_nothing_is_deployed_on_a_sick_live_colour(project: Project) -> None:
    run = _with_sick_live(project).run()
    assert run.code == 1, run.output
    assert run.report["live_harmed"] is False
    assert run.report["reason"].startswith("lease: blue is live and already unhealthy: GET /health"), run.report[
        "reason"
    ]
    assert run.steps["provision"] == 0


def test_allowed_unhealthy_live_colour_is_deployed_on_and_the_reason_is_recorded(project: Project) -> None:
    """The release is promoted, and the bystander gate's failure is recorded; earlier failures of live do not count against it."""
    project.add(
        "load",
        "def test_nothing_to_compare_with(load_beside_live, _deployment): assert _deployment.state.baseline is None",
    )
    run = _with_sick_live(project).run(ALLOW_UNHEALTHY_LIVE)
    assert run.result == PROMOTED, run.output
    assert run.report["live_harmed"] is False
    bystander = run.gate("bystander")
    assert bystander["outcome"] == "failed"
    assert "the live colour was already unhealthy: 1.1.0 mends it (by arn:" in bystander["waived"]
    (sick,) = [record for record in run.journal if record["kind"] == "sick"]
    assert (sick["colour"], sick["reason"]) == ("blue", "1.1.0 mends it")


def test_allowed_unhealthy_live_colour_does_not_excuse_the_candidate(project: Project) -> None:
    project.add("redis", "def test_it(client): assert client.get('/health').status_code == 500")
    run = _with_sick_live(project).run(ALLOW_UNHEALTHY_LIVE)
    assert run.result == REJECTED, run.output
    assert run.report["live_harmed"] is False
    assert run.report["reason"].startswith("redis: test_it")


def test_allowing_an_unhealthy_live_colour_tolerates_no_harm_to_a_healthy_one(project: Project) -> None:
    project.suite("bystander", HARMED.format(name="it", more=""))
    run = project.run(ALLOW_UNHEALTHY_LIVE)
    assert run.result == REJECTED, run.output
    assert run.report["live_harmed"] is True

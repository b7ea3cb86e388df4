"""Outcomes of checks and the resulting verdict: any outcome but a pass keeps a release from its users."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.plugins.project import PROMOTED, REJECTED, ROLLED_BACK, Project
from tests.soak import sample

NOT_A_PASS = {
    "fails": "def test_it(client): assert client.get('/health').status_code == 500",
    "raises": "def test_it(client): raise RuntimeError('boom')",
    "exits": "def test_it(client): raise SystemExit(0)",
    "setup": """
        import pytest
        @pytest.fixture
        def broken(): raise RuntimeError("setup")
        def test_it(broken): pass
    """,
    "teardown": """
        import pytest
        @pytest.fixture
        def broken():
            yield
            raise RuntimeError("teardown")
        def test_it(broken, client): assert client.get("/health").status_code == 200
    """,
    "skip": "import pytest\ndef test_it(): pytest.skip('not today')",
    "skipif": "import pytest\n@pytest.mark.skipif(True, reason='never')\ndef test_it(): pass",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False",
    "xpass": "import pytest\n@pytest.mark.xfail(strict=False)\ndef test_it(): pass",
    "strict xpass": "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it(): pass",
    "subtest": """
        def test_it(client, subtests):
            for number in range(3):
                with subtests.test(number=number):
                    assert number != 1
    """,
    "skipped subtest": """
        import pytest
        def test_it(client, subtests):
            with subtests.test():
                pytest.skip("not today")
    """,
    "broken fixture": "import pytest\n@pytest.fixture\ndef broken(): raise OSError\ndef test_it(broken): pass",
    "warning": "import warnings\ndef test_it(): warnings.warn('deprecated', DeprecationWarning)",
    "promoted too early": "def test_it(promoted): pass",
    "baked too early": "def test_it(baked): pass",
}
ALONE = ("fails",)
"""In a run of their own also without the soak; the others of NOT_A_PASS are then in one run."""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_all_good(project: Project, workers: str) -> None:
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    assert run.report["reason"] is None
    assert [(gate["name"], gate["outcome"], gate["checks"], gate["failed"]) for gate in run.report["gates"]] == [
        (name, "passed", 2 if name == "live" else 1, 0)
        for name in ("health", "database", "redis", "auth", "endpoints", "latency", "load", "live")
    ]
    assert [step["name"] for step in run.report["steps"]] == ["lease", "provision", "verify", "promote", "live", "bake"]
    assert run.report["promotion"]["requests"] > 0
    assert run.report["promotion"]["failed"] == 0


@pytest.mark.parametrize("what", sample(NOT_A_PASS, *ALONE))
def test_anything_but_a_pass_rejects(project: Project, what: str) -> None:
    project.add("endpoints", NOT_A_PASS[what])
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.gate("endpoints")["checks"] == 2
    assert run.gate("endpoints")["failed"] == 1
    assert run.gate("endpoints")["outcome"] in ("failed", "error")
    assert run.report["reason"].startswith("endpoints: test_it")
    assert run.gate("live")["outcome"] == "not_run"


@pytest.mark.parametrize("options", [("-n0",), ("-n2", "--dist=loadscope")], ids=["one process", "workers"])
def test_each_of_them_is_counted(project: Project, options: tuple[str, ...]) -> None:
    """All of them in one run: each is a failed check."""
    for number, source in enumerate(NOT_A_PASS.values()):
        project.suite("endpoints", source, f"number_{number}")
    run = project.run(*options)
    assert run.result == REJECTED, run.output
    assert run.gate("endpoints")["checks"] == len(NOT_A_PASS) + 1
    assert run.gate("endpoints")["failed"] == len(NOT_A_PASS)


# A gate counts as every other one: the load and one of the project are enough for `make test`.
GATES = ("health", "database", "redis", "auth", "endpoints", "latency", "load", "zebra")


@pytest.mark.parametrize("gate", sample(GATES, "load", "zebra"))
def test_a_failure_in_any_gate_rejects(project: Project, gate: str) -> None:
    project.add(gate, NOT_A_PASS["fails"])
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith(f"{gate}: test_it: ")
    assert run.gate(gate)["outcome"] == "failed"


@pytest.mark.parametrize(
    ("what", "after"),
    [
        ("skip", "promoted"),
        ("fails", "baked"),
        # What counts as a pass does not depend on the gate: test_each_of_them_is_counted tries all of these before the switch.
        *(pytest.param(what, "promoted", marks=pytest.mark.soak) for what in ("fails", "teardown", "xfail", "subtest")),
        *(pytest.param(what, "baked", marks=pytest.mark.soak) for what in ("teardown", "skip", "xfail", "subtest")),
    ],
)
def test_anything_but_a_pass_after_the_switch_rolls_back(project: Project, what: str, after: str) -> None:
    source = NOT_A_PASS[what].replace("def test_it(", f"def test_it({after}, ").replace(", )", ")")
    project.add("live", source)
    run = project.run("-rs")
    assert run.result == ROLLED_BACK, run.output
    assert run.report["reason"].startswith("live: test_it")
    assert run.report["rollback"]["reason"] == run.report["reason"]
    assert "the run was stopped while this check ran" not in run.output


def test_gate_without_requests_fails(project: Project) -> None:
    project.suite("redis", "def test_it(smoke_user): assert smoke_user.email")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("redis: its checks sent the release no recorded request")
    assert "redis      gate FAILED although its checks passed (" in run.output
    assert run.gate("redis")["outcome"] == "failed"


def test_a_gate_that_is_not_required_blocks_nothing(project: Project) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    project.add("zebra", NOT_A_PASS["fails"])
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert run.gate("zebra")["outcome"] == "failed"
    assert run.gate("zebra")["required"] is False


@pytest.mark.parametrize(
    ("option", "failures", "workers"),
    [
        pytest.param("-x", 1, "-n0", marks=pytest.mark.soak),
        ("--maxfail=2", 2, "-n0"),
        pytest.param("--maxfail=2", 2, "-n2", marks=pytest.mark.soak),
    ],
)
def test_stopping_at_failures_is_a_rejection(project: Project, option: str, failures: int, workers: str) -> None:
    project.add("endpoints", "\n".join(f"def test_it_{n}(client): assert False" for n in range(failures)))
    project.add("redis", "def test_other(client): assert client.get('/health').status_code == 200")
    run = project.run(option, workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_it_"), run.report["reason"]


def test_stopping_at_a_failure_after_the_switch_is_a_rollback(project: Project) -> None:
    project.add("live", NOT_A_PASS["fails"])
    run = project.run("-x")
    assert run.result == ROLLED_BACK, run.output


@pytest.mark.parametrize("target", [pytest.param("green", marks=pytest.mark.soak), None], ids=["deploy", "verify"])
@pytest.mark.parametrize("first", sample(["failed", "rerun"], "rerun"))
def test_passing_retry_is_not_a_pass(project: Project, first: str, target: str | None) -> None:
    project.add(
        "endpoints",
        f"""
        import pytest

        def test_flaky(client, request):
            node = request.node
            report = pytest.TestReport(node.nodeid, node.location, {{}}, "{first}", "a first try", "call")
            node.ihook.pytest_runtest_logreport(report=report)
            assert client.get("/health").status_code == 200
        """,
    )
    project.plugin("""
        def pytest_report_teststatus(report):
            return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None
    """)
    run = project.run(target=target)
    assert (run.code, run.report["verdict"]) == (1, "rejected" if target else "failed"), run.output
    assert run.steps["promote"] == 0
    assert run.gate("endpoints")["failed"] == 1


def test_release_that_fails_during_the_bake_is_rolled_back(project: Project) -> None:
    world = project.facts.folder / "sick.json"
    project.suite(
        "live",
        f"""
        def test_promoted(client, promoted):
            assert client.get("/health").json()["version"] == promoted.version
            __import__("pathlib").Path({str(world)!r}).write_text('{{"green": true}}')

        def test_baked(client, baked):
            assert client.get("/health").status_code == 200
    """,
    )
    run = project.run()
    assert run.result == ROLLED_BACK, run.output
    assert run.report["reason"].startswith("bake: ")
    assert run.report["rollback"]["failed"] > 0
    assert "both colours" not in run.report["reason"]
    reads = run.report["read_back"]  # the release may become sick before it has taken the data
    assert {one["journey"] for one in reads} == {"book a consult"}
    assert {one["outcome"] for one in reads} <= {"readable", "not_written"}, reads
    assert "written after the promotion" in run.output
    live = [run.gate("live")[key] for key in ("outcome", "checks", "ran", "failed")]
    assert live == ["failed", 2, 1, 0], "the bake belongs to the gate, although the gate's last check never ran"


BOTH = r"both colours failed: green \d+ of \d+ requests through the live domain, blue \d+ of \d+ requests at its own address; the last of blue: \w+: status 503, expected"


def _breaks(facts: Path, name: str, value: str) -> str:
    """Return checks of the live gate that change a fact of the world when the bake begins."""
    return f"""
        import json, pathlib

        def test_promoted(client, promoted):
            assert client.get("/health").json()["version"] == promoted.version
            pathlib.Path({str(facts / f"{name}.json")!r}).write_text(json.dumps({value}))

        def test_baked(client, baked):
            assert client.get("/health").status_code == 200
    """


def test_both_colours_fail_during_the_bake(project: Project) -> None:
    """The database that both use is gone for a moment: the run goes back, and the reason has the figures of both."""
    project.suite("live", _breaks(project.facts.folder, "database_down", "8"))
    run = project.run()
    assert run.result == ROLLED_BACK, run.output
    assert run.report["reason"].startswith("bake: ")
    assert re.search(BOTH, run.report["reason"]), run.report["reason"]
    assert run.report["rollback"]["reason"] == run.report["reason"]
    (watched,) = [record for record in run.journal if record["kind"] == "watched"]
    assert 0 < watched["control_failed"] <= watched["control_requests"]


@pytest.mark.soak
def test_previous_colour_that_fails_as_well_takes_no_traffic(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be verified, so this is 11, and the reason has the figures of both."""
    monkeypatch.setattr(Project, "_assert_consistent", lambda *_: None)  # the halted run keeps the lease and its record
    project.suite("live", _breaks(project.facts.folder, "sick", '{"green": True, "blue": True}'))
    run = project.run()
    assert (run.code, run.report["verdict"]) == (11, "rollback_failed"), run.output
    assert run.report["reason"].startswith("rollback: the previous colour blue cannot take the traffic back (3 of 3")
    assert re.search(BOTH, run.report["reason"]), run.report["reason"]
    assert re.match("bake: .*" + BOTH, run.report["rollback"]["reason"]), run.report["rollback"]
    assert run.output.count("both colours failed") >= 1


NO_REDIS = ("redis: {request: GET /health/redis, expect: {status: 200, body: {status: ok}}}", "redis: none")


def test_a_part_that_the_service_declares_absent_is_absent_and_blocks_nothing(project: Project) -> None:
    project.describe(NO_REDIS)
    (project.path / "suites" / "redis" / "test_redis.py").unlink()
    outcome = project.run()
    assert outcome.result == (0, "promoted", 1, 1, 0)
    assert (outcome.gate("redis")["outcome"], outcome.gate("redis")["checks"]) == ("absent", 0)
    assert "gate redis is absent: telehealth-api declares that it has no Redis" in outcome.output
    (manifest,) = [record for record in outcome.journal if record["kind"] == "manifest"]
    assert manifest["absent"] == {"redis": "telehealth-api declares that it has no Redis"}


def test_manifest_names_the_files_that_decide(project: Project) -> None:
    """The signed statement lists them from here."""
    (project.path / "suites" / "auth" / "rows.csv").write_text("a,b\n")
    (manifest,) = [record for record in project.run().journal if record["kind"] == "manifest"]
    found = {one["role"]: one["sha256"] for one in manifest["inputs"]}
    settings = project.facts.folder / "deployment.toml"
    described = tomllib.loads(settings.read_text(encoding="utf-8"))["service"]
    files = {"settings": settings, "service": Path(described)}
    assert {role: found[role] for role in files} == {
        role: hashlib.sha256(path.read_bytes()).hexdigest() for role, path in files.items()
    }
    assert len(found["contract"]) == 64
    below = [path for path in (project.path / "suites").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert manifest["files"] == {
        path.relative_to(project.path / "suites").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in below
    }
    assert [one for one in manifest["inputs"] if Path(one["path"]).is_absolute()] == []


def test_checks_of_a_part_that_is_declared_absent_are_refused(project: Project) -> None:
    project.describe(NO_REDIS)
    for options in ((), ("--plan",)):
        outcome = project.run(*options)
        assert outcome.code == 4
        assert "telehealth-api declares that it has no Redis, but gate redis has 1 checks" in outcome.output


def test_a_missing_gate_that_nothing_declares_absent_is_refused(project: Project) -> None:
    (project.path / "suites" / "redis" / "test_redis.py").unlink()
    outcome = project.run()
    assert outcome.code == 4
    assert "gate redis has 0 checks, but 1 are required" in outcome.output


@pytest.mark.parametrize(
    "check",
    sample(["assert False", "assert client.get('/health').is_success"], "assert client.get('/health').is_success"),
    ids=["fails", "passes"],
)
def test_load_with_too_few_checks_is_excused_only_without_the_option(project: Project, check: str) -> None:
    """The gate has one check, and the settings demand two."""
    project.settings("[gates.load]\nmin_checks = 2")
    project.suite("load", f"def test_load(client): {check}")
    run = project.run(target=None)
    assert (run.code, run.report["verdict"], run.gate("load")["outcome"]) == (0, "verified", "not_run"), run.output
    run = project.run("--load", target=None)
    assert (run.code, run.report["verdict"]) == (1, "failed"), run.output
    fails = check == "assert False"
    assert run.gate("load")["outcome"] == ("failed" if fails else "not_run")
    reason = "load: test_load: " if fails else "load: 1 checks were collected, 2 are required"
    assert run.report["reason"].startswith(reason)

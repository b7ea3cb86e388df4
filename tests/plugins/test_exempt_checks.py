"""Advisory and skipped checks: they are shown and signed, and count for no gate; weaker than the last promotion needs a waiver."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import validate

from deployment.errors import Refused
from deployment.evidence import attestation
from deployment.evidence.journal import JOURNAL_FILE, read
from plugins.integrity.waivers import last_checks, parse, weakened
from plugins.stages import MARKERS, Check, Stage, exemption_of
from tests.plugins.project import ASKS, PROMOTED, REFUSED, REJECTED, ROOT, Outcome, Project
from verification.declarative.exemptions import Exemption, Kind

FAILS = "def test_bad(client): assert client.get('/health').status_code == 500, 'it is not 500'"
NAMED = "suites/redis/test_redis_more.py::test_bad"
YAML = "suites/redis/more.yaml::it is a teapot"
SCHEMA = json.loads((ROOT / "docs" / "verification.schema.json").read_text())


def day(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def teapot(project: Project, line: str, gate: str = "redis") -> Path:
    """Write a check in YAML that fails; ``line`` is one more of its lines, the third of the file."""
    path = project.path / "suites" / gate / "more.yaml"
    path.write_text(
        f"checks:\n  - name: it is a teapot\n    {line}\n    request: GET /health\n    expect: {{status: 418, contract: false}}\n"
    )
    return path


def again(project: Project, *args: str) -> Outcome:
    """Run once more, as if the run before had called nothing: it was refused."""
    (project.facts.folder / "calls.txt").unlink()
    return project.run(*args)


def page(run: Outcome) -> str:
    return (run.folder / "report.html").read_text(encoding="utf-8")


def signed(run: Outcome) -> dict[str, object]:
    """Return the predicate of the statement that would be signed."""
    predicate: dict[str, object] = attestation.statement(list(read(run.folder / JOURNAL_FILE)), {})["predicate"]
    return predicate


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_exempt_checks_are_shown_and_signed_and_fail_nothing(project: Project, workers: str) -> None:
    project.add(
        "redis",
        f"""
        import pytest
        @pytest.mark.advisory("new, ticket 7")
        {FAILS}
        @pytest.mark.skip_until("{day(3)}", reason="ticket 8")
        def test_late(client): assert client.get("/health?never asked").is_success
        """,
    )
    teapot(project, "severity: advisory")
    teapot(project, f"skip: {{reason: ticket 9, until: {day(90)}}}", "auth")
    project.suite("bystander", f"import pytest\n@pytest.mark.advisory\n{FAILS}\n{ASKS}")
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    assert run.report["live_harmed"] is False
    gate = run.gate("redis")
    assert (gate["outcome"], gate["checks"], gate["ran"], gate["failed"]) == ("passed", 1, 1, 0)
    validate(run.report, SCHEMA)
    found = {one["check"]: one for one in run.report["exempt"]}
    assert found[NAMED] == {
        "check": NAMED,
        "gate": "redis",
        "severity": "advisory",
        "reason": "new, ticket 7",
        "until": None,
        "outcome": "failed",
        "message": found[NAMED]["message"],
        "waived": None,
    }
    assert "it is not 500" in found[NAMED]["message"]
    late, in_yaml = "suites/redis/test_redis_more.py::test_late", "suites/auth/more.yaml::it is a teapot"
    skipped = [(one["check"], one["until"], one["outcome"]) for one in found.values() if one["severity"] == "skipped"]
    assert skipped == [(in_yaml, day(90), "not_run"), (late, day(3), "not_run")]
    assert f"advisory check {NAMED} did not pass" in run.output
    assert f"check {in_yaml} is skipped until {day(90)}: ticket 9" in run.output
    assert re.search(rf'<li class="bad-text">advisory check {NAMED} did not pass', page(run))
    assert re.search(rf'<li class="bad-text">check {late} is skipped until {day(3)}: ticket 8', page(run))
    assert "not known whether these parts counted before" in page(run)
    assert run.report["compared_with"] == {"promotion": None, "checks": None}
    assert "severity: advisory" in (run.folder / "junit.xml").read_text()
    assert signed(run)["warnedTests"] == [in_yaml, "suites/bystander/test_bystander.py::test_bad", YAML, NAMED, late]
    assert signed(run)["result"] == "WARNED"
    assert any("exempt" in one["name"] for one in signed(run)["configuration"])  # type: ignore[attr-defined]


def test_a_skip_that_has_ended_runs_the_check_and_says_so(project: Project) -> None:
    teapot(project, f"skip: {{reason: ticket 9, until: {day(-1)}}}")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("redis: it is a teapot: ")
    assert "exempt" not in run.report
    assert f"the skip of {YAML} ended on {day(-1)}, so the check counts again" in run.output


def test_a_mistake_in_a_file_is_refused_with_its_line(project: Project) -> None:
    """tests/verification/test_exemptions.py has the other mistakes."""
    teapot(project, "severity: advisory", "health")
    run = project.run()
    assert (*run.result[:2], run.calls) == (4, "refused", []), run.output
    assert (
        "more.yaml:3:5: a check of gate health cannot be advisory in severity of check 'it is a teapot'" in run.output
    )


@pytest.mark.soak
def test_a_mistake_in_a_marker_is_refused_with_its_line(project: Project) -> None:
    project.add("live", f"import pytest\n\n@pytest.mark.skip_until('{day(1)}', reason='x')\n{FAILS}")
    run = project.run()
    assert (*run.result[:2], run.calls) == (4, "refused", []), run.output
    assert "suites/live/test_live_more.py:3: a check of gate live cannot be skipped" in run.output


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("advisory(7)", "takes a reason"),
        ("advisory(reason='x')", "takes a reason"),
        ("advisory('')", "takes a reason"),
        ('skip_until("soon", reason="x")', "'soon' is not a date"),
        (f'skip_until("{day(92)}", reason="x")', "is more than 90 days away"),
        (f'skip_until("{day(1)}")', "takes the last day and a reason"),
        (f'skip_until("{day(1)}", reason=" ")', "the skip has no reason"),
        (f'advisory("x")\n@pytest.mark.skip_until("{day(1)}", reason="x")', "delete one of the two"),
    ],
)
def test_a_marker_that_cannot_be_used(pytester: pytest.Pytester, marker: str, words: str) -> None:
    pytester.makeini(f"[pytest]\nmarkers =\n  {MARKERS[1]}\n  {MARKERS[2]}\n")
    item = pytester.getitem(f"import pytest\n\n@pytest.mark.{marker}\ndef test_func(): pass")
    found = exemption_of(item, "redis")
    assert found is not None
    assert found.kind == "invalid"
    assert words in found.reason
    assert found.place.endswith(".py:3") or "two" in words


@pytest.mark.soak
def test_marks_of_classes_modules_and_parameters_count_and_those_of_plugins_do_not(project: Project) -> None:
    project.suite(
        "redis",
        """
        import pytest

        @pytest.mark.advisory
        class TestNew:
            def test_one(self, client): assert client.get('/health').status_code == 500

        @pytest.mark.parametrize("wanted", [200, pytest.param(500, marks=pytest.mark.advisory("slow"))])
        def test_two(client, wanted): assert client.get('/health').status_code == wanted
        """,
    )
    project.suite(
        "auth", f"import pytest\npytestmark = pytest.mark.skip_until('{day(1)}', reason='x')\n{FAILS}", "more"
    )
    project.plugin(
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                if "/endpoints/" in item.nodeid:
                    item.add_marker(pytest.mark.advisory("sneaked in"))
        """
    )
    project.add("endpoints", FAILS)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_bad")
    found = {one["check"].rpartition("/")[2]: one["severity"] for one in run.report["exempt"]}
    assert found == {
        "test_more.py::test_bad": "skipped",
        "test_redis.py::TestNew::test_one": "advisory",
        "test_redis.py::test_two[500]": "advisory",
    }


def test_exempt_checks_do_not_count_in_min_checks(project: Project) -> None:
    project.settings("[gates.redis]\nmin_checks = 2")
    teapot(project, "severity: advisory")
    run = project.run()
    assert (*run.result[:2], run.calls) == (4, "refused", []), run.output
    assert "gate redis has 1 checks (besides 1 that are advisory or skipped), but 2 are required" in run.output


@pytest.mark.soak
def test_a_verification_shows_them_too(project: Project) -> None:
    teapot(project, "severity: advisory")
    run = project.run(target=None)
    assert (run.code, run.report["verdict"]) == (0, "verified"), run.output
    assert "VERIFIED: every required check that ran has passed." in run.output
    assert run.report["exempt"][0]["outcome"] == "failed"
    run = project.run("suites/redis/more.yaml", target=None)
    assert (run.code, run.report["verdict"]) == (1, "failed"), run.output
    assert run.report["reason"] == "verify: no check ran that counts for a gate"


def test_the_report_shows_the_history_of_each_check_and_a_broken_report_changes_nothing(project: Project) -> None:
    first = project.run("suites/redis", target=None)
    assert "history" not in first.report
    broken = first.folder.resolve().parent / "20200101-000000-verify-000000"
    broken.mkdir()
    (broken / "verification.json").write_text("[]")
    (broken / "junit.xml").write_text("<")
    run = project.run("suites/redis", target=None)
    assert (run.code, run.report["verdict"]) == (0, "verified"), run.output
    validate(run.report, SCHEMA)
    (one,) = run.report["history"]
    chance = {"failed": 0, "runs": 1, "low": 0.0, "high": 0.975}
    assert one == {
        "check": "suites/redis/test_redis.py::test_asks",
        "runs": 1,
        "passed": 1,
        "median_s": one["median_s"],
        "chance": chance,
    }
    assert f"the history leaves out reports/{broken.name}: verification.json is not an object" in run.output
    assert "0 of 1: 0.0 to 97.5 %" in page(run)
    assert f"Left out: reports/{broken.name}: verification.json is not an object" in page(run)


# -- compared with the last promotion --------------------------------------------------------------------------------------


def test_a_check_made_advisory_since_the_last_promotion_needs_a_waiver(project: Project) -> None:
    project.facts.write("notes", {"checks": json.dumps([YAML, NAMED]), "checks_of": "run-1"})
    teapot(project, "severity: advisory")
    run = project.run()
    assert (run.code, run.report["verdict"], run.steps["lease"]) == (4, "refused", 0), run.output
    assert f"weaker than the last promotion (run-1): {YAML} was required, and is advisory now" in run.output
    assert f'--waive "{YAML}=REASON"' in run.output
    assert again(project, "--plan").code == REFUSED[0]
    run = project.run(f"--waive={YAML}=the teapot comes in May = ticket 5")
    assert run.result == PROMOTED, run.output
    (one,) = run.report["exempt"]
    assert one["waived"].startswith("the teapot comes in May = ticket 5 (by arn:aws:iam::123456789012:user/tester")
    assert run.report["compared_with"] == {"promotion": "run-1", "checks": 2}
    notes = project.facts.read("notes")
    assert YAML not in json.loads(notes["checks"])
    assert notes["checks_of"] == run.report["deployment_id"]


@pytest.mark.soak
def test_a_record_of_an_older_version_is_compared_too(project: Project) -> None:
    """It has the checks alone; a check whose parameters have changed is the same check."""
    project.facts.write("notes", {"checks": json.dumps([f"{NAMED}[1]", "suites/redis/test_redis.py::test_asks"])})
    project.add(
        "redis",
        f"""
        import pytest
        @pytest.mark.skip_until("{day(1)}", reason="x")
        @pytest.mark.parametrize("one", [2, 3])
        def test_bad(client, one): assert client.get('/health').status_code == 500
        """,
    )
    run = project.run()
    assert (*run.result[:2], run.steps["lease"]) == (4, "refused", 0), run.output
    assert f"weaker than the last promotion: {NAMED} was required, and is skipped now" in run.output
    run = again(project, "--waive=suites/redis/test_redis_more.py=known")
    assert run.result == PROMOTED, run.output


def test_what_is_weaker_than_the_last_promotion() -> None:
    exempt = Exemption(Kind.ADVISORY)
    checks = [
        Check("suites/a/x.py::new", "a", Stage.FUNCTIONAL, exemption=exempt),
        Check("suites/a/x.py::one[1]", "a", Stage.FUNCTIONAL),
        Check("suites/a/x.py::one[2]", "a", Stage.FUNCTIONAL, exemption=exempt),
        Check("suites/a/x.py::one[3]", "a", Stage.FUNCTIONAL, exemption=exempt),
        Check("suites/a/x.py::back", "a", Stage.FUNCTIONAL, exemption=Exemption(Kind.EXPIRED)),
    ]
    last = ["suites/a/x.py::one[1]", "suites/a/x.py::one[2]", "suites/a/x.py::back", "suites/b/x.py::one"]
    found = weakened(last, checks, {"b": "b is absent", "c": "c is absent"}, "suites")
    assert [one.name for one in found] == ["b", "suites/a/x.py::one[2]"]
    assert weakened([], checks, {"b": "b is absent"}, "suites") == []


@pytest.mark.parametrize("note", [None, "no JSON", "{}", "7"])
def test_a_record_that_is_no_list_of_checks_is_no_record(note: str | None) -> None:
    assert last_checks({} if note is None else {"checks": note}) is None


def test_a_part_that_is_newly_absent_needs_a_waiver(project: Project) -> None:
    project.facts.write("notes", {"checks": json.dumps(["suites/service.yaml::redis::answers"]), "checks_of": "run-1"})
    (project.path / "suites" / "redis" / "test_redis.py").unlink()
    text = (ROOT / "suites" / "service.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("  redis: {request"))
    project.describe((line, "  redis: none"))
    run = project.run()
    assert (*run.result[:2], run.steps["lease"]) == (4, "refused", 0), run.output
    assert "gate redis had 1 checks, and is absent now" in run.output
    assert '--waive "redis=REASON"' in run.output
    run = again(project, "--waive=redis=moved into the process, ticket 3")
    assert run.result == PROMOTED, run.output
    assert run.gate("redis")["waived"].startswith("moved into the process")
    assert "redis" in signed(run)["warnedTests"]  # type: ignore[operator]


def test_waivers_of_checks() -> None:
    checks = [
        Check("suites/a/x.py::one[a=b]", "a", Stage.FUNCTIONAL, exemption=Exemption(Kind.ADVISORY)),
        Check("suites/a/x.py::two", "a", Stage.FUNCTIONAL),
    ]
    given = ["suites/a/x.py::one[a=b]=because = so", "suites/a/x.py::one=all", "suites/a/x.py=file"]
    assert parse(given, ["a"], checks) == {
        "suites/a/x.py::one[a=b]": "because = so",
        "suites/a/x.py::one": "all",
        "suites/a/x.py": "file",
    }
    with pytest.raises(Refused, match="no check that is advisory or skipped has this name"):
        parse(["suites/a/x.py::two=because"], ["a"], checks)
    with pytest.raises(Refused, match="needs a reason"):
        parse(["suites/a/x.py::one="], ["a"], checks)
    with pytest.raises(Refused, match="is waived twice"):
        parse(["suites/a/x.py=1", "suites/a/x.py=2"], ["a"], checks)


def test_caller_without_the_right_to_waive_cannot_waive_a_check(project: Project) -> None:
    project.settings('[access]\nwaive = ["arn:aws:iam::123456789012:role/not-this-caller"]')
    teapot(project, "severity: advisory")
    run = project.run(f"--waive={YAML}=because")
    assert run.code == 4, run.output
    assert "may not waive" in run.output

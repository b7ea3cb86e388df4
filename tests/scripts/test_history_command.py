"""The history of all runs: from the reports alone, with figures whose counting is stated, and marks beside the reports."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployment.errors import Refused
from deployment.evidence.past import marks as marking
from deployment.evidence.past.figures import figures, slowest
from deployment.evidence.past.runs import read
from deployment.project import FRAMEWORK, Project
from plugins.page import history, refresh
from scripts.commands.checks.line import Tools
from scripts.commands.evidence import line
from verification import history as checks

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def report(reports: Path, hour: float, kind: str, verdict: str, **more: Any) -> str:
    """Write the report of a run that took 10 minutes; return its id."""
    start = BEGAN + timedelta(hours=hour)
    run_id = f"{start:%Y%m%d-%H%M%S}-{kind}-{abs(hash((hour, kind))) % 0xFFFFFF:06x}"
    steps = []
    if verdict in ("promoted", "rolled_back", "rollback_failed") and kind != "rollback":
        steps.append(step("promote", start + timedelta(minutes=5)))
    if verdict in ("rolled_back", "rollback_failed"):
        steps.append(step("rollback", start + timedelta(minutes=8), verdict != "rollback_failed"))
    gates = [{"name": name, "outcome": "passed", "duration_s": s} for name, s in (("health", 2.0), ("load", 60.0))]
    document = {
        "deployment_id": run_id,
        "environment": "production",
        "verdict": verdict,
        "reason": None,
        "image": "api:1.1.0",
        "version": "1.1.0",
        "digest": "sha256:a",
        "actor": "ada",
        "started_at": start.isoformat(),
        "finished_at": (start + timedelta(minutes=10)).isoformat(),
        "gates": gates,
        "steps": steps,
        "rollback": None,
        **more,
    }
    (reports / run_id).mkdir(parents=True)
    (reports / run_id / "verification.json").write_text(json.dumps(document))
    return run_id


def step(name: str, start: datetime, passed: bool = True) -> dict[str, Any]:
    outcome = "passed" if passed else "failed"
    return {"name": name, "outcome": outcome, "started_at": start.isoformat(), "duration_s": 60.0}


def call(reports: Path, *arguments: str) -> Result:
    tools = Tools(lambda *_: None, lambda: Project(FRAMEWORK), lambda _: pytest.fail("it connects to nothing"))
    return CliRunner().invoke(line.history, ["--reports", str(reports), *arguments], obj=tools)


def mark(reports: Path, run_id: str, *arguments: str) -> Result:
    tools = Tools(lambda *_: None, lambda: Project(FRAMEWORK), lambda _: pytest.fail("it connects to nothing"))
    return CliRunner().invoke(line.history, ["mark", run_id, *arguments, "--reports", str(reports)], obj=tools)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two weeks: two rejected, four promoted, one rolled back by itself, and one of the four undone by a person."""
    folder = tmp_path / "reports"
    report(folder, 0, "green", "promoted")
    report(folder, 24, "blue", "rejected", reason="health: 3 of 5 <script>alert(1)</script>")
    report(folder, 48, "blue", "rolled_back", reason="bake: 31 of 1200 requests failed")
    report(folder, 72, "blue", "promoted")
    report(folder, 74, "rollback", "rolled_back")
    report(folder, 100, "verify", "verified")
    report(folder, 200, "blue", "promoted", committed_at=(BEGAN + timedelta(hours=199)).isoformat())
    report(folder, 300, "green", "refused", reason='=HYPERLINK("http://x")')
    report(folder, 336, "green", "promoted", environment="staging")
    return folder


def test_figures_are_counted_as_stated(reports: Path) -> None:
    production, staging = figures(read(reports).runs, {})
    assert (production.environment, production.runs, production.promotions) == ("production", 8, 4)
    assert production.per_week == pytest.approx(4 / (300 / 168))
    assert (production.failed, production.failure_rate) == (2, 0.5)
    # By itself: from minute 6 to 9. By a person: from hour 72, minute 6, to hour 74, minute 9.
    assert (production.restore_s, production.restored) == ((180 + 2 * 3600 + 180) / 2, 2)
    assert (production.lead_s, production.leads) == (3600 + 360, 1)
    assert (production.rework, production.rework_rate) == (0, None)
    assert (staging.promotions, staging.per_week, staging.failure_rate, staging.lead_s) == (1, None, 0.0, None)


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        ("bake: interrupted by SIGINT (sent by a person at the terminal)", 0),
        ("bake: the run died in phase BAKING", 0),
        ("bake: 31 of 1200 requests failed", 1),
    ],
)
def test_an_interrupted_run_that_went_back_is_no_failed_change(tmp_path: Path, reason: str, failed: int) -> None:
    report(tmp_path, 0, "blue", "promoted")
    report(tmp_path, 1, "green", "rolled_back", reason=reason, exit_code=2, gates=[])
    (one,) = figures(read(tmp_path).runs, {})
    assert (one.promotions, one.failed) == (2, failed)


def test_a_failed_rollback_is_restored_by_the_next_run_that_works(tmp_path: Path) -> None:
    report(tmp_path, 0, "green", "rollback_failed")
    report(tmp_path, 1, "green", "rejected")
    assert figures(read(tmp_path).runs, {})[0].restore_s is None
    report(tmp_path, 2, "green", "promoted")
    assert figures(read(tmp_path).runs, {})[0].restore_s == 2 * 3600


@pytest.mark.parametrize("words", ["rollback: a rollback of {} was requested", "rollback of {} was asked for"])
def test_a_rollback_that_names_its_deployment_undoes_that_one(tmp_path: Path, words: str) -> None:
    first = report(tmp_path, 0, "green", "promoted")
    report(tmp_path, 1, "blue", "promoted")
    report(tmp_path, 2, "rollback", "rolled_back", rollback={"reason": words.format(first), "failed": 0})
    runs = read(tmp_path).runs
    assert runs[-1].undoes == first
    assert figures(runs, {})[0].restore_s == 2 * 3600 + 180


def test_a_rollback_that_moved_nothing_names_its_deployment_too(tmp_path: Path) -> None:
    first = report(tmp_path, 0, "green", "promoted")
    reason = f"rollback: a rollback of {first} was requested; blue: GET /health: 503"
    report(tmp_path, 2, "rollback", "rejected", reason=reason)
    assert read(tmp_path).runs[-1].undoes == first


def test_a_rollback_counts_where_its_promotion_was_made(tmp_path: Path) -> None:
    """The environments ``embedded`` and ``quick`` are one cloud: a rollback in one of them undoes a promotion of the other."""
    report(tmp_path, 0, "green", "promoted", environment="embedded")
    second = report(tmp_path, 1, "blue", "promoted", environment="quick")
    undone = {"reason": f"rollback: a rollback of {second} was requested", "failed": 0}
    report(tmp_path, 2, "rollback", "rolled_back", environment="embedded", rollback=undone)
    for runs in (read(tmp_path).runs, read(tmp_path, "quick").runs):
        quick = figures(runs, {})[-1]
        assert (quick.environment, quick.failed, quick.restore_s) == ("quick", 1, 3600 + 180)
    for runs in (read(tmp_path).runs, read(tmp_path, "embedded").runs):
        embedded = figures(runs, {})[0]
        assert (embedded.environment, embedded.promotions, embedded.failed) == ("embedded", 1, 0)


def test_a_person_marks_false_alarms_and_rework(reports: Path) -> None:
    before = {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()}
    rolled_back, promoted = (
        next(r.id for r in read(reports).runs if r.verdict == v) for v in ("rolled_back", "promoted")
    )
    assert mark(reports, rolled_back, "--false-alarm", "--reason", "the probe's network").exit_code == 0
    assert mark(reports, promoted, "--rework", "--reason", "incident 7").exit_code == 0
    (reports / marking.MARKS_FILE).write_bytes((reports / marking.MARKS_FILE).read_bytes() + b'{"torn')
    assert mark(reports, promoted, "--rework", "--reason", "incident 8").exit_code == 0
    assert {path: path.read_bytes() for path in before} == before, "no signed file changed"
    marks, problems = marking.read(reports)
    assert problems == ["marks.jsonl: line 3 is not a mark"]
    assert marks[promoted]["rework"].reason == "incident 8"
    production = figures(read(reports).runs, marks)[0]
    assert (production.failed, production.false_alarms, production.rework_rate) == (1, 1, 0.25)
    page = (reports / history.INDEX_FILE).read_text()
    assert "the probe&#39;s network" in page
    assert "marks.jsonl" in page


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["none", "--false-alarm", "--reason", "x"], "no report of run none was found"),
        (["none", "--reason", "x"], "say what the run was"),
        (["none", "--false-alarm", "--reason", " "], "must not be empty"),
        (["none", "--false-alarm"], "Missing option '--reason'"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(reports: Path, arguments: list[str], text: str) -> None:
    result = mark(reports, *arguments)
    assert result.exit_code != 0
    assert text in result.output + str(result.exception)
    assert not (reports / marking.MARKS_FILE).exists()


def test_the_page_names_every_run_and_loads_nothing(reports: Path) -> None:
    first = read(reports).runs[0].id
    (reports / first / "report.html").write_text("<p>")
    result = call(reports)
    assert result.exit_code == 0, result.output
    assert "production: 4 promotions, 2.2 per week, 2 failed (50%)" in result.output
    assert "staging: 1 promotion, frequency unknown, 0 failed (0%)" in result.output
    page = (reports / history.INDEX_FILE).read_text()
    assert "1 <small>(of 1 run)</small>" in page
    assert all(run.id in page for run in read(reports).runs)
    assert f'<a href="{first}/report.html">' in page
    assert page.count("/report.html") == 1, "only pages that exist are linked"
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "<script>alert(1)" not in page
    assert "http" not in page.replace("http-equiv", "").replace("HYPERLINK(&#34;http://x", "")
    assert "prefers-color-scheme: dark" in page
    assert page.index("<table") < page.index("<script>"), "the runs are there without the script"


def test_page_and_json_name_the_flakiest_checks_with_links(reports: Path) -> None:
    promoted = [run.id for run in read(reports).runs if run.verdict == "promoted"]
    for run_id, outcome in zip(promoted, ("<failure/>", "", "", ""), strict=True):
        case = f'<testcase classname="suites.redis.test_r" name="test_&lt;b&gt;" time="0.1">{outcome}</testcase>'
        (reports / run_id / "junit.xml").write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
        (reports / run_id / "report.html").touch()
    text = history.page(reports)
    assert '<h2 id="flakiest-title">Flakiest checks</h2>' in text
    assert "suites.redis.test_r::test_&lt;b&gt;" in text
    assert '1 of 4 runs</td><td class="num">25.0 % <small>(0.6 to 80.6)</small>' in text
    assert f'<td><a href="{promoted[-1]}/report.html">passed</a></td>' in text
    (one,) = json.loads(call(reports, "--json").stdout)["flakiest_checks"]
    assert one == {
        "check": "suites.redis.test_r::test_<b>", "failed": 1, "runs": 4, "low": 0.0063, "high": 0.8059,
        "flaky_releases": 1, "last_run": promoted[-1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("verify: interrupted by SIGINT (Ctrl-C)", '<span class="not_run">rejected, interrupted</span>'),
        ("lease: the run died before it had touched anything", '<span class="not_run">rejected, interrupted</span>'),
        ("auth: test_login: status 401", '<span class="failed">rejected</span>'),
    ],
)
def test_page_says_which_runs_were_interrupted(tmp_path: Path, reason: str, words: str) -> None:
    report(tmp_path, 0, "green", "rejected", reason=reason)
    assert words in history.page(tmp_path)


def test_history_of_checks_that_cannot_be_read_is_named(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError("the disk is gone")

    monkeypatch.setattr(checks, "read", broken)
    text = history.page(reports)
    assert "<code>the history of the checks</code>: it cannot be read: the disk is gone" in text
    assert "Runs, newest first" in text


def test_json_and_csv_have_every_run(reports: Path) -> None:
    document = json.loads(call(reports, "--json").output)
    assert [run["verdict"] for run in document["runs"]] == [run.verdict for run in read(reports).runs]
    assert {one["environment"] for one in document["figures"]} == {"production", "staging"}
    assert len(document["counted"]) == 5
    rows = list(csv.DictReader(io.StringIO(call(reports, "--csv").output)))
    assert [row["id"] for row in rows] == [run["id"] for run in document["runs"]]
    assert [row["reason"] for row in rows if row["verdict"] == "refused"] == ['\'=HYPERLINK("http://x")']
    assert not (reports / history.INDEX_FILE).exists()
    some = json.loads(call(reports, "--json", "--environment", "production", "--since", "2026-11-05").output)
    assert [run["kind"] for run in some["runs"]] == ["verify", "deploy", "deploy"]
    assert call(reports, "--json", "--csv").exit_code != 0


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--csv"]])
def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    result = call(tmp_path / "none", *arguments)
    assert isinstance(result.exception, Refused)
    assert list(tmp_path.iterdir()) == []


def test_the_slowest_gate_is_first(reports: Path) -> None:
    found = slowest(read(reports).runs)
    assert [(one.gate, one.environment, one.runs, one.median_s) for one in found[:1]] == [
        ("load", "production", 8, 60.0)
    ]


BROKEN = ["{", "[]", "{}", "null", "\xff", '{"deployment_id": "broken"}', "[" * 100_000, '{"deployment_id": "other"}']


@pytest.mark.parametrize("content", [*BROKEN, None])
def test_a_broken_folder_is_named_and_left_out(reports: Path, content: str | None) -> None:
    (reports / "broken").mkdir()
    if content is not None:
        (reports / "broken" / "verification.json").write_bytes(content.encode("latin-1"))
    (reports / "latest").symlink_to(read(reports).runs[0].id)
    (reports / "20261101-120000-retire-abcdef").mkdir()
    past = read(reports)
    assert len(past.runs) == 9
    assert [name for name, _ in past.left_out] == ["broken"]
    if content is None:
        assert past.left_out[0][1].startswith("it has no verification.json: the run is not finished, or was killed")
    else:
        assert past.left_out[0][1].startswith("verification.json")
    assert refresh(reports, pytest.fail)
    assert "<code>broken</code>" in (reports / history.INDEX_FILE).read_text()


@pytest.mark.parametrize("field", ["started_at", "finished_at", "gates", "steps", "verdict", "rollback"])
@pytest.mark.parametrize("value", [7, "x", [7], {"a": 1}, True])
def test_a_report_with_a_wrong_field_stops_nothing(tmp_path: Path, field: str, value: object) -> None:
    report(tmp_path, 0, "green", "promoted")
    path = tmp_path / report(tmp_path, 1, "green", "promoted") / "verification.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert refresh(tmp_path, pytest.fail)
    assert read(tmp_path).runs


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "1e999", '"x"', "null"])
def test_a_duration_that_is_no_number_stops_nothing(tmp_path: Path, seconds: str) -> None:
    path = tmp_path / report(tmp_path, 0, "green", "promoted") / "verification.json"
    path.write_text(path.read_text().replace("60.0", seconds))
    assert refresh(tmp_path, pytest.fail)
    assert len(read(tmp_path).left_out) == 1


@pytest.mark.parametrize("name", [None, 7, True, [], {}])
def test_gate_whose_name_is_no_text_stops_nothing(tmp_path: Path, name: object) -> None:
    good = report(tmp_path, 0, "green", "promoted")
    broken = report(tmp_path, 1, "green", "promoted", gates=[{"name": name, "outcome": "passed", "duration_s": 60.0}])
    said: list[str] = []
    assert refresh(tmp_path, said.append) is not None
    assert said == []
    shown = json.loads(call(tmp_path, "--json").stdout)
    assert [one["id"] for one in shown["runs"]] == [good]
    assert {one["name"] for one in shown["left_out"]} == {broken}


@pytest.mark.parametrize("field", ["actor", "environment", "reason", "image"])
def test_half_a_character_in_a_report_stops_nothing(tmp_path: Path, field: str) -> None:
    """Each run writes the page at its end, after its own result is known."""
    report(tmp_path, 0, "green", "promoted", **{field: "half \ud800"})
    said: list[str] = []
    assert refresh(tmp_path, said.append) is not None
    assert said == []
    assert r"half \ud800" in (tmp_path / "index.html").read_text()


def test_a_folder_whose_name_is_not_utf_8_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"20261101-12000\xff-green-aaaaaa")).mkdir()
    done = call(tmp_path)
    assert done.exit_code == 0
    assert r"left out: 20261101-12000\udcff-green-aaaaaa: " in done.stderr
    assert r"20261101-12000\udcff-green-aaaaaa" in (tmp_path / "index.html").read_text()


def test_a_pipe_in_place_of_a_report_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "verification.json")
    assert [name for name, _ in read(tmp_path).left_out] == ["pipe"]


def test_a_page_that_cannot_be_written_is_reported(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    (reports / history.INDEX_FILE).mkdir()
    assert not refresh(reports, said.append)
    assert said == ["index.html was not written: Is a directory"]
    monkeypatch.setattr(history, "index", lambda _: 1 / 0)
    assert not refresh(reports, said.append)
    assert said[1].startswith("index.html was not written: ZeroDivisionError")


def test_a_page_that_takes_too_long_is_given_up(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    allowed, said = threading.Event(), list[str]()
    monkeypatch.setattr(history, "index", lambda _: str(allowed.wait()))
    assert not refresh(reports, said.append, deadline_s=0.01)
    allowed.set()
    assert "took longer than 0.01 s" in said[0]
    assert not (reports / history.INDEX_FILE).exists()

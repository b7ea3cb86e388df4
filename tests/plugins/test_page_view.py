"""What the page computes from the data: words, bars, commands, and pictures that a browser may show under the page's policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from deployment.evidence.data import content
from plugins.page import charts, render, view
from plugins.page.timeline import timeline
from plugins.terminal.verdict import screen
from tests.page import runs

START = "2026-11-29T04:00:00+00:00"


def data(**more: Any) -> dict[str, Any]:
    """Return data with one passed and one failed gate."""
    gates = [
        {"name": name, "outcome": outcome, "duration_s": 3.0, "reason": None}
        for name, outcome in (("health", "passed"), ("load", "failed"))
    ]
    report = {"verdict": "rejected", "exit_code": 1, "steps": [], "promotion": None, "rollback": None}
    return {"report": report, "gates": gates, "checks": [], "series": {}, "journal": [], "undoes": None, "coverage": {}, **more}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.04, "40 ms"),
        (4, "4 s"),
        (9.96, "10 s"),
        (48.4, "48 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert view.duration(seconds) == words


def test_refused_run_shows_no_checks_although_it_has_collected_some() -> None:
    """A tag that the registry lacks is refused after pytest has collected every check."""
    gates = [{"name": "health", "outcome": "not_run"}]
    checks = [{"id": "suites/health/test_health.py::test_ok", "gate": "health", "outcome": "not_run"}]
    assert not view.ran(data(report={"verdict": "refused"}, gates=gates, checks=checks))
    assert view.ran(data(report={"verdict": "rejected"}, gates=gates, checks=checks)), "provision failed"


def test_steps_lie_within_the_picture_and_in_order() -> None:
    steps = [
        {"name": "lease", "outcome": "passed", "started_at": START, "duration_s": 1.0},
        {"name": "promote", "outcome": "passed", "started_at": "2026-11-29T04:01:00+00:00", "duration_s": 0.0},
        {"name": "bake", "outcome": "failed", "started_at": "2026-11-29T04:01:01+00:00", "duration_s": 59.0},
    ]
    switch = {"kind": "switched", "time": "2026-11-29T04:01:00.5+00:00", "data": {"colour": "green", "weight": 10}}
    found = view.steps(data(report={**data()["report"], "steps": steps}, journal=[switch]))
    assert found is not None
    assert [bar.x for bar in found.bars] == sorted(bar.x for bar in found.bars)
    assert all(bar.x > 0 and bar.width >= 2 and bar.x + bar.width <= found.width for bar in found.bars)
    [one] = found.switches
    assert found.bars[1].x < one.x < found.bars[2].x
    assert one.label == "10 % of traffic to green"
    assert len(found.ticks) <= 9
    assert view.steps(data()) is None


def test_labels_of_switches_do_not_cover_each_other() -> None:
    """A canary moves the traffic several times within a second."""
    step = {"name": "promote", "outcome": "passed", "started_at": START, "duration_s": 60.0}
    moves = [
        {"kind": "switched", "time": f"2026-11-29T04:00:{at:02}+00:00", "data": {"colour": "green", "weight": weight}}
        for at, weight in ((20, 5), (21, 25), (22, 50), (58, 100))
    ]
    found = view.steps(data(report={**data()["report"], "steps": [step]}, journal=moves))
    assert found is not None
    rows = [one.y for one in found.switches]
    assert len(set(rows[:3])) == 3
    assert rows[3] == rows[0]
    assert found.rows_end < min(rows) < max(rows) < found.height - 20


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "8 of 8"),
        ({"outcome": "failed", "failed": 1}, "1 of 8 failed"),
        ({"outcome": "failed", "failed": 1, "waived": "known", "required": False}, "1 of 8 failed, waived, advisory"),
        ({"outcome": "error", "failed": 2, "checks": 9868}, "error, 2 of 9,868 failed"),
        ({"outcome": "incomplete", "ran": 3}, "incomplete, 3 of 8 ran"),
        ({"outcome": "absent", "checks": 0}, "absent"),
    ],
)
def test_a_gate_in_the_strip(more: dict[str, Any], text: str) -> None:
    """The number beside "failed" is the number of failures, not of the checks that ran."""
    gate = {"outcome": "passed", "checks": 8, "ran": 8, "failed": 0, "waived": None, "required": True}
    assert view.gate_text({**gate, **more}) == text


@pytest.mark.parametrize("outcome", ["incomplete", "not_run", "absent"])
def test_gate_that_proves_nothing_has_neither_the_colour_nor_the_mark_of_a_failure(
    tmp_path: Path, outcome: str
) -> None:
    found = content.read(runs.interrupted(tmp_path / "interrupted"))
    next(one for one in found["gates"] if one["name"] == "endpoints")["outcome"] = outcome
    page = render(found)
    [shown] = re.findall(rf'<li class="{outcome}"><a href="#gate-endpoints">(.*)</a></li>', page)
    assert not set(shown) & {view.MARKS["failed"], view.MARKS["passed"]}, shown
    assert f"{outcome.replace('_', ' ')}, 40 of {runs.SIZES['endpoints']}" in shown
    styles = re.findall(r"([^{}]*)\{([^{}]*)\}", page.partition("</style>")[0])
    named = [rules.strip() for selectors, rules in styles if re.search(rf"\.{outcome}\b", selectors)]
    assert named == ["color: var(--soft);"], "a grey word without a background"


def test_users_of_a_rejected_release_count() -> None:
    """Before a switch there is no promotion to count, but users were asked all the same."""
    series = {"availability": {"longest_gap_ms": 33.3, "seconds": [[0, 40, 0, {}], [1, 38, 2, {}]]}}
    assert (
        view.users(data(series=series))
        == "2 of 80 requests to the live domain failed; longest gap without an answer 33 ms"
    )
    assert view.users(data()) is None


def test_failures_show_the_commands_of_their_text() -> None:
    check = {
        "id": "suites/service.yaml::endpoints::read",
        "gate": "endpoints",
        "outcome": "failed",
        "detail": "E   GET /x: status 500\nE   curl -s 'http://x/x'\ncurl -s 'http://x/x'\nno command",
        "values": [{"name": "p95", "value": 12.5, "limit": 10, "unit": "ms", "samples": 7}],
    }
    [found] = view.failures(data(checks=[check, {**check, "outcome": "passed"}]))
    assert found["name"] == "read"
    assert found["commands"] == ["curl -s 'http://x/x'", "pytest --base-url=URL suites/service.yaml::endpoints::read"]
    assert [view.value_text(value) for value in found["measured"]] == ["p95: 12.5 ms, limit 10 ms, 7 samples"]


SERIES = {
    "availability": {"start": 0.0, "longest_gap_ms": 5.0, "seconds": [[0, 3, 1, {"blue 1.0.0": 3}], [1, 2, 0, {"green <b>": 2}]]},
    "latency": {
        "operations": [{"operation": "GET /a, kept", "candidate": [1, 2, 3, 4, 5, 6], "live": [1, 2, 3, 4, 5, 6], "ratio": 1.2, "low": 1.1, "high": 1.3, "limit": 1.25}],
        "budgets": {"p95_ms": 100},
    },
    "load": {"seconds": [[0, 10, 1, 12.0], [1, 11, 0, 13.0]], "p95_limit_ms": 50},
    "bake": {"statistics": {"failed requests": [[0, 0.0], [1, 0.4]]}},
}  # fmt: skip


def test_each_series_has_a_picture_that_the_policy_allows() -> None:
    found = charts.pictures(data(series=SERIES))
    assert [one.name for one in found] == ["availability", "latency", "load", "bake", "gates"]
    for one in found:
        assert one.svg.startswith('<svg role="img" aria-label='), one.name
        assert not re.search(r"<script|<style|style=|href=|on\w+=", one.svg), one.name
        assert "<b>" not in one.svg
    says = {one.name: one.says for one in found}
    assert says["availability"].startswith("6 requests in 2 seconds, 1 failed")
    assert "GET /a, kept: 1.20 times live's time (95 %: 1.10 to 1.30), limit 1.25 times" in says["latency"]
    assert "21 requests in 2 s, 1 failed" in says["load"]
    assert says["bake"].endswith("rolls back; the highest was 0.40.")


def test_a_check_that_had_not_ended_when_its_gate_failed_says_so() -> None:
    live = {"name": "live", "outcome": "failed", "failed": 0, "checks": 2, "reason": "bake: requests failed"}
    checks = [
        {"id": "live::a", "gate": "live", "outcome": "passed"},
        {"id": "live::bake", "gate": "live", "outcome": "not_run"},
    ]
    (found,) = view.groups(data(gates=[live], checks=checks))
    assert [row["text"] for row in found["rows"]] == [
        "it was not asked any more when its gate failed: bake: requests failed",
        "",
    ]


def test_a_rollback_that_the_watch_did_not_decide_is_said() -> None:
    back = {**data()["report"], "verdict": "rolled_back"}
    found = charts.pictures(data(series={"bake": SERIES["bake"]}, report=back))
    assert "None of them rolled back: the reason above names the limit that did." in found[0].says


def test_a_picture_that_cannot_be_drawn_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "DEADLINE_S", 0.0)
    assert [bool(one.svg) for one in charts.pictures(data(series={"bake": SERIES["bake"]}))] == [False, False]


def test_data_of_journeys_in_the_timeline() -> None:
    """Data that a dead run left, and data that was read again after a rollback."""
    reads = [
        {"journey": "book", "operation": "GET /a", "outcome": one, "problem": None}
        for one in ("readable", "not_written")
    ]
    lines = [
        {"kind": "leftovers", "time": START, "data": {"removed": 2, "gone": 1, "left": ["book: no answer"]}},
        {"kind": "read_back", "time": START, "data": {"reads": reads}},
    ]
    assert [row["text"] for row in timeline(lines)] == [
        "2 entries that its journeys left in the service were removed, 1 were gone already; not removed: book: no answer",
        "after the rollback 1 of 2 requests read the data written after the promotion",
    ]


def test_failed_side_effects_in_the_timeline() -> None:
    """``check_failed`` is written for the lock, the platform and an approval: its error says which."""
    reason = {
        "colour": "blue",
        "problem": "no database",
        "problems": ["no database"],
        "by": "maria",
        "reason": "1.1 mends it",
    }
    lines = [
        {"kind": "check_failed", "time": START, "data": {"error": "apprunner DescribeService: 500"}},
        {"kind": "logs_failed", "time": START, "data": {"colour": "green", "error": "no answer"}},
        {"kind": "not_stored", "time": START, "data": {"error": "no answer"}},
        {"kind": "sick", "time": START, "data": reason},
    ]
    assert [row["text"] for row in timeline(lines)] == [
        "not checked: apprunner DescribeService: 500",
        "the logs of green were not read: no answer",
        "the journal was not copied to the audit store: no answer",
        "the live colour blue was unhealthy, which maria allowed: 1.1 mends it",
    ]


def test_page_says_whether_the_run_is_signed_and_with_which_key(tmp_path: Path) -> None:
    """A run without a key must not seem to be signed."""
    found = content.read(runs.refused(tmp_path / "refused"))
    assert "This run is not signed: the run reached no environment." in render(found)
    assert "The signature in evidence.dsse.json" not in render(found)
    found = content.read(runs.halted(tmp_path / "halted"))
    assert "This run is not signed" not in render(found)
    next(one for one in found["journal"] if one["kind"] == "closed")["data"]["signed_by"] = "sha256:<aa>"
    page = render(found)
    assert "The signature in evidence.dsse.json covers this page" in page
    assert 'Its key has the fingerprint <code class="digest">sha256:&lt;aa&gt;</code>.' in page


def test_commands_in_what_to_do_are_code_and_everything_else_is_escaped(tmp_path: Path) -> None:
    found = content.read(runs.halted(tmp_path / "halted"))
    found["remedies"] = ["Run `deploy.py <x>`, not <b>this</b> or ` alone."]
    assert "Run <code>deploy.py &lt;x&gt;</code>, not &lt;b&gt;this&lt;/b&gt; or ` alone." in render(found)


def test_warning_of_several_gates_is_shown_once_with_their_names(tmp_path: Path) -> None:
    found = content.read(runs.halted(tmp_path / "halted"))
    given = [("endpoints", "GET /a is slow"), ("latency", "GET /a is slow"), ("latency", "GET /b is slow")]
    for gate, text in [*given, given[0]]:
        found["journal"].append({"kind": "warning", "time": START, "data": {"gate": gate, "text": text}})
    page = render(found)
    notes = re.findall(r"<li>(Warning of .*? is slow)</li>", page)
    assert notes == ["Warning of endpoints, latency: GET /a is slow", "Warning of latency: GET /b is slow"]
    lines = [text.strip() for text, _ in screen(found, tmp_path / "report.html", "", 80) if "WARNING" in text]
    assert lines == ["WARNING  endpoints, latency: GET /a is slow", "WARNING  latency: GET /b is slow"]

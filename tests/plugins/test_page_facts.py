"""The facts of a report's first screen: what was left out, compared and counted, and how long the release was live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.page import facts, view

BEGIN = datetime(2026, 11, 29, 4, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


def gate(name: str, outcome: str = "passed", *, required: bool = True, waived: str | None = None) -> dict[str, Any]:
    return {"name": name, "outcome": outcome, "required": required, "waived": waived}


def data(*gates: dict[str, Any], **report: Any) -> dict[str, Any]:
    whole = {"verdict": "promoted", "target": "green", "started_at": at(0), "finished_at": at(200), "steps": []}
    return {"report": whole | report, "gates": gates, "journal": [], "series": {}, "checks": [], "undoes": None}


@pytest.mark.parametrize(
    ("options", "undoes", "words"),
    [
        (["--target=auto", "--image-tag=1.1.0"], None, ["pytest", "--target=auto", "--image-tag=1.1.0"]),
        (["rollback", "--reason", "slow"], "run-0", ["python", "scripts/deploy.py", "rollback", "--reason", "slow"]),
        (None, None, []),
    ],
)
def test_command_of_the_run_can_be_typed_again(options: list[str] | None, undoes: str | None, words: list[str]) -> None:
    assert list(facts.command(data() | {"command": options, "undoes": undoes})) == words


def switched(seconds: float, colour: str, **more: Any) -> dict[str, Any]:
    return {"kind": "switched", "time": at(seconds), "data": {"colour": colour, "generation": 2, **more}}


def test_what_was_left_out_is_said_also_if_it_is_nothing() -> None:
    assert facts.left_out(data()) is None
    assert "by hand runs none" in str(facts.left_out(data() | {"undoes": "20261122-blue"}))
    assert facts.left_out(data(gate("health"), gate("auth"))) == (
        "no gate: all 2 ran, none was waived, absent or advisory"
    )
    some = data(
        gate("health"), gate("load", "failed", waived="INC-1"), gate("redis", "absent"), gate("live", "not_run"),
        gate("rehearsal", required=False), gate("auth", "incomplete"),
    )  # fmt: skip
    assert facts.left_out(some) == "waived: load; absent: redis; advisory: rehearsal; incomplete: auth; not run: live"
    rejected = data(
        gate("health", "failed"), gate("live", "not_run"), verdict="rejected", reason="health: 500", exit_code=1
    )
    assert facts.left_out(rejected) == "not run: live (after a failure no further gate begins)"
    stopped = data(gate("health"), gate("live", "not_run"), verdict="rejected", reason="verify: interrupted by SIGINT")
    assert facts.left_out(stopped) == "not run: live (the run was interrupted)"


def compared_nothing(name: str) -> dict[str, Any]:
    value = {"name": "beside live", "value": "not compared: compare_rate is 0"}
    return {"id": f"suites/service.yaml::load::{name}", "gate": "load", "values": [value]}


def test_check_that_passed_without_a_comparison_is_named() -> None:
    run = data(gate("load"))
    assert facts.without_comparison(run) is None
    run["checks"] = [compared_nothing("no slower than live")]
    assert facts.without_comparison(run) == "compared nothing: load: no slower than live (compare_rate is 0)"
    run["checks"].append(compared_nothing("p99"))
    assert "no slower than live and 1 more (compare" in str(facts.without_comparison(run))


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (None, "the run did not come to it"),
        ({"checks": None}, "no earlier promotion is recorded"),
        ({"checks": 214, "promotion": "20261122-blue"}, "with the 214 checks of 20261122-blue: none of them is gone"),
    ],
)
def test_comparison_is_said_also_if_there_was_none(known: dict[str, Any] | None, says: str) -> None:
    assert says in facts.compared(data(**({"compared_with": known} if known else {})))


def test_runs_that_compare_nothing_say_why() -> None:
    assert "a verification is not compared" in facts.compared(data(verdict="verified"))
    assert "by hand runs no checks" in facts.compared(data() | {"undoes": "20261122-blue"})


def test_time_until_the_release_was_live_and_for_how_long() -> None:
    run = data()
    assert facts.times(run) == "took 3 min 20 s"
    run["journal"] = [switched(90, "green", weight=5), switched(100, "green")]
    assert facts.times(run) == "took 3 min 20 s, live 1 min 40 s after its start"
    run["journal"].append(switched(130, "blue"))
    assert facts.times(run) == "took 3 min 20 s, live 1 min 40 s after its start, for 30 s"
    assert facts.times(data(finished_at=None)) is None


def written(seconds: float, colour: str, generation: int) -> dict[str, Any]:
    data = {"colour": colour, "generation": generation, "weight": 100}
    return {"kind": "writing", "time": at(seconds), "data": data}


@pytest.mark.parametrize(("outcome", "back"), [("passed", True), ("failed", False)])
def test_switch_back_of_a_rollback_is_shown_as_the_switch_of_a_promotion_is(outcome: str, back: bool) -> None:
    """The flow journals `writing` and `switched` for a promotion, but `writing` and the step's outcome for a rollback."""
    run = data()
    ended = {"kind": "outcome", "time": at(131), "data": {"step": "rollback", "outcome": outcome}}
    run["journal"] = [written(99, "green", 2), switched(100, "green"), written(130, "blue", 3), ended]
    assert facts.times(run) == "took 3 min 20 s, live 1 min 40 s after its start" + (", for 30 s" if back else "")
    run["report"]["steps"] = [{"name": "verify", "outcome": "passed", "started_at": at(0), "duration_s": 180.0}]
    picture = view.steps(run)
    assert picture is not None
    assert [one.label for one in picture.switches] == ["traffic to green", *(["traffic to blue"] if back else [])]


def test_part_of_a_run_in_which_nobody_counted_is_said() -> None:
    run = data()
    assert facts.watched(run) is None
    run["series"]["availability"] = {"start": BEGIN.timestamp() + 5, "seconds": [[n, 40, 0, {}] for n in range(190)]}
    assert facts.watched(run) == ("counted for 3 min 10 s, until the report was written", True)
    run["series"]["availability"]["seconds"] = [[n, 40, 0, {}] for n in range(95)]
    assert facts.watched(run) == ("Counted for 1 min 35 s; nobody counted in the last 1 min 40 s.", False)
    run["report"]["recovered"] = True
    assert "until the run's process died" in str(facts.watched(run))


def test_failures_with_one_message_are_one_entry() -> None:
    failures = [{"gate": "endpoints", "name": f"case {n}", "id": f"c{n}", "message": "status 500"} for n in range(9)]
    other = {"gate": "auth", "name": "other", "id": "o", "message": "status 500"}
    first, second = facts.groups_of_failures([*failures, other], "endpoints: case 0: status 500")
    assert (first["name"], first["others"], first["same"]) == ("case 0", 8, [f"case {n}" for n in range(1, 6)])
    assert (second["name"], second["others"]) == ("other", 0)
    unsaid = [{"gate": "auth", "name": name, "id": name, "message": ""} for name in "ab"]
    assert len(facts.groups_of_failures(unsaid, None)) == 2


def test_failure_that_decided_the_run_comes_first() -> None:
    failures = [{"gate": gate, "name": gate, "id": gate, "message": gate} for gate in ("health", "auth", "endpoints")]
    order = [one["gate"] for one in facts.groups_of_failures(failures, "endpoints: endpoints: status 500")]
    assert order == ["endpoints", "health", "auth"]


def test_what_is_known_about_the_live_release() -> None:
    assert facts.live_now(data() | {"live": "telehealth-api:1.1.0 on green"}) == "telehealth-api:1.1.0 on green"
    refused = data(verdict="refused") | {"live": None, "before": None}
    assert "did not ask" in facts.live_now(refused)
    assert facts.live_now(refused | {"before": "blue, 1.0.0"}) == "blue, 1.0.0; the run touched nothing"
    failed = data(verdict="rollback_failed") | {"live": None, "journal": [switched(100, "green")]}
    assert facts.live_now(failed) == "unknown; last switched to green"


def test_taken_back_promotion_is_said() -> None:
    def steps(**outcomes: str) -> dict[str, Any]:
        return data(steps=[{"name": name, "outcome": outcome} for name, outcome in outcomes.items()])

    assert facts.went_back(steps(promote="passed")) is None
    assert facts.went_back(steps(promote="passed", rollback="passed")) == "the release was rolled back"
    assert facts.went_back(steps(promote="passed", rollback="failed")) == "a rollback was tried, and failed"


def test_kind_of_report_is_named() -> None:
    assert facts.kind(data()) == "Deployment report"
    assert facts.kind(data(verdict="verified")) == "Verification report"
    assert facts.kind(data() | {"undoes": "20261122-blue"}) == "Rollback report"

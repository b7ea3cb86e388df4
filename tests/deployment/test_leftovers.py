"""The data that the journeys of dead runs left: removed once traffic is safe, reported, and without effect on the outcome."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.evidence.journal import Journal, read
from deployment.flow.read_back import report_read_back
from deployment.model import Colour, ReadBack, Removal
from deployment.phases import Phase
from deployment.ports import NO_JOURNEY_DATA, FrontDoor, NothingWritten, WrittenData
from deployment.recovery.leftovers import LEDGER_FILE, remove_of_ended_runs, remove_own
from tests.deployment.fakes import BLUE, NEW, FakeClock
from tests.deployment.harness import GATES, Deployment
from tests.deployment.test_complete_report import journal


class FakeData:
    """Answers with one result, and notes which ledgers it was asked about while which colour was live."""

    def __init__(self, result: Removal | None, one: Deployment | None = None) -> None:
        self.result = result
        self.one = one
        self.asked: list[tuple[str, Colour | None]] = []

    def record(self, ledger: Path, front: FrontDoor) -> FrontDoor:  # noqa: ARG002  # the port's signature
        raise AssertionError("not of a recovery")

    def write(self, url: str, ledger: Path | None) -> WrittenData:  # noqa: ARG002  # the port's signature
        raise AssertionError("not of a recovery")

    def remove(self, ledger: Path, within_s: float) -> Removal | None:
        assert within_s > 0
        self.asked.append((ledger.parent.name, None if self.one is None else self.one.cloud.routes.live))
        return self.result


def killed(one: Deployment, result: Removal | None) -> FakeData:
    """Kill the run in its bake; return the data that its recovery removes."""
    one.to_verified()
    one.machine.promote(GATES)
    one.mark_dead()
    data = FakeData(result, one)
    one.ports = replace(one.ports, data=data)
    return data


def test_data_is_removed_once_traffic_is_back(one: Deployment) -> None:
    data = killed(one, Removal(3, 1, ("order: DELETE /orders/${id}: status 500",)))
    assert one.recover() is Phase.ROLLED_BACK
    assert data.asked == [(one.id, BLUE)]
    kinds = one.journal_kinds()
    assert kinds.index("leftovers") > max(number for number, kind in enumerate(kinds) if kind == "phase")
    report = json.loads((one.folder / "verification.json").read_text())
    assert report["leftovers"] == {"removed": 3, "gone": 1, "left": ["order: DELETE /orders/${id}: status 500"]}
    assert report["verdict"] == "rolled_back"


def test_run_without_a_ledger_has_no_such_line(one: Deployment) -> None:
    killed(one, None)
    assert one.recover() is Phase.ROLLED_BACK
    assert "leftovers" not in one.journal_kinds()
    assert "leftovers" not in json.loads((one.folder / "verification.json").read_text())


def test_nothing_is_removed_while_a_person_must_act(tmp_path: Path) -> None:
    """The candidate with an irreversible migration keeps the traffic: `recover` removes the data after the decision."""
    one_way = Deployment(tmp_path / "reports", image=replace(NEW, irreversible=True))
    data = killed(one_way, Removal(1))
    assert one_way.recover() is Phase.HALTED
    assert data.asked == []
    one_way.stop_keeper()


def test_runs_that_ended_without_a_recovery(tmp_path: Path) -> None:
    """Untouched runs, verifications and runs whose report was complete; a living run's data, and that of another host, stays."""
    said: list[str] = []
    for name, more in (("a-dead", {}), ("b-alive", {"pid": os.getpid()}), ("c-elsewhere", {"host": "far-away"})):
        journal(tmp_path, name, **more)
        (tmp_path / name / LEDGER_FILE).touch()
    journal(tmp_path, "d-without-ledger")
    (tmp_path / "latest").symlink_to("a-dead")
    data = FakeData(Removal(2, 1))
    assert remove_of_ended_runs(data, tmp_path, said.append) == 2
    assert data.asked == [("a-dead", None)]
    assert said == ["a-dead: 2 entries that its journeys left in the service were removed, 1 were gone already"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, []),
        (Removal(), []),
        (Removal(2), []),
        (
            Removal(2, 0, ("order: no answer",)),
            [
                "2 entries that its journeys left in the service were removed; not removed: order: no answer. "
                "`python scripts/deploy.py recover` tries again."
            ],
        ),
    ],
)
def test_end_of_a_run(tmp_path: Path, result: Removal | None, said: Sequence[str]) -> None:
    """Only what is left is worth a line."""
    lines: list[str] = []
    remove_own(FakeData(result), tmp_path, lines.append)
    assert lines == said


def test_environment_without_journey_data(tmp_path: Path) -> None:
    assert NO_JOURNEY_DATA.remove(tmp_path / LEDGER_FILE, 1) is None
    assert list(NO_JOURNEY_DATA.write("http://x", None).read_back()) == []
    NothingWritten().remove()


class FakeWritten:
    """Data that is read with these results."""

    def __init__(self, *found: ReadBack) -> None:
        self.found = found

    def read_back(self) -> Sequence[ReadBack]:
        return self.found

    def remove(self) -> None:
        raise AssertionError("the caller removes it later")


def test_read_back_is_journalled_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    made = Journal(tmp_path / "audit.jsonl", "tester", FakeClock())
    report_read_back(FakeWritten(), made, said.append)
    assert (made.records(), said) == ([], [])
    found = (
        ReadBack("book", "GET /a"),
        ReadBack("book", "GET /b", "status 404, expected 200"),
        ReadBack("pay", "GET /c", "POST /c: no answer", written=False),
    )
    report_read_back(FakeWritten(*found), made, said.append)
    (line,) = read(made.path)
    assert (line.kind, [one["outcome"] for one in line.data["reads"]]) == (
        "read_back",
        ["readable", "not_readable", "not_written"],
    )
    assert said == [
        "written after the promotion, NOT readable after the rollback: book, GET /b: status 404, expected 200",
        "written after the promotion, not written: pay, GET /c: POST /c: no answer",
        "written after the promotion and still readable after the rollback: 1 of 3 requests",
    ]

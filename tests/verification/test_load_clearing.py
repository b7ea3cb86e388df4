"""The load removes what its users wrote, also if the service deletes slowly and much is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.verification import notes_server
from tests.verification.notes_server import Notes
from verification.journeys import ledger
from verification.journeys.accounts import SmokeUser
from verification.load.model import LoadPlan, LoadResult
from verification.load.run import run_load

ROOT = Path(__file__).resolve().parents[2]
WRITING = """
service: notes
health: {request: GET /ready, version: none}
dependencies: none
sessions:
  reader: {kind: basic}
journeys:
  write a note:
    as: reader
    live: true
    steps:
      - {name: write, request: {method: POST, path: /notes, json: {text: "${marker}"}}, expect: {status: 201}, capture: {id: $.id}}
    undo:
      - {name: delete, request: "DELETE /notes/${id}", expect: {status: 204}}
"""
# In a process of its own: gevent is Locust's, and no other process of the framework imports it.
AT_ONCE = """
import sys

from gevent.event import Event

from verification.load.locusts.clearing import remove_each

count, stuck, within_s, allowed = int(sys.argv[1]), {int(one) for one in sys.argv[2].split()}, float(sys.argv[3]), int(sys.argv[4])
at_once, most, removed, full, never = 0, 0, [], Event(), Event()


def remove(number):
    global at_once, most
    at_once += 1
    most = max(most, at_once)
    if number in stuck:
        never.wait()
    if number == 3:
        raise ValueError("of one call")
    if at_once == min(allowed, count):
        full.set()
    full.wait()
    at_once -= 1
    removed.append(number)


remove_each(range(count), remove, within_s, allowed)
print(most, len(removed))
"""


def at_once(count: int, stuck: str, within_s: float, allowed: int) -> str:
    argv = [sys.executable, "-c", AT_ONCE, str(count), stuck, str(within_s), str(allowed)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.parametrize(
    ("count", "stuck", "within_s", "allowed", "printed"),
    [
        pytest.param(200, "", 30, 20, "20 199", id="many, 20 at a time; one call raises"),
        pytest.param(3, "", 30, 20, "3 3", id="few", marks=pytest.mark.soak),
        pytest.param(0, "", 30, 20, "0 0", id="none", marks=pytest.mark.soak),
        pytest.param(60, "7 8", 1, 5, "5 57", id="two without an end"),
    ],
)
def test_several_are_removed_at_a_time(count: int, stuck: str, within_s: float, allowed: int, printed: str) -> None:
    assert at_once(count, stuck, within_s, allowed) == printed


def loaded(
    notes: Notes, tmp_path: Path, users: int, seconds: float, book: Path | None = None, **more: Any
) -> LoadResult:
    """Run a load that writes notes."""
    user = SmokeUser(**notes_server.USER)
    plan = LoadPlan(
        notes.url,
        notes_server.described(tmp_path, WRITING),
        (user,),
        users=users,
        rate=150,
        seconds=seconds,
        ledger=None if book is None else str(book),
        **more,
    )
    return run_load(plan, log=tmp_path / "load.log")


@pytest.mark.parametrize(
    ("left", "delete_s"),
    [(60, 0.3), *(pytest.param(*case, marks=pytest.mark.soak) for case in ((200, 0.3), (60, 0.9)))],
)
def test_slow_deletes_leave_nothing(notes: Notes, tmp_path: Path, left: int, delete_s: float) -> None:
    notes.fail["DELETE /notes/{}"] = left
    notes.slow["DELETE /notes/{}"] = delete_s
    result = loaded(notes, tmp_path, users=40, seconds=5)
    assert notes.fail["DELETE /notes/{}"] == 0, "more notes were meant to be left at the end of the load"
    assert (notes.stored, result.left) == ({}, 0)


def test_data_that_is_left_is_counted_and_stays_in_the_ledger(notes: Notes, tmp_path: Path) -> None:
    book = tmp_path / "journeys.jsonl"
    ledger.create(book, "test", notes.url)
    notes.fail["DELETE /notes/{}"] = 1_000_000
    result = loaded(notes, tmp_path, users=5, seconds=2, book=book)
    entries = ledger.read(book).open
    assert result.left == len(entries) >= len(notes.stored) > 20  # the load's end may have cut off an answer
    assert {one.values.get("id") for one in entries} >= {note["id"] for note in notes.stored.values()}


@pytest.mark.parametrize(("workers", "left"), [(1, 150), (2, 90)])
@pytest.mark.soak
def test_requests_after_the_load_are_not_in_its_result(notes: Notes, tmp_path: Path, workers: int, left: int) -> None:
    """They would raise the throughput, because the seconds end with the load, and change the share of failures and the times."""
    notes.fail["DELETE /notes/{}"] = left
    notes.slow["DELETE /notes/{}"] = 0.2
    result = loaded(notes, tmp_path, users=20, seconds=4, workers=workers)
    (deletes,) = (one for one in result.by_operation if one.operation.startswith("DELETE "))
    assert (notes.stored, notes.fail["DELETE /notes/{}"]) == ({}, 0)
    assert notes.seen.count("DELETE /notes/{}") - deletes.requests >= left
    assert result.failures == left
    assert sum(requests for _, requests, _, _ in result.by_second) == result.requests


@pytest.mark.parametrize(("failures", "delete_s"), [(30, 0.5), pytest.param(60, 0.3, marks=pytest.mark.soak)])
def test_removing_is_short_after_a_load_that_harmed_live(
    notes: Notes, tmp_path: Path, failures: int, delete_s: float
) -> None:
    notes.fail["DELETE /notes/{}"] = failures
    notes.slow["DELETE /notes/{}"] = delete_s
    result = loaded(notes, tmp_path, users=2, seconds=20, most_failures=failures)
    assert result.cut_short
    assert result.left >= failures - 2 * (2.0 / delete_s + 1)

"""Plays declarative checks before their items run, so that the time of waiting for answers overlaps.

Consecutive items from YAML that may overlap form a run of items. When the first of them is called, a pool begins to play all of
them, in order and at the pace of the gate's settings; each item then takes its own result. An item that is not in such a run plays
itself. Between two runs nothing is in flight, so that checks in Python, and checks that write, run alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.outcomes import OutcomeException

from plugins.declarative.items import CLIENT, LIVE_CLIENT, Played, declared_in
from plugins.fixtures import Session
from plugins.run import suites_of
from plugins.stages import BYSTANDER, CONTINUITY, Stage, check_of
from verification.http.pool import Job, Pace, Pool, Result

IN_FLIGHT, PER_SECOND = "checks_in_flight", "checks_per_second"
DEFAULT_IN_FLIGHT, DEFAULT_PER_SECOND = 8, 200.0
FRAMEWORK = "plugins."
"""Fixtures of these modules, and of pytest, make no check depend on the moment at which its item runs."""
_OF_THE_CLIENT = (*CLIENT, *LIVE_CLIENT)


@dataclass(frozen=True)
class _Run:
    """Consecutive items of one gate."""

    gate: str
    items: Sequence[pytest.Item]


class PlayAhead:
    """The checks of one process that are played ahead; see ``plugins.declarative.items.Ahead``."""

    def __init__(self, patience_s: float) -> None:
        """``patience_s``: how long a stopped run waits for checks that write to remove what they wrote."""
        self._patience_s = patience_s
        self._runs: dict[str, _Run] = {}
        self._pool: Pool[Played] | None = None
        self._started: _Run | None = None
        self._left: list[str] = []

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Take the items of a stage, in the order in which they will run."""
        self._runs = {item.nodeid: run for run in _runs(items) for item in run.items}

    def take(self, item: pytest.Item, deployment: Session, record: Callable[[Any], None]) -> Result[Played] | None:
        """Return the result of an item that is played ahead, None if it plays itself. Raises what ``record`` raises."""
        run = self._runs.pop(item.nodeid, None)
        if run is None:
            return None
        if run is not self._started:
            self._start(run, deployment)
        pool = self._pool
        return None if pool is None or item.nodeid not in pool else pool.take(item.nodeid, record)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Send no request in the block."""
        if self._pool is None:
            yield
            return
        with self._pool.pace.quiet():
            yield

    def stop(self) -> list[str]:
        """Play nothing further. Return the checks that were asked and whose items did not take their results."""
        self._runs = {}
        self._end()
        left, self._left = self._left, []
        return left

    def _end(self) -> None:
        """End the run of items that is played, and remember the results that no item took."""
        pool, self._pool, self._started = self._pool, None, None
        if pool is not None:
            pool.stop(self._patience_s)
            self._left += pool.left

    def _start(self, run: _Run, deployment: Session) -> None:
        self._end()
        self._started = run
        table = deployment.gates.get(run.gate, {})
        in_flight = int(table.get(IN_FLIGHT, DEFAULT_IN_FLIGHT))
        if in_flight == 1:
            return
        jobs = dict(_jobs(run.items, deployment))
        pace = Pace(in_flight, float(table.get(PER_SECOND, DEFAULT_PER_SECOND)))
        pool = Pool(jobs, pace, in_flight)
        with suppress(RuntimeError):  # no thread can be started, so that each item plays itself
            pool.start()
            self._pool = pool


def _runs(items: Sequence[pytest.Item]) -> Iterator[_Run]:
    run: list[pytest.Item] = []
    gate = ""
    for item in [*items, None]:
        check = None if item is None else check_of(item, suites_of(item.config))
        fits = item is not None and check is not None and _may_overlap(item, check.stage, check.gate)
        if run and not (fits and check is not None and check.gate == gate):
            if len(run) > 1:
                yield _Run(gate, run)
            run = []
        if fits and item is not None and check is not None:
            run.append(item)
            gate = check.gate


def _may_overlap(item: pytest.Item, stage: Stage, gate: str) -> bool:
    """Return whether an item may be played before it runs: nothing but its own description determines what it asks."""
    declared = declared_in(item)
    if declared is None or not declared.check.may_overlap:
        return False
    if stage >= Stage.BEFORE_LOAD or gate in (BYSTANDER, CONTINUITY):
        return False
    if any(mark.name != "parametrize" for mark in item.iter_markers()):
        return False
    definitions: Mapping[str, Sequence[Any]] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # of a Function
    own = (FRAMEWORK, "_pytest.")
    return not any(name in _OF_THE_CLIENT for name in definitions) and all(
        str(getattr(found[-1].func, "__module__", "")).startswith(own) for found in definitions.values()
    )


def _jobs(items: Sequence[pytest.Item], deployment: Session) -> Iterator[tuple[str, Job[Played]]]:
    for item in items:
        declared = declared_in(item)
        assert declared is not None, "a run has only items from YAML"
        assert isinstance(item, pytest.Function), "an item from YAML is a function"
        try:
            yield item.nodeid, declared.job(item, deployment)
        except OutcomeException:
            continue  # its fixtures fail or skip: the item shows that itself

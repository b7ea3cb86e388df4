"""Phases over xdist's workers: a scheduler that asks the coordinator before each stage.

A worker fetches the index of its next item before it runs the current one, so the last item of a stage would wait for ever
for the next stage's first. Each worker therefore appends one invisible item to its collection, the barrier: sent after the
last real item, it releases it. Its name also carries what only workers know of their items: gates, stages, deselections.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.workermanage import parse_tx_spec_config

from deployment.errors import Refused
from plugins.integrity.collection_guard import foreign_hooks
from plugins.stages import Check, Stage, check_of

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

BARRIER = "__barrier__"


class Barrier(pytest.Item):
    """The invisible item; its protocol is taken over and reports nothing."""

    def runtest(self) -> None:
        """Never called."""
        raise AssertionError("a barrier is not a check")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it would be reported, were it."""
        return self.path, None, BARRIER


class WorkerSide:
    """On a worker: appends the barrier, and lets it pass without a report."""

    def __init__(self, suites: Path) -> None:
        self._suites = suites
        self._deselected = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Counts what was deselected, by whatever option."""
        self._deselected += len(items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """After everybody else's changes to the collection; what they took out without a word counts as deselected."""
        before = {item.nodeid for item in items}
        result = yield
        self._deselected = max(self._deselected, len(before - {item.nodeid for item in items}))
        checks = [check_of(item, self._suites) for item in items]
        facts = {
            "gates": [check.gate for check in checks],
            "stages": [int(check.stage) for check in checks],
            "samples": [check.declares for check in checks],
            "deselected": self._deselected,
            "foreign_hooks": foreign_hooks(
                session.config, items
            ),  # the controller does not load the conftests of folders
        }
        name = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()
        items.append(Barrier.from_parent(session, name=f"{BARRIER}[{name}]"))
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """A barrier tears down what its predecessors left for the next item, and is done."""
        if not isinstance(item, Barrier):
            return None
        item.session._setupstate.teardown_exact(nextitem)
        return True


def decode(collection: Sequence[str]) -> tuple[list[Check], int, list[str]]:
    """A worker's collection as checks, how many it deselected, and its foreign hooks."""
    *nodeids, barrier = collection
    encoded = barrier.rpartition(f"{BARRIER}[")[2].rstrip("]")
    facts = json.loads(base64.urlsafe_b64decode(encoded))
    checks = [
        Check(nodeid, gate, Stage(stage), declares)
        for nodeid, gate, stage, declares in zip(
            nodeids, facts["gates"], facts["stages"], facts["samples"], strict=True
        )
    ]
    return checks, int(facts["deselected"]), facts["foreign_hooks"]


# What measures time shares the machine with nothing: these stages run on one worker, one check after the other.
ALONE = frozenset({Stage.LATENCY, Stage.LOAD})
# A worker runs an item only when it knows the next one; with two it works while the controller thinks.
AHEAD = 2


class PhaseScheduler:
    """xdist's ``Scheduling`` protocol: hands a stage's items out, and the barrier where no other item follows."""

    def __init__(self, coordinator: Coordinator, workers: int) -> None:
        self._run = coordinator
        self._workers = workers
        self._collections: dict[Any, list[str]] = {}
        self._pending: dict[Any, list[int]] = {}  # by worker, in the order sent, barriers included
        self._queue: deque[int] = deque()
        self._checks: list[Check] | None = None
        self._stage: Stage | None = None
        self._finished = False

    # -- what xdist asks -----------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        """The workers that may get items."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether every first worker has collected."""
        return self._checks is not None or len(self._collections) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to hand out, and nothing is being run."""
        return self._finished and not self.has_pending

    @property
    def has_pending(self) -> bool:
        """Whether a worker still has a check to run."""
        return any(self._real(node) for node in self._pending)

    def add_node(self, node: Any) -> None:
        """A worker has started."""
        self._pending[node] = []

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker has collected."""
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        """Called when all have collected, and again for each worker that replaces a lost one."""
        if self._checks is None:
            self._fix_checks()
        self._go_on()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:  # noqa: ARG002  # xdist's signature
        """A worker has run an item to its end."""
        self._pending[node].remove(item_index)
        if item_index != self._barrier:
            self._go_on()

    def remove_node(self, node: Any) -> str | None:
        """A worker is gone; the item that it ran is reported as lost, those it had not begun go to others."""
        pending = self._real(node)
        del self._pending[node]
        if not pending:
            return None
        crashed, *rest = pending
        self._queue.extendleft(reversed(rest))
        return self._collections[node][crashed]

    def mark_test_pending(self, item: str) -> None:
        """Would be asked for by plugins that run checks again. Always raises."""
        raise AssertionError(f"{item} cannot be run again: each check runs once")

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Would be asked for by work stealing. Always raises."""
        raise AssertionError(f"nothing is ever stolen from a worker ({node}: {indices})")

    # -- stages --------------------------------------------------------------------------------------------------------

    @property
    def _barrier(self) -> int:
        return len(self._checks or ())

    def _fix_checks(self) -> None:
        first, *others = self._collections.values()
        try:
            if any(other != first for other in others):
                raise Refused("the workers collected different checks; their names must not depend on chance or time")
            self._checks, deselected, strange = decode(first)
            self._run.expect(self._checks, deselected, errors=self._run.collection_errors, foreign_hooks=strange)
        except Refused as error:
            self._checks = self._checks or []
            self._finished = True
            self._run.refuse(error)

    def _go_on(self) -> None:
        """Hands out what there is, and enters the next stages when everything of this one is done."""
        while not self._finished:
            if self._run.stopped:
                self._queue.clear()
            self._hand_out()
            if self.has_pending or self._queue:
                return
            if self._run.stopped or self._stage is Stage.BAKE or not self._enter_next():
                self._finished = True

    def _enter_next(self) -> bool:
        self._stage = Stage.HEALTH if self._stage is None else Stage(self._stage + 1)
        if not self._run.enter(self._stage):
            return False
        self._queue.extend(i for i, check in enumerate(self._checks or ()) if check.stage is self._stage)
        return True

    def _hand_out(self) -> None:
        workers = [node for node in self._pending if node in self._collections and not node.shutting_down]
        if self._stage in ALONE:
            for node in workers[:1]:
                while self._queue:
                    self._send(node, self._queue.popleft())
        for ahead in range(1, AHEAD + 1):
            for node in workers:
                if self._queue and len(self._real(node)) < ahead:
                    self._send(node, self._queue.popleft())
        if not self._queue:
            for node in workers:
                if self._pending[node] and self._pending[node][-1] != self._barrier:
                    self._send(node, self._barrier)

    def _real(self, node: Any) -> list[int]:
        return [index for index in self._pending[node] if index != self._barrier]

    def _send(self, node: Any, index: int) -> None:
        self._pending[node].append(index)
        node.send_runtest_some([index])


class ParallelPhases:
    """On the controller: puts the scheduler in place, and hears of workers that are lost."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._run = coordinator

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> PhaseScheduler:
        """Whatever ``--dist`` says: the order of stages is not a matter of taste."""
        return PhaseScheduler(self._run, len(parse_tx_spec_config(config)))

    def pytest_configure_node(self, node: Any) -> None:
        """Tells a worker where the state is published, before it collects."""
        node.workerinput["deployment_state"] = str(self._run.state_file)
        node.workerinput["deployment_root"] = str(self._run.suites)

    @pytest.hookimpl(tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Comes before the lost item is reported: nothing may be promoted in between."""
        if error == "keyboard-interrupt":  # xdist's word for a check that ended pytest itself: pytest.exit, Ctrl-C
            self._run.interrupt()
        if error is not None:
            self._run.fault("verify", f"worker {node.gateway.id} was lost: {str(error).strip().splitlines()[-1]}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Workers report the files that they could not collect."""
        if report.failed:
            self._run.fail_collection()

"""Stages on xdist's workers: a scheduler that calls the coordinator before each stage.

A worker fetches the index of its next item before it runs the current one, so the last item of a stage would wait forever
for the first item of the next stage. Each worker therefore appends an invisible item to its collection, the barrier: the
scheduler sends it after the last real item, which then runs. The barrier's name also transfers facts that only workers know
about their items: gates, stages, deselections.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.workermanage import parse_tx_spec_config

from deployment.errors import Refused
from deployment.model import Reason
from plugins.integrity.assertions import assertion_problem, recorded_environment, refuse_disabled_assertions
from plugins.integrity.findings import CollectionWatch, Findings, findings, from_json
from plugins.integrity.process_guard import file_hashes, first_difference
from plugins.stages import Check, Stage, check_of, today_key
from verification.declarative.exemptions import from_facts

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

BARRIER = "__barrier__"


class Barrier(pytest.Item):
    """The invisible item; ``WorkerSide`` handles its protocol and reports nothing."""

    def runtest(self) -> None:
        """Never called. Always raises."""
        raise AssertionError("a barrier is not a check")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the location that pytest requires; it is never shown."""
        return self.path, None, BARRIER


class WorkerSide:
    """On a worker: appends the barrier, and completes it without a report."""

    def __init__(self, suites: Path, watch: CollectionWatch) -> None:
        self._suites = suites
        self._watch = watch

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Append the barrier after all other plugins."""
        result = yield
        checks = [check_of(item, self._suites) for item in items]
        facts = {
            "gates": [check.gate for check in checks],
            "stages": [int(check.stage) for check in checks],
            "samples": [check.declares for check in checks],
            "exemptions": [None if check.exemption is None else asdict(check.exemption) for check in checks],
            "assertion_problem": assertion_problem(session.config),
            "variables": recorded_environment(),
            # The controller does not load the conftests of folders, and another folder could lie on the worker's path.
            "findings": asdict(findings(session.config, items, self._suites, self._watch)),
        }
        name = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()
        items.append(Barrier.from_parent(session, name=f"{BARRIER}[{name}]"))
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Complete a barrier: tear down the fixtures that the next item does not use."""
        if not isinstance(item, Barrier):
            return None
        item.session._setupstate.teardown_exact(nextitem)
        return True


@dataclass(frozen=True)
class WorkerCollection:
    """What a worker collected, and the facts about its process that only the worker knows."""

    checks: Sequence[Check]
    findings: Findings
    assertion_problem: str | None
    variables: Mapping[str, str] = field(compare=False)


def decode(collection: Sequence[str]) -> WorkerCollection:
    """Read a worker's collection; its facts are in the name of the barrier, which comes last."""
    *nodeids, barrier = collection
    encoded = barrier.rpartition(f"{BARRIER}[")[2].rstrip("]")
    facts = json.loads(base64.urlsafe_b64decode(encoded))
    checks = [
        Check(nodeid, gate, Stage(stage), declares, None if exempt is None else from_facts(exempt))
        for nodeid, gate, stage, declares, exempt in zip(
            nodeids, facts["gates"], facts["stages"], facts["samples"], facts["exemptions"], strict=True
        )
    ]
    return WorkerCollection(checks, from_json(facts["findings"]), facts["assertion_problem"], facts["variables"])


# Stages that measure time run on one worker, one check after the other, so that nothing else uses the machine.
ALONE = frozenset({Stage.LATENCY, Stage.LOAD})
# A worker runs an item only if it knows the next one; with two items it never waits for the controller.
AHEAD = 2


class PhaseScheduler:
    """xdist's ``Scheduling`` protocol: hands out a stage's items, and the barrier if no other item follows."""

    def __init__(self, coordinator: Coordinator, workers: int) -> None:
        self._run = coordinator
        self._workers = workers
        self._collections: dict[Any, list[str]] = {}
        self._pending: dict[Any, list[int]] = {}  # by worker, in the order sent, barriers included
        self._queue: deque[int] = deque()
        self._checks: list[Check] | None = None
        self._agreed: WorkerCollection | None = None
        self._stage: Stage | None = None
        self._finished = False

    # -- called by xdist -----------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        """Return the workers that may get items."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Return whether all initial workers have collected."""
        return self._checks is not None or len(self._collections) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """Return whether all checks were handed out and none is running."""
        return self._finished and not self.has_pending

    @property
    def has_pending(self) -> bool:
        """Return whether a worker still has a check to run."""
        return any(self._real(node) for node in self._pending)

    def add_node(self, node: Any) -> None:
        """Add a worker that has started."""
        self._pending[node] = []

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Store the collection of a worker; one that replaces a lost worker must have collected the same checks."""
        if self._agreed is not None and decode(collection) != self._agreed:
            name = node.gateway.id
            what = f"worker {name}, which replaced a lost one, collected other checks or files"
            self._run.fault("verify", what)
            self._run.stop(Reason("verify", what))
            return  # it gets no check
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        """Hand out checks, once all workers have collected and again for each worker that replaces a lost one."""
        if self._checks is None:
            self._fix_checks()
        self._continue()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:  # noqa: ARG002  # xdist's signature
        """Remove an item that a worker has completed, and continue."""
        self._pending[node].remove(item_index)
        if item_index != self._barrier:
            self._continue()

    def remove_node(self, node: Any) -> str | None:
        """Remove a lost worker; return the item that it was running, and queue its other items again."""
        pending = self._real(node)
        del self._pending[node]
        if not pending:
            return None
        crashed, *rest = pending
        self._queue.extendleft(reversed(rest))
        return self._collections[node][crashed]

    def mark_test_pending(self, item: str) -> None:
        """Refuse to rerun a check. Always raises."""
        raise AssertionError(f"{item} cannot be run again: each check runs once")

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Refuse to take checks from a worker. Always raises."""
        raise AssertionError(f"checks cannot be taken from a worker ({node}: {indices})")

    # -- stages --------------------------------------------------------------------------------------------------------

    @property
    def _barrier(self) -> int:
        return len(self._checks or ())

    def _fix_checks(self) -> None:
        first, *others = [decode(collection) for collection in self._collections.values()]
        try:
            for one in (first, *others):
                refuse_disabled_assertions(one.assertion_problem, " on a worker")
            here = file_hashes(self._run.suites)
            for one in (first, *others):
                if (file := first_difference(here, one.findings.files)) is not None:
                    raise Refused(
                        f"a worker has another suites/{file} than this process",
                        hint="Run pytest in the project's folder, and change no file below suites/ during the run.",
                    )
            if any(other != first for other in others):
                raise Refused(
                    "the workers collected different checks; names of checks must not depend on chance or time"
                )
            self._checks, self._agreed = list(first.checks), first
            self._run.record_workers(len(self._collections), first.variables)
            self._run.expect(self._checks, first.findings, self._run.collection_errors)
        except Refused as error:
            self._checks = self._checks or []
            self._finished = True
            self._run.refuse(error)

    def _continue(self) -> None:
        """Hand out the queued checks, and enter the next stage once this one is done."""
        while not self._finished:
            if self._run.stopped:
                self._queue.clear()
            held = self._run.held
            self._hand_out(held)
            if self.has_pending:
                return
            if held:
                self._begin_again(self._run.settle())
                continue
            if self._queue:
                return
            if self._run.stopped or self._stage is Stage.BAKE or not self._enter_next():
                self._finished = True

    def _enter_next(self) -> bool:
        self._stage = Stage.HEALTH if self._stage is None else Stage(self._stage + 1)
        if not self._run.enter(self._stage):
            return False
        self._queue.extend(i for i, check in enumerate(self._checks or ()) if check.stage is self._stage)
        return True

    def _begin_again(self, names: Sequence[str]) -> None:
        """Queue the checks that were cut short once more, before all others."""
        again = [index for index, check in enumerate(self._checks or ()) if check.nodeid in names]
        self._queue.extendleft(reversed(again))

    def _hand_out(self, held: bool = False) -> None:
        """Send queued items, or none if they are held; then the barrier, so that the last items that were sent can run."""
        workers = [node for node in self._pending if node in self._collections and not node.shutting_down]
        if self._stage in ALONE and not held:
            for node in workers[:1]:
                while self._queue:
                    self._send(node, self._queue.popleft())
        for ahead in range(1, AHEAD + 1 if not held else 0):
            for node in workers:
                if self._queue and len(self._real(node)) < ahead:
                    self._send(node, self._queue.popleft())
        if not self._queue or held:
            for node in workers:
                if self._pending[node] and self._pending[node][-1] != self._barrier:
                    self._send(node, self._barrier)

    def _real(self, node: Any) -> list[int]:
        return [index for index in self._pending[node] if index != self._barrier]

    def _send(self, node: Any, index: int) -> None:
        self._pending[node].append(index)
        node.send_runtest_some([index])


class ParallelPhases:
    """On the controller: provides the scheduler, and records lost workers."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._run = coordinator

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> PhaseScheduler:
        """Return the scheduler for every value of ``--dist``, because the order of stages is fixed."""
        return PhaseScheduler(self._run, len(parse_tx_spec_config(config)))

    def pytest_configure_node(self, node: Any) -> None:
        """Pass the state file and its key to a worker before it collects."""
        node.workerinput["deployment_key"] = self._run.share_state()
        node.workerinput["deployment_state"] = str(self._run.state_file)
        node.workerinput["deployment_seal"] = self._run.seal.key.hex()
        node.workerinput["deployment_root"] = str(self._run.suites)
        node.workerinput["deployment_today"] = node.config.stash[today_key].isoformat()

    @pytest.hookimpl(tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Record a lost worker before xdist reports its item, so that nothing is promoted in between."""
        if error == "keyboard-interrupt":  # xdist reports this if a check ended pytest itself: pytest.exit, Ctrl-C
            self._run.interrupt()
        if error is not None:
            self._run.fault("verify", f"worker {node.gateway.id} was lost: {str(error).strip().splitlines()[-1]}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count the files that a worker could not collect."""
        if report.failed:
            self._run.fail_collection()

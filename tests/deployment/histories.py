"""Histories: several processes on one fake cloud that take turns at every call and meet faults.

``run_history`` runs the plan of a ``History``, recovers, and returns the final state. Each process is a thread that runs
only during its turn, so that the same history always runs in the same way.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployment.errors import CloudUnreachable, DeploymentError, LeaseHeld, Refused, SwitchFailed
from deployment.evidence.journal import Journal, Record, read
from deployment.evidence.verdict import GateOutcome, GateResult
from deployment.flow.lease import alive, open_deployment
from deployment.flow.machine import Machine
from deployment.flow.notices import Audience
from deployment.model import Answer, Colour, Holder, Image, Reason, Routes
from deployment.phases import Phase
from deployment.plan import Operation, Plan, Ports, Promotion
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.undo import Undo, last_promotion
from deployment.settings import DeploymentLimits
from tests.deployment.fakes import (
    OLD,
    FakeClock,
    FakeCloud,
    FakeFront,
    FakeLease,
    FakePlatform,
    FakeRouter,
    Killed,
    dead,
    elsewhere,
    image,
)
from tests.deployment.history_plan import Command, Fault, History, Kind

LIMITS = DeploymentLimits(
    bake=0.3,
    confirmations=4,
    lease_ttl=60,
    provision_timeout=30,
    promote_timeout=10,
    rollback_timeout=20,
    retire_timeout=20,
)
MAX_CALLS = 4000
CLOUD_CALLS = frozenset(
    {"describe", "provision", "progress", "retire", "stopped", "logs", "observe", "set"}
    | {"acquire", "renew", "check", "release", "current", "note", "notes"}
)
# The platform knows no fencing token. Only the check of the lease right before these calls protects them, so no turn and
# no fault comes between.
UNFENCED_CALLS = frozenset({"provision", "progress", "retire"})


class ViolationError(AssertionError):
    """A history broke an invariant."""


@dataclass
class Estate:
    """The fake cloud, the events and violations so far, and the delayed writes of routes (``late``)."""

    folder: Path
    cloud: FakeCloud = field(default_factory=lambda: FakeCloud(FakeClock()))
    allowed: set[str] = field(default_factory=lambda: {OLD.digest})
    sick: set[str] = field(default_factory=set)
    late: list[Callable[[], None]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.platform, self.router = FakePlatform(self.cloud), FakeRouter(self.cloud)
        self.lease, self.front = FakeLease(self.cloud, LIMITS.lease_ttl), FakeFront(self.cloud)

    def require(self, holds: bool, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob("*/*/audit.jsonl"))

    def records(self, deployment_id: str) -> list[Record]:
        """Return the records of one deployment from the journals of all hosts."""
        return [record for path in self.folder.glob(f"*/{deployment_id}/audit.jsonl") for record in read(path)]

    def arrive(self) -> None:
        """Carry out the delayed writes."""
        while self.late:
            self.late.pop(0)()


class Port:
    """A port of one process: every call of it is a call of that process."""

    def __init__(self, process: Process, behind: object) -> None:
        self._process, self._behind = process, behind

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._behind, name)
        if not callable(act):
            return act
        return lambda *given, **named: self._process.call(name, lambda *g: act(*(g or given), **named), given)


class ProcessClock:
    """The fake clock. While the process sleeps, its keeper renews the lease."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.now, self.monotonic = process.estate.cloud.clock.now, process.estate.cloud.clock.monotonic

    def sleep(self, seconds: float) -> None:
        self._process.keep_lease()
        # Real time always moves on; a float may not change if a tiny number is added to it.
        self._process.call("sleep", lambda: self._process.estate.cloud.clock.sleep(max(seconds, 0.001)), ())

    def beside(self, work: Callable[[], None]) -> None:
        work()


class ProcessJournal(Journal):
    """A journal whose appends are calls of its process."""

    process: Process | None = None

    def _put(self, descriptor: int, content: bytes) -> None:
        if self.process is not None and self.process.disk_full:
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super()._put(descriptor, content)

    def append(self, kind: str, **data: Any) -> Record:
        if self.process is None:
            return super().append(kind, **data)
        record: Record = self.process.call("journal", lambda: Journal.append(self, kind, **data), ())
        return record


class Process:
    """One running command, in a thread that waits for its turns."""

    def __init__(self, number: int, command: Command, estate: Estate) -> None:
        self.command, self.estate, self.id = command, estate, f"d{number}"
        self.number = number
        self.host = None if command.here else f"host-{number}"
        self.reports = estate.folder / (self.host or "here")
        self.faults = dict(command.faults)
        self.calls, self.budget, self.token = 0, 0, -1
        self.dead = self.done = self.disk_full = False
        self.ended: str | None = None
        self.error: BaseException | None = None
        self._my_turn, self._turn_over = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- turns -----------------------------------------------------------------------------------------------------

    def turn(self, calls: int) -> None:
        """Let the process make so many calls. Return after them, or when the process has ended."""
        self.budget = calls
        self._my_turn.release()
        assert self._turn_over.acquire(timeout=60), f"{self.id} did not give its turn back within 60 s"

    def _run(self) -> None:
        self._my_turn.acquire()
        try:
            {Kind.DEPLOY: self._deploy, Kind.RECOVER: self._recover, Kind.ROLLBACK: self._rollback}[self.command.kind]()
        except Killed:
            self.ended = "killed"
        except KeyboardInterrupt:
            self.ended = "interrupted"
        except DeploymentError as error:
            self.ended = type(error).__name__
        except BaseException as error:
            self.error = error
        self.done = True
        self._mark_dead()
        self._turn_over.release()

    def call(self, name: str, act: Callable[..., Any], given: Sequence[Any]) -> Any:
        """Make one call. Turns of other processes may come first, and a fault before or after the effect."""
        if self.dead:
            raise Killed(name)
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise ViolationError(f"{self.id} made more than {MAX_CALLS} calls")
        if self.budget <= 0 and name not in UNFENCED_CALLS:
            self._turn_over.release()
            self._my_turn.acquire()
        self.budget -= 1
        fault = self.faults.pop(self.calls, None)
        if fault is not None:
            self.estate.seen[fault.name] += 1
        self._before(name, act, given, fault)
        if fault is Fault.CALL_LOST and name in ("ask", "examine"):
            return ["no answer"] if name == "examine" else [Answer(False, None, None, None, "no answer")] * given[0]
        result = self._effect(name, act, given)
        if fault is Fault.DIES_AFTER:
            self._die(name)
        if fault is Fault.ANSWER_LOST and name in CLOUD_CALLS:
            raise SwitchFailed("answer lost") if name == "set" else CloudUnreachable(f"{name}: answer lost")
        return result

    def _before(self, name: str, act: Callable[..., Any], given: Sequence[Any], fault: Fault | None) -> None:
        if fault is Fault.SUSPENDED and name not in UNFENCED_CALLS:
            self.estate.cloud.clock.elapsed += LIMITS.lease_ttl + 1
            self._turn_over.release()
            self._my_turn.acquire()
        elif fault is Fault.DISK_FULL:
            self.disk_full = True
        elif fault is Fault.DIES_BEFORE:
            self._die(name)
        elif fault is Fault.INTERRUPTED:
            raise KeyboardInterrupt
        elif fault is Fault.DELAYED and name == "set":
            self.estate.late.append(lambda: self._arrive_late(act, given))
            raise SwitchFailed("no answer")
        elif fault in (Fault.CALL_LOST, Fault.DELAYED) and name in CLOUD_CALLS:
            raise CloudUnreachable(f"{name}: call lost")

    def _arrive_late(self, act: Callable[..., Any], given: Sequence[Any]) -> None:
        seen: Routes = given[0]
        if seen.revision == self.estate.cloud.routes.revision:  # the store itself compares only the revision
            self.estate.seen["arrived late"] += 1
            self._check_call("set", given)
            act(*given)

    def _effect(self, name: str, act: Callable[..., Any], given: Sequence[Any]) -> Any:
        if name == "acquire":
            holder: Holder = given[0]
            result = act(elsewhere(holder, self.host)) if self.host else act()
            self.estate.require(result.token > self.token, "the fencing token did not grow")
            self.token = result.token
            return result
        self._check_call(name, given)
        result = act()
        if name == "provision" and given[1].digest in self.estate.sick:
            self.estate.cloud.sides[given[0]].error = "sick"
        return result

    def _check_call(self, name: str, given: Sequence[Any]) -> None:
        """Record a violation if this call must never be made in the current state."""
        estate, routes = self.estate, self.estate.cloud.routes
        if name in UNFENCED_CALLS:
            holder = estate.lease.holder
            estate.require(holder is not None and holder.token == self.token, f"{self.id}: {name} without the lease")
            # `progress`, which may start an operation, gets a rollout instead of a colour.
            colour = getattr(given[0], "colour", given[0])
            estate.require(not routes.weights[colour], f"{self.id}: {name} of the live {colour}")
        if name == "set" and given[0].revision == routes.revision:
            weights = given[1]
            estate.require(sorted(weights.values()) == [0, 100], f"two live colours: {weights}")
            to = max(Colour, key=lambda colour: weights[colour])
            there = estate.cloud.sides[to].image
            estate.require(there is not None and there.digest in estate.allowed, f"{self.id}: {to} was never verified")

    def keep_lease(self) -> None:
        """Renew the lease as the keeper's thread does, which uses real time instead of the fake clock."""
        lease, now = self.estate.lease, self.estate.cloud.clock.now()
        if not self.dead and lease.holder and lease.holder.token == self.token:
            lease.holder = replace(lease.holder, expires_at=now + lease.ttl)

    def _die(self, where: str) -> None:
        self.dead = True
        raise Killed(where)

    def _mark_dead(self) -> None:
        """Change the start time of the process in the lease: no process has that pid and start time now."""
        holder = self.estate.lease.holder
        if holder and self.host is None and holder.token == self.token:
            self.estate.lease.holder = dead(holder)

    # -- the commands ----------------------------------------------------------------------------------------------

    def _ports(self) -> Ports:
        estate = self.estate

        def own(port: object) -> Any:
            return Port(self, port)

        return Ports(own(estate.platform), own(estate.router), own(estate.lease), own(estate.front), ProcessClock(self))

    def _journal(self, deployment_id: str) -> ProcessJournal:
        journal = ProcessJournal(self.reports / deployment_id / "audit.jsonl", self.id, self.estate.cloud.clock)
        journal.process = self
        return journal

    def _settle(self, ports: Ports, *, waiting: bool) -> Phase | None:
        found = open_deployment(ports)
        if found is None:
            return None
        if not waiting and found.holder is not None and alive(ports, found.holder):
            raise LeaseHeld(found.holder)
        self.estate.seen["settlements"] += 1
        return recover_run(found, Operation("test", self.id, LIMITS, ports), self.reports, Audience())

    def _recover(self) -> None:
        phase = self._settle(self._ports(), waiting=True)
        self.ended = phase.name if phase else "nothing to recover"

    def _rollback(self) -> None:
        ports = self._ports()
        promotion = last_promotion(ports)
        undo = Undo(self.id, Operation("test", self.id, LIMITS, ports), self._journal(self.id), lambda _: None)
        undo.run(promotion)
        undo.let_go()
        self.ended = undo.phase.name

    def _deploy(self) -> None:
        ports = self._ports()
        if self._settle(ports, waiting=False) is Phase.HALTED:
            self.ended = "not recovered"
            return
        release = image(f"1.{self.number + 1}.0")
        if self.command.sick:
            self.estate.sick.add(release.digest)
        target, started = ports.router.observe().live.other, ports.clock.now()
        journal = self._journal(self.id)
        journal.append("opened", deployment_id=self.id, environment="test", by=self.id, started_at=started.isoformat())
        journal.append("planned", target=target, image=release.name, digest=release.digest, by=self.id)
        machine = Machine(
            Plan(self.id, "test", target, release, self.id, started), LIMITS, ports, journal, lambda _: None
        )
        try:
            self._forward(machine, release)
        except (Exception, KeyboardInterrupt) as error:
            try:
                machine.abandon(Reason.parse(f"verify: {error}"), refused=isinstance(error, Refused))
            except KeyboardInterrupt:
                machine.abandon(Reason.parse("verify: interrupted"))
        journal.append("closed", verdict=machine.phase.value, exit_code=0)
        machine.let_go()
        self.ended = machine.phase.name

    def _forward(self, machine: Machine, release: Image) -> None:
        machine.lease()
        machine.provision()
        outcome = GateOutcome.PASSED if self.command.passes else GateOutcome.FAILED
        if not self.command.passes and not self.command.reckless:
            raise RuntimeError("health: a check failed")
        if self.command.passes:
            self.estate.allowed.add(release.digest)
        machine.promote([GateResult("health", True, outcome, 4, 0, 0.1)])
        machine.bake(lambda: "users see errors" if self.command.harmed else None)
        machine.complete()


def run_history(history: History, folder: Path) -> Estate:
    """Run the history, carry out the delayed writes, recover, and assert the invariants."""
    estate = Estate(folder)
    before = [Command(Kind.DEPLOY)] if history.promoted else []
    processes = [Process(number, command, estate) for number, command in enumerate([*before, *history.commands])]
    for process in processes[: len(before)]:
        process.turn(MAX_CALLS)
    turns = deque(history.turns)
    while running := [process for process in processes if not process.done]:
        which, calls = turns.popleft() if turns else (0, MAX_CALLS)
        running[which % len(running)].turn(calls)
        if calls % 3 == 0:
            estate.arrive()
    for process in processes:
        if process.error is not None:
            raise process.error
        estate.seen[f"{process.command.kind}: {process.ended}"] += 1
    _recover_everything(estate, len(processes))
    assert_invariants(estate)
    return estate


def _recover_everything(estate: Estate, number: int) -> None:
    estate.arrive()
    estate.cloud.clock.elapsed += LIMITS.lease_ttl + 1
    for here in (True, False):
        process = Process(number, Command(Kind.RECOVER, here=here), estate)
        while not process.done:
            process.turn(MAX_CALLS)
        if process.error is not None:
            raise process.error
        estate.seen[f"final recovery: {process.ended}"] += 1


def assert_invariants(estate: Estate) -> None:
    """Assert the invariants that hold after every recovery."""
    assert estate.violations == [], "; ".join(estate.violations)
    routes, kept = estate.cloud.routes, estate.lease.kept
    assert sorted(routes.weights.values()) == [0, 100]
    live = estate.cloud.serving()
    assert live.running, "the live colour was stopped"
    assert live.image is not None
    assert live.image.digest in estate.allowed, "the live release was never verified"
    assert "deployment" not in kept, "a deployment is still half done"
    holder = estate.lease.holder
    assert holder is None or holder.expires_at <= estate.cloud.clock.now(), "the lease is still held"
    for path in estate.journals():
        assert list(read(path)) or estate.seen[Fault.DISK_FULL.name], path  # raises if the chain is broken
    if "promotion" in kept:
        promotion = Promotion.load(kept["promotion"])
        assert baked(estate, promotion.deployment_id), "promoted, but the end of the bake is not in the journal"
    if live.image != OLD:
        number = int(live.image.version.split(".")[1]) - 1
        assert baked(estate, f"d{number}"), "live, but the end of the bake is not in the journal"


def baked(estate: Estate, deployment_id: str) -> bool:
    """Return whether a journal of the deployment has a passed outcome of the bake."""
    return any(
        record.kind == "outcome" and record.data["step"] == "bake" and record.data["outcome"] == "passed"
        for record in estate.records(deployment_id)
    )

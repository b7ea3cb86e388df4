"""Histories: several processes on one small world, taking turns at every call, meeting faults, sleeping, dying.

A ``History`` says what happens; ``run_history`` lets it happen and returns the world it ends in, settled. Each process is a
thread that runs only while it has its turn, so that a history always happens in the same way.
"""

from __future__ import annotations

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
# The platform knows no fencing token: these are only as safe as the question right before them, and nothing comes between.
UNFENCED_CALLS = frozenset({"provision", "progress", "retire"})


class ViolationError(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Estate:
    """The small world, what its history has shown so far, and the writes of routes that are still on their way."""

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

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.violations.append(what)

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob("*/*/audit.jsonl"))

    def records(self, deployment_id: str) -> list[Record]:
        """What all hosts' journals say of one deployment."""
        return [record for path in self.folder.glob(f"*/{deployment_id}/audit.jsonl") for record in read(path)]

    def arrive(self) -> None:
        """What was on its way arrives."""
        while self.late:
            self.late.pop(0)()


class Port:
    """One of a process's ports: every call of it is the process's."""

    def __init__(self, process: Process, behind: object) -> None:
        self._process, self._behind = process, behind

    def __getattr__(self, name: str) -> Callable[..., Any]:
        act = getattr(self._behind, name)
        return lambda *given, **named: self._process.call(name, lambda *g: act(*(g or given), **named), given)


class ProcessClock:
    """The world's clock; while the process sleeps its keeper renews the lease."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.now, self.monotonic = process.estate.cloud.clock.now, process.estate.cloud.clock.monotonic

    def sleep(self, seconds: float) -> None:
        self._process.keep_lease()
        # Real time moves on even where a float that is added to it does not.
        self._process.call("sleep", lambda: self._process.estate.cloud.clock.sleep(max(seconds, 0.001)), ())


class ProcessJournal(Journal):
    """A journal whose appends are calls."""

    process: Process | None = None

    def append(self, kind: str, **data: Any) -> Record:
        if self.process is None:
            return super().append(kind, **data)
        record: Record = self.process.call("journal", lambda: Journal.append(self, kind, **data), ())
        return record


class Process:
    """One command on its way, in a thread that waits for its turns."""

    def __init__(self, number: int, command: Command, estate: Estate) -> None:
        self.command, self.estate, self.id = command, estate, f"d{number}"
        self.number = number
        self.host = None if command.here else f"host-{number}"
        self.reports = estate.folder / (self.host or "here")
        self.faults = dict(command.faults)
        self.calls, self.budget, self.token = 0, 0, -1
        self.dead = self.done = False
        self.ended: str | None = None
        self.error: BaseException | None = None
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- turns -----------------------------------------------------------------------------------------------------

    def turn(self, calls: int) -> None:
        """Lets the process make so many calls; returns when it has, or has ended."""
        self.budget = calls
        self._mine.release()
        assert self._theirs.acquire(timeout=60), f"{self.id} hangs"

    def _run(self) -> None:
        self._mine.acquire()
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
        self._gone()
        self._theirs.release()

    def call(self, name: str, act: Callable[..., Any], given: Sequence[Any]) -> Any:
        """One call: somebody else's turn may come first, and fault before or after its effect."""
        if self.dead:
            raise Killed(name)
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise ViolationError(f"{self.id} never ends")
        if self.budget <= 0 and name not in UNFENCED_CALLS:
            self._theirs.release()
            self._mine.acquire()
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
            raise SwitchFailed("unheard") if name == "set" else CloudUnreachable(f"{name}: unheard")
        return result

    def _before(self, name: str, act: Callable[..., Any], given: Sequence[Any], fault: Fault | None) -> None:
        if fault is Fault.SUSPENDED and name not in UNFENCED_CALLS:
            self.estate.cloud.clock.elapsed += LIMITS.lease_ttl + 1
            self._theirs.release()
            self._mine.acquire()
        elif fault is Fault.DIES_BEFORE:
            self._die(name)
        elif fault is Fault.INTERRUPTED:
            raise KeyboardInterrupt
        elif fault is Fault.DELAYED and name == "set":
            self.estate.late.append(lambda: self._arrive_late(act, given))
            raise SwitchFailed("no answer")
        elif fault in (Fault.CALL_LOST, Fault.DELAYED) and name in CLOUD_CALLS:
            raise CloudUnreachable(f"{name}: lost")

    def _arrive_late(self, act: Callable[..., Any], given: Sequence[Any]) -> None:
        seen: Routes = given[0]
        if seen.revision == self.estate.cloud.routes.revision:  # all that the store itself compares
            self.estate.seen["arrived late"] += 1
            self._watch("set", given)
            act(*given)

    def _effect(self, name: str, act: Callable[..., Any], given: Sequence[Any]) -> Any:
        if name == "acquire":
            holder: Holder = given[0]
            result = act(replace(holder, host=self.host)) if self.host else act()
            self.estate.must(result.token > self.token, "a fencing token grows")
            self.token = result.token
            return result
        self._watch(name, given)
        result = act()
        if name == "provision" and given[1].digest in self.estate.sick:
            self.estate.cloud.sides[given[0]].error = "sick"
        return result

    def _watch(self, name: str, given: Sequence[Any]) -> None:
        """What must never be done is noted as it is done."""
        estate, routes = self.estate, self.estate.cloud.routes
        if name in UNFENCED_CALLS:
            holder = estate.lease.holder
            estate.must(holder is not None and holder.token == self.token, f"{self.id}: {name} without the lease")
            colour = getattr(
                given[0], "colour", given[0]
            )  # progress, which may start an operation, is asked with a rollout
            estate.must(not routes.weights[colour], f"{self.id}: {name} of the live {colour}")
        if name == "set" and given[0].revision == routes.revision:
            weights = given[1]
            estate.must(sorted(weights.values()) == [0, 100], f"two live colours: {weights}")
            to = max(Colour, key=lambda colour: weights[colour])
            there = estate.cloud.sides[to].image
            estate.must(there is not None and there.digest in estate.allowed, f"{self.id}: {to} was never verified")

    def keep_lease(self) -> None:
        """What the keeper's thread does; it knows nothing of the world's time."""
        lease, now = self.estate.lease, self.estate.cloud.clock.now()
        if not self.dead and lease.holder and lease.holder.token == self.token and lease.holder.expires_at > now:
            lease.holder = replace(lease.holder, expires_at=now + lease.ttl)

    def _die(self, where: str) -> None:
        self.dead = True
        raise Killed(where)

    def _gone(self) -> None:
        """Nobody has that pid and that start any more."""
        holder = self.estate.lease.holder
        if holder and self.host is None and holder.token == self.token:
            self.estate.lease.holder = replace(holder, process_started=0.0)

    # -- what it was started for -----------------------------------------------------------------------------------

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
            self.ended = "not settled"
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
    """Lets it happen, then what was late arrives and ``recover`` settles what is left; the invariants are asserted."""
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
        estate.seen[f"at last: {process.ended}"] += 1


def assert_invariants(estate: Estate) -> None:
    """What holds in every world that was settled."""
    assert estate.violations == [], "; ".join(estate.violations)
    routes, kept = estate.cloud.routes, estate.lease.kept
    assert sorted(routes.weights.values()) == [0, 100]
    live = estate.cloud.serving()
    assert live.running, "the live colour was stopped"
    assert live.image is not None
    assert live.image.digest in estate.allowed, "what is live was verified, or was live before"
    assert "deployment" not in kept, "nothing is left half done"
    holder = estate.lease.holder
    assert holder is None or holder.expires_at <= estate.cloud.clock.now(), "nobody keeps the lease"
    for path in estate.journals():
        assert list(read(path)), path  # raises where the chain does not hold
    if "promotion" in kept:
        promotion = Promotion.load(kept["promotion"])
        assert baked(estate, promotion.deployment_id), "promoted, and the end of its bake was never journalled"
    if live.image != OLD:
        number = int(live.image.version.split(".")[1]) - 1
        assert baked(estate, f"d{number}"), "live, and the end of its bake was never journalled"


def baked(estate: Estate, deployment_id: str) -> bool:
    """Whether a journal of the deployment has the bake's outcome, and it passed."""
    return any(
        record.kind == "outcome" and record.data["step"] == "bake" and record.data["outcome"] == "passed"
        for record in estate.records(deployment_id)
    )

"""A deployment on the fake cloud that tests build, run, kill and examine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployment.events import Event
from deployment.evidence.journal import Journal, Record, read
from deployment.evidence.opening import written_by
from deployment.evidence.verdict import GateOutcome, GateResult
from deployment.flow.lease import open_deployment
from deployment.flow.machine import Machine
from deployment.flow.notices import Audience
from deployment.model import Image, Reason
from deployment.phases import Phase
from deployment.plan import Operation, Plan, Ports, Promotion
from deployment.ports import NO_ALARMS, Alarms
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.recover import UNDECIDED, Decision
from deployment.recovery.undo import Undo, last_promotion
from deployment.settings import DeploymentLimits
from tests.deployment.fakes import (
    GREEN,
    NEW,
    FakeClock,
    FakeCloud,
    FakeFront,
    FakeLease,
    FakePlatform,
    FakeRouter,
    dead,
)

# Seconds. The keeper renews in real time after a third of this, which no test reaches; and the fake clock may pass
# rollback_timeout within it.
TTL = 3000.0
LIMITS = DeploymentLimits(bake=0.3, confirmations=4, lease_ttl=TTL)
GATES = [GateResult("health", True, GateOutcome.PASSED, 4, 0, 0.1, ran=4)]
ACTOR = "arn:aws:iam::123456789012:role/deployer"
Harm = Callable[[], str | None]


class CountedJournal(Journal):
    """A journal whose appends are calls of the fake cloud: they count, and a trap may raise around them.

    ``disk``: a function that gets the number of the next write and returns the error that the disk answers it with.
    """

    cloud: FakeCloud | None = None
    disk: Callable[[int], OSError | None] = staticmethod(lambda _: None)
    writes = 0

    def _put(self, descriptor: int, content: bytes) -> None:
        self.writes += 1
        if error := self.disk(self.writes):
            os.write(descriptor, content[: len(content) // 2])
            raise error
        super()._put(descriptor, content)

    def append(self, kind: str, **data: Any) -> Record:
        if self.cloud is None:
            return super().append(kind, **data)
        with self.cloud.call("journal"):
            return super().append(kind, **data)


class Deployment:
    """A machine with its fake cloud and its folder of reports. ``green`` gets 1.1.0 while ``blue`` is live on 1.0.0."""

    def __init__(
        self,
        reports: Path,
        limits: DeploymentLimits = LIMITS,
        deployment_id: str = "one",
        alarms: Alarms = NO_ALARMS,
        image: Image = NEW,
    ) -> None:
        self.reports, self.limits, self.id = reports, limits, deployment_id
        self.cloud = FakeCloud(FakeClock())
        self.platform, self.router = FakePlatform(self.cloud), FakeRouter(self.cloud)
        self.lease, self.front = FakeLease(self.cloud, limits.lease_ttl), FakeFront(self.cloud)
        self.ports = Ports(self.platform, self.router, self.lease, self.front, self.cloud.clock, alarms)
        self.events: list[Event] = []
        self.journal = CountedJournal(self.folder / "audit.jsonl", ACTOR, self.cloud.clock)
        started = self.cloud.clock.now()
        self.journal.append(
            "opened",
            deployment_id=self.id,
            environment="test",
            target=GREEN,
            by=ACTOR,
            started_at=started.isoformat(),
            **written_by(),
        )
        self.journal.append(
            "planned", target=GREEN, image=image.name, digest=image.digest, version=image.version, by=ACTOR
        )
        self.journal.cloud = self.cloud
        self.cloud.journal_length = lambda: self.journal.path.read_bytes().count(b"\n")
        plan = Plan(self.id, "test", GREEN, image, ACTOR, started)
        self.machine = Machine(plan, limits, self.ports, self.journal, self.events.append)

    @property
    def folder(self) -> Path:
        return self.reports / self.id

    def records(self) -> list[Record]:
        """Return the records on the disk, without a call of the fake cloud."""
        return list(read(self.folder / "audit.jsonl"))

    def journal_kinds(self) -> list[str]:
        return [record.kind for record in self.records()]

    def step_log(self) -> list[str]:
        """Return steps and phases from the journal: ``>step`` intended, ``+step`` passed, ``-step`` failed."""
        words = []
        for record in self.records():
            if record.kind == "intent":
                words.append(f">{record.data['step']}")
            elif record.kind == "outcome":
                words.append(("+" if record.data["outcome"] == "passed" else "-") + record.data["step"])
            elif record.kind == "phase":
                words.append(record.data["after"])
        return words

    def forward(self, harm: Harm = lambda: None, gates: Sequence[GateResult] = GATES) -> None:
        """Run all steps as the coordinator does; the first error is raised."""
        self.to_verified()
        self.machine.promote(gates)
        self.machine.bake(harm)
        self.machine.complete()
        self.machine.let_go()

    def to_verified(self) -> None:
        self.machine.lease()
        self.machine.provision()

    def run(self, harm: Harm = lambda: None, gates: Sequence[GateResult] = GATES) -> Phase:
        """Run all steps, abandon the deployment at the first error, and return its last phase."""
        try:
            self.forward(harm, gates)
        except Exception as error:
            self.machine.abandon(Reason.parse(f"verify: {error}"))
            self.machine.let_go()
        return self.machine.phase

    # -- death and recovery ----------------------------------------------------------------------------------------

    def mark_dead(self) -> None:
        """Make the process dead: stop its thread, remove its traps, and change its start time in the lease."""
        self.stop_keeper()
        self.cloud.dead, self.cloud.trap, self.journal.cloud = False, None, None
        if self.lease.holder:
            self.lease.holder = dead(self.lease.holder)

    def stop_keeper(self) -> None:
        keeper = self.machine._keeper
        if keeper:
            keeper.stop()

    def operation(self, actor: str = ACTOR) -> Operation:
        return Operation("test", actor, self.limits, self.ports)

    def recover(self, reports: Path | None = None, decision: Decision = UNDECIDED) -> Phase | None:
        """Recover the deployment as ``recover`` does. Return its last phase, or None if there is nothing to recover."""
        found = open_deployment(self.ports)
        if found is None:
            return None
        by = self.operation("recoverer")
        return recover_run(found, by, reports or self.reports, Audience(), decision=decision)

    def report(self, reports: Path | None = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(((reports or self.reports) / self.id / "verification.json").read_text())
        return found

    def promotion(self) -> Promotion | None:
        text = self.lease.kept.get("promotion")
        return Promotion.load(text) if text else None

    def undo(self) -> Undo:
        """Undo the last promotion. Raises Refused if there is none."""
        promotion = last_promotion(self.ports)
        journal = Journal(self.reports / "undo" / "audit.jsonl", ACTOR, self.cloud.clock)
        undo = Undo("undo", self.operation(), journal, self.events.append)
        undo.run(promotion)
        undo.let_go()
        return undo

    def expire_lease(self) -> None:
        self.cloud.clock.elapsed += timedelta(seconds=self.limits.lease_ttl).total_seconds() + 1

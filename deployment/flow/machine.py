"""The machine: one deployment's phases, each step at most once, and a way out of every phase.

Whoever drives it calls ``lease``, ``provision``, ``promote``, ``begin_live``, ``bake``, ``complete`` in that order, and
``abandon`` instead of going on: what that does depends on the phase (refused, rejected, rolled back, halted).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from deployment.errors import (
    CloudError,
    DeploymentError,
    LeaseLost,
    ProvisionFailed,
    RouteConflict,
    StepFailed,
    first_line,
)
from deployment.events import Listener, PhaseChanged
from deployment.evidence.journal import Journal
from deployment.evidence.verdict import GateResult, must_have_passed
from deployment.flow.alarms import AlarmWatch, quiet
from deployment.flow.bake import Watched, bake
from deployment.flow.canary import CanaryStep, Share
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.flow.reverify import check_live, nothing_half_done, reverify, still_the_same
from deployment.flow.rollback import retire, send_back
from deployment.flow.steps import Steps
from deployment.flow.switch import Destination, confirm, undisturbed, write
from deployment.model import Holder, Readiness, Routes, Service
from deployment.phases import TERMINAL, Outcome, Phase, advance
from deployment.plan import ApprovalRequest, DeploymentRecord, LiveSnapshot, Plan, Ports, Promotion
from deployment.polling import poll
from deployment.settings import NEVER, DeploymentLimits
from deployment.strategy import Shift


class Machine:
    """One deployment, from PENDING to one of the terminal phases."""

    def __init__(
        self, plan: Plan, limits: DeploymentLimits, ports: Ports, journal: Journal, listener: Listener
    ) -> None:
        self.plan = plan
        self.limits = limits
        self.ports = ports
        self.journal = journal
        self.phase = Phase.PENDING
        self.reason: str | None = None
        self.previous: LiveSnapshot | None = None
        self.candidate: Service | None = None
        self.request: ApprovalRequest | None = None
        self.holder: Holder | None = None
        self.promoted_generation: int | None = None
        self.manifest: tuple[str, ...] = ()
        self.touched = False  # the target colour was, or may have been, changed
        self.baked = False  # the bake ended without harm
        self.doubtful = False  # a write of the routes may still arrive
        self.alarms: AlarmWatch | None = None  # from the switch on
        self.sick: str | None = None  # what was wrong with what was live before anything was touched
        self.kept = False  # halted, and a person has decided to leave traffic where it is
        self.back_allowed = False  # traffic may go back although the release's migration is irreversible
        self.steps = Steps(journal, ports.clock, listener, self._publish)
        self._phase_since = ports.clock.now()
        self._keeper: LeaseKeeper | None = None
        self._baking_since = 0.0
        self._verifying_since = 0.0
        self._closed = False

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be done."""
        return self.phase in TERMINAL

    # -- the way forward -------------------------------------------------------------------------------------------

    def lease(self, take_over: int | None = None, on_sick_live: str | None = None) -> LiveSnapshot:
        """Takes the lock; the other colour must be live and well, unless that is borne (why). Raises Refused or StepFailed."""
        plan, ports = self.plan, self.ports
        with self.steps.step("lease", "take the lock and look at what is live") as result:
            owner = this_process(plan.deployment_id, plan.actor, ports.clock, self.limits, f"deploy {plan.image.name}")
            holder = ports.lease.acquire(owner, take_over=take_over)
            nothing_half_done(plan, ports, holder)
            self.hold(holder)
            self._move(Outcome.OK)
            self.previous, self.sick = live, sick = check_live(plan, ports, self.journal, on_sick_live)
            well = f"well on {live.version}" if sick is None else f"SICK ({sick}); deploying all the same"
            result["detail"] = f"{live.colour} is live and {well}"
        return live

    def hold(self, holder: Holder) -> None:
        """Acts from now on as this holder, and keeps the lease alive."""
        self.holder = holder
        self._keeper = LeaseKeeper(self.ports.lease, holder, self.limits.lease_ttl)
        self._keeper.start()

    def provision(self) -> Service:
        """Brings the release up on the target colour. Raises ProvisionFailed or DeadlinePassed."""
        plan, ports = self.plan, self.ports
        self.touched = True
        self._move(Outcome.OK)
        with self.steps.step("provision", f"bring up {plan.image.name} on {plan.target}") as result:
            ports.lease.check(self._held())
            rollout = ports.platform.provision(plan.target, plan.image)
            self.journal.append("rollout", colour=plan.target, digest=rollout.digest, operation=rollout.operation)
            last = [f"{plan.target} to run {plan.image.name}"]

            def attempt() -> Service | None:
                self.still_ours()
                ports.lease.check(
                    self._held()
                )  # it may start the rollout's next operation, and this run may have slept
                progress = ports.platform.progress(rollout)
                last[0] = progress.detail
                if progress.readiness is Readiness.STUCK:
                    raise ProvisionFailed(progress.detail)
                return ports.platform.describe(plan.target) if progress.readiness is Readiness.READY else None

            self.candidate = poll(
                ports.clock,
                attempt,
                timeout_s=self.limits.provision_timeout,
                waiting_for=lambda: last[0],
                tick=lambda elapsed: self.steps.waiting(last[0], elapsed),
            )
            result["detail"] = f"{plan.image.name} runs on {plan.target}, digest {plan.image.digest[:19]}"
        self._move(Outcome.OK)
        self._verifying_since = ports.clock.monotonic()
        self.steps.begin("verify", f"verify {plan.image.name} on {plan.target}")
        return self.candidate

    def await_yes(self, request: ApprovalRequest) -> None:
        """Verified, and kept as it is until another principal has approved; ``deployment.flow.approval`` does the waiting."""
        self.steps.end(True, "every required gate passed; an approval is needed")
        self.request = request
        self._move(Outcome.HELD)

    def promote(self, gates: Sequence[GateResult], shifts: Sequence[Shift] = (), share: Share | None = None) -> None:
        """Moves all traffic to the candidate and sees it arrive. Everything that was verified is read again right before.

        ``shifts``: it first takes these shares of the traffic, one after the other, each watched by ``share``.
        """
        must_have_passed(gates)
        if self.phase not in (Phase.VERIFYING, Phase.AWAITING_APPROVAL):
            raise AssertionError(f"promotion was asked for in phase {self.phase}")
        was, since = self._previous(), self._verifying_since
        reverify(self.plan, self.limits, self.ports, was, self.candidate, since, sick=self.sick is not None)
        if self.sick is None:
            quiet(self.ports.alarms, was.colour, self.journal)
        self.steps.end(True, f"{sum(gate.checks for gate in gates)} checks passed in {len(gates)} gates")
        self.alarms = AlarmWatch(self.ports.alarms, self.plan.target, self.ports.clock, self.journal)
        seen = self.ports.router.observe()
        undisturbed(seen, was.colour, was.generation)
        self._move(Outcome.OK)
        to = self._candidate_destination()
        with self.steps.step("promote", f"move traffic to {to.colour}", generation=seen.generation + 1) as result:
            if share is not None:
                held = CanaryStep(
                    self.ports, self.steps, share, self.alarms, self.still_ours, self.limits.promote_timeout
                )
                for shift in shifts:
                    seen = self._switch(seen, to, shift.weight)
                    self.journal.append(
                        "shifted", colour=to.colour, generation=seen.generation, **held.hold(shift, seen)
                    )
            found = self._switch(seen, to)
            result["detail"] = confirm(
                self.ports,
                self.steps,
                to,
                found.generation,
                answers=self.limits.confirmations,
                timeout_s=self.limits.promote_timeout,
            )
        self._baking_since = self.ports.clock.monotonic()
        self._move(Outcome.OK)
        self.steps.begin("live", f"verify {self.plan.image.name} through the live domain")

    def _switch(self, seen: Routes, to: Destination, weight: int = 100) -> Routes:
        found = self._write(seen, to, weight)
        self.promoted_generation = found.generation
        self.journal.append("switched", colour=to.colour, generation=found.generation, weight=weight)
        return found

    def bake(self, harm: Callable[[], str | None]) -> None:
        """Watches the promoted release until it has been live for ``bake`` seconds. Raises StepFailed at the first harm.

        The step stays open until ``complete``: its outcome, which makes a promotion stand whatever dies, is only journalled
        when the checks that look at the watch have passed as well.
        """
        self.steps.end(True, "verified through the live domain")
        seconds = self.limits.bake
        self.steps.begin("bake", f"watch {self.plan.target} for {seconds:g} s")
        watched = Watched(self.plan.target, self.promoted_generation or 0, harm, self.alarms, self._still_the_same)
        since, ours = self._baking_since, self.still_ours
        bake(self.ports, self.steps, watched, since=since, seconds=seconds, still_ours=ours)

    def _still_the_same(self) -> None:
        still_the_same(self.plan, self.ports, self.candidate, self.journal)

    def complete(self) -> None:
        """The deployment is done: promoted, baked and verified. One whose lease was lost meanwhile is abandoned instead."""
        try:
            self.ports.lease.check(self._held())
        except LeaseLost as error:
            self.abandon(f"bake: {first_line(error)}")
            return
        except CloudError as error:
            self.journal.append("check_failed", error=first_line(error))
        self.steps.end(True, f"{self.limits.bake:g} s without harm")
        self.baked = True
        self._move(Outcome.OK)

    # -- the way out -----------------------------------------------------------------------------------------------

    def abandon(self, reason: str, *, refused: bool = False, moved: bool = False) -> None:
        """Ends a deployment that did not come through; safe to call again. ``reason`` is ``STEP_OR_GATE: text``.

        ``moved`` takes for granted that traffic may have moved, whatever the routes say.
        """
        if self.settled:
            return
        self.reason = self.reason or reason
        self.steps.end(False, reason.partition(": ")[2] or reason)
        if self.phase in (Phase.PENDING, Phase.LEASED):
            self._move(Outcome.REFUSED if refused else Outcome.FAILED)
        elif self.phase in (Phase.PROVISIONING, Phase.VERIFYING, Phase.AWAITING_APPROVAL):
            self._move(Outcome.FAILED)
            self._retire()
        elif self.phase is Phase.PROMOTING and not moved and self._never_moved():
            self._move(Outcome.UNMOVED)
            self._retire()
        else:
            self._roll_back()

    def finish_settled(self, promoted_generation: int | None) -> None:
        """Does what a run that died after its outcome was journalled left undone: stops the candidate."""
        self.promoted_generation = promoted_generation
        if self.phase is Phase.ROLLED_BACK or (self.phase is Phase.REJECTED and self.touched):
            self._retire()

    def _freeze(self) -> None:
        """There is no safe side to send traffic to: it stays where it is until a person decides."""
        image = self.plan.image
        self.journal.append("frozen", image=image.name, colour=self.plan.target)
        self.reason = (
            f"{self.reason}; frozen: the migration of {image.name} is irreversible, so traffic was not sent back"
        )
        self._move(Outcome.FAILED if self.phase is Phase.ROLLING_BACK else Outcome.FROZEN)

    def _roll_back(self) -> None:
        if self.plan.image.irreversible and not self.back_allowed:
            self._freeze()
            return
        if self.phase is not Phase.ROLLING_BACK:
            self._move(Outcome.FAILED)
        previous = self._previous()
        try:
            with self.steps.step("rollback", f"move traffic back to {previous.colour}") as result:
                result["detail"] = send_back(self.ports, self.steps, self._held(), previous, self.limits)
        except DeploymentError as error:
            self.reason = f"rollback: {first_line(error)}; it was begun because of {self.reason}"
            self._move(Outcome.FAILED)
            return
        self._move(Outcome.OK)
        self._retire()

    def _retire(self) -> None:
        """Stops the failed candidate and keeps its logs; traffic is safe by now, so a failure here changes no verdict."""
        retire(self.ports, self.steps, self.journal, self.plan, self.limits, self.holder)

    def _write(self, seen: Routes, to: Destination, weight: int) -> Routes:
        try:
            return write(self.ports, self.steps, self._held(), seen, to, weight)
        except (CloudError, RouteConflict, LeaseLost):
            raise  # nothing was written, for certain
        except BaseException:
            self.doubtful = True
            raise

    def _never_moved(self) -> bool:
        """Whether traffic stayed where it was, for certain: a write that may still arrive is made to miss by another."""
        previous, holder = self._previous(), self._held()
        try:
            seen = self.ports.router.observe()
            if self.promoted_generation is not None or seen.weights.get(previous.colour) != 100:
                return False
            if seen.fence == holder.token:  # ours took effect, and somebody moved the traffic back
                return False
            if self.doubtful and seen.fence < holder.token:
                write(
                    self.ports,
                    self.steps,
                    holder,
                    seen,
                    Destination(previous.colour, previous.origin, previous.version),
                )
        except (CloudError, StepFailed, RouteConflict, LeaseLost):
            return False
        return True

    # -- what each of them leans on --------------------------------------------------------------------------------

    def still_ours(self) -> None:
        """Raises LeaseLost as soon as this run may not act any more."""
        if self._keeper and self._keeper.lost:
            raise LeaseLost(self._keeper.lost)

    def _candidate_destination(self) -> Destination:
        if self.candidate is None:
            raise AssertionError("nothing was provisioned")
        return Destination(self.plan.target, self.candidate.origin, self.plan.image.version)

    def _held(self) -> Holder:
        if self.holder is None:
            raise LeaseLost("this run does not hold the lease")
        return self.holder

    def _previous(self) -> LiveSnapshot:
        if self.previous is None:
            raise AssertionError("the live colour was never looked at")
        return self.previous

    def _move(self, outcome: Outcome) -> None:
        before, self.phase = self.phase, advance(self.phase, outcome)
        self._phase_since = self.ports.clock.now()
        self.journal.append("phase", before=before, after=self.phase, reason=self.reason)
        self._publish()
        self.steps.notify(PhaseChanged(before, self.phase, self.reason))

    def record(self) -> DeploymentRecord:
        """This deployment as the lease item carries it."""
        plan, owner = self.plan, self._held()
        return DeploymentRecord(
            plan.deployment_id,
            plan.environment,
            self.phase,
            self._phase_since.isoformat(),
            self.steps.current,
            plan.target,
            plan.image,
            self.previous,
            plan.actor,
            plan.started_at.isoformat(),
            owner.host,
            owner.pid,
            owner.process_started,
            self.reason,
            self.touched,
            self.baked,
            self.request,
            self.back_allowed,
        )

    def _publish(self) -> None:
        """Writes the deployment beside the lease. Where that is refused, only what moves towards safety goes on."""
        if self.holder is None:
            return
        try:
            self.ports.lease.note(self.holder, {"deployment": self.record().dump(), "head": self.journal.head})
        except (CloudError, LeaseLost) as error:
            if self.phase not in TERMINAL and self.phase is not Phase.ROLLING_BACK:
                raise
            self.journal.append("note_failed", error=first_line(error))

    def let_go(self) -> str | None:
        """Closes the note and gives the lease back; safe to repeat. The last thing to do, after the report was written:
        until then whatever dies is found by the next command. A halted deployment keeps both, so that nobody deploys on it.

        Returns what went wrong, None where all went well.
        """
        if self._keeper:
            self._keeper.stop()
        if self.holder is None or self._closed or (self.phase is Phase.HALTED and not self.kept):
            return None
        notes: dict[str, str | None] = {"deployment": None, "head": self.journal.head}
        if self.phase is Phase.SUCCEEDED:
            notes["promotion"] = self._promotion().dump()
            notes["checks"] = json.dumps(self.manifest)
        elif self.phase is Phase.ROLLED_BACK or self.touched:
            notes["promotion"] = None  # the colour that it would go back to was just deployed to, and stopped
        try:
            self.ports.lease.note(self.holder, notes)
            self.ports.lease.release(self.holder)
            self._closed = True
        except (CloudError, LeaseLost) as error:
            return f"the lock was not given back, run recover: {first_line(error)}"  # the journal is closed, and signed
        return None

    def _promotion(self) -> Promotion:
        return Promotion(
            self.plan.deployment_id,
            self.plan.target,
            self.plan.image,
            self.promoted_generation or 0,
            self._previous(),
            self.ports.clock.now().isoformat(),
            None if self.limits.retire_after == NEVER else float(self.limits.retire_after),
        )

"""The state machine of one deployment: it performs each step at most once, and it can end a deployment in every phase.

The caller calls ``lease``, ``provision``, ``promote``, ``bake`` and ``complete`` in that order. If something fails, it calls
``abandon`` instead of the next step; the phase decides whether that refuses, rejects, rolls back or halts the deployment.

``DeploymentState`` holds what the deployment knows; only the methods here change it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deployment.errors import (
    CloudError,
    DeadlinePassed,
    DeploymentError,
    JournalUnwritable,
    LeaseLost,
    LiveIsHealthier,
    ProvisionFailed,
    RouteConflict,
    SettingsError,
    StepFailed,
    first_line,
)
from deployment.evidence.verdict import GateResult, checks_passed, must_have_passed
from deployment.flow.alarms import AlarmWatch, refuse_firing_alarms
from deployment.flow.bake import BakeWatch, UnchangedWatch, bake
from deployment.flow.canary import CanaryStep, CanaryWatch
from deployment.flow.lease import regain, this_process
from deployment.flow.reverify import Verified, check_live, refuse_open_deployment, reverify, still_verified
from deployment.flow.rollback import ByHand, MovedBack, Retirement, move_traffic_back, retire
from deployment.flow.state import DeploymentState
from deployment.flow.switch import Confirmation, Destination, confirm, refuse_changed_routes, write
from deployment.model import UNRECORDED, Colour, Readiness, Reason, Routes, Service
from deployment.phases import Outcome, Phase
from deployment.plan import ApprovalRequest, LiveSnapshot, Promotion
from deployment.polling import poll
from deployment.strategy import Shift

Beside = Callable[[], str | None]


def nothing_beside() -> str | None:
    """Return nothing about the previous colour: this caller has not watched it."""
    return None


class Machine(DeploymentState):
    """One deployment, from PENDING to one of the terminal phases."""

    __slots__ = ()

    # -- the way forward -------------------------------------------------------------------------------------------

    def lease(self, take_over: int | None = None, allow_unhealthy_live: str | None = None) -> LiveSnapshot:
        """Take the lock and check the live colour, which must be the other one and healthy.

        ``take_over``: the fencing token of a dead holder. ``allow_unhealthy_live``: why an unhealthy live colour is
        accepted. Raises Refused or StepFailed.
        """
        plan, ports = self._plan, self._ports
        with self._steps.step("lease", "take the lock and check the live colour") as result:
            owner = this_process(plan.deployment_id, plan.actor, ports.clock, self._limits, f"deploy {plan.image.name}")
            holder = ports.lease.acquire(owner, take_over=take_over)
            refuse_open_deployment(plan, ports, holder)
            self._hold(holder)
            self._move(Outcome.OK)
            live, problem = check_live(plan, ports, self._journal, allow_unhealthy_live)
            self._previous, self._live_problem = live, problem
            allowed = f"UNHEALTHY ({problem}), which was allowed: {allow_unhealthy_live}"
            state = f"healthy on {live.version or live.digest}" if problem is None else allowed
            result["detail"] = f"{live.colour} is live and {state}"
            result["live"] = live.as_journal(problem and f"{problem}, which was allowed: {allow_unhealthy_live}")
        return live

    def provision(self) -> Service:
        """Start the release on the target colour and wait until it runs. Raises ProvisionFailed or DeadlinePassed."""
        plan, ports = self._plan, self._ports
        self._journal.require_written()  # before the target counts as touched, and would be stopped
        self._touched = True
        self._move(Outcome.OK)
        with self._steps.step("provision", f"bring up {plan.image.name} on {plan.target}") as result:
            ports.lease.check(self._held())
            rollout = ports.platform.provision(plan.target, plan.image)
            self._journal.append("rollout", colour=plan.target, digest=rollout.digest, operation=rollout.operation)
            last = [f"{plan.target} does not run {plan.image.name} yet"]

            def attempt() -> Service | None:
                self.still_ours()
                # progress() may start the rollout's next operation, and this process may have been suspended.
                ports.lease.check(self._held())
                progress = ports.platform.progress(rollout)
                last[0] = progress.detail
                if progress.readiness is Readiness.STUCK:
                    raise ProvisionFailed(progress.detail)
                return ports.platform.describe(plan.target) if progress.readiness is Readiness.READY else None

            candidate = self._candidate = poll(
                ports.clock,
                attempt,
                timeout_s=self._limits.provision_timeout,
                waiting_for=lambda: last[0],
                tick=lambda elapsed: self._steps.waiting(last[0], elapsed),
            )
            result["detail"] = f"{plan.image.name} runs on {plan.target}, digest {plan.image.digest[:19]}"
        self._move(Outcome.OK)
        self._verifying_since = ports.clock.monotonic()
        self._steps.begin("verify", f"verify {plan.image.name} on {plan.target}")
        return candidate

    def await_approval(self, request: ApprovalRequest) -> None:
        """End the verification and keep everything as it is; ``deployment.flow.approval`` waits for the approval."""
        self._steps.end(True, "every required gate passed; an approval is needed")
        self._request = request
        self._move(Outcome.HELD)

    def promote(
        self, gates: Sequence[GateResult], shifts: Sequence[Shift] = (), watch: CanaryWatch | None = None
    ) -> None:
        """Move all traffic to the candidate and confirm it on the live domain.

        Everything that was verified is read again right before the first write. ``shifts``: the shares of traffic that the
        candidate gets first, one after the other; ``watch`` watches each. Raises StepFailed, RouteConflict, CloudError or
        LeaseLost.
        """
        must_have_passed(gates)
        if self._phase not in (Phase.VERIFYING, Phase.AWAITING_APPROVAL):
            raise AssertionError(f"promotion was requested in phase {self._phase}")
        previous, healthy = self._live_before(), self._live_problem is None
        verified = Verified(self._candidate, self._verifying_since, self._held())
        reverify(self._plan, self._limits, self._ports, previous, verified, can_go_back=healthy)
        if healthy:
            refuse_firing_alarms(self._ports.alarms, previous.colour, self._journal)
        self._steps.end(True, checks_passed(gates))
        self._alarms = AlarmWatch(self._ports.alarms, self._plan.target, self._ports.clock, self._journal)
        seen = self._ports.router.observe()
        refuse_changed_routes(seen, previous.colour, previous.generation)
        self._move(Outcome.OK)
        to = self._candidate_destination()
        with self._steps.step("promote", f"move traffic to {to.colour}", generation=seen.generation + 1) as result:
            if watch is not None:
                seen = self._shift(seen, to, shifts, watch)
            written = self._switch(seen, to)
            wanted = Confirmation(self._limits.confirmations, self._limits.promote_timeout)
            result["detail"] = confirm(self._ports, self._steps, to, written.generation, wanted)
        self._baking_since = self._ports.clock.monotonic()
        self._move(Outcome.OK)
        self._steps.begin("live", f"verify {self._plan.image.name} through the live domain")

    def _shift(self, seen: Routes, to: Destination, shifts: Sequence[Shift], watch: CanaryWatch) -> Routes:
        """Give the candidate each share of the traffic in turn; return the routes that were written last."""
        longest_s = self._limits.promote_timeout
        step = CanaryStep(self._ports, self._journal, self._steps, watch, self._alarms, self.still_ours, longest_s)
        for shift in shifts:
            seen = self._switch(seen, to, shift.weight)
            self._journal.append("shifted", colour=to.colour, generation=seen.generation, **step.hold(shift, seen))
        return seen

    def _switch(self, seen: Routes, to: Destination, weight: int = 100) -> Routes:
        written = self._write(seen, to, weight)
        self._promoted_generation = written.generation
        self._journal.append("switched", colour=to.colour, generation=written.generation, weight=weight)
        return written

    def harm(self, harm: Callable[[], str | None]) -> str | None:
        """Return the first proof of harm while the promoted release is verified through the live domain; else None.

        ``harm`` as for ``bake``. Raises as ``AlarmWatch.harm`` does.
        """
        if self._phase is not Phase.BAKING or self._baked:
            return None
        return harm() or (self._alarms.harm() if self._alarms else None)

    def bake(self, harm: Callable[[], str | None]) -> None:
        """Watch the promoted release until it has been live for ``bake`` seconds. Raises StepFailed at the first harm.

        ``harm`` returns proof that users were harmed, or None. The step stays open until ``complete``: its outcome makes the
        promotion final, so it is journalled only after the checks that read the watch's results have passed as well.
        """
        self._steps.end(True, "verified through the live domain")
        seconds = self._limits.bake
        self._steps.begin("bake", f"watch {self._plan.target} for {seconds:g} s")
        clock = self._ports.clock
        unchanged = UnchangedWatch(clock, self._journal, self._refuse_changed_routes, self._still_verified)
        watch = BakeWatch(harm, self._alarms, unchanged)
        since, ours = self._baking_since, self.still_ours
        self._watched_s = round(bake(clock, self._steps, watch, since=since, seconds=seconds, still_ours=ours), 3)
        self._baked = True

    def _refuse_changed_routes(self) -> None:
        refuse_changed_routes(self._ports.router.observe(), self._plan.target, self._promoted_generation or 0)

    def _still_verified(self) -> str | None:
        return still_verified(self._plan, self._ports, self._candidate)

    def complete(self) -> None:
        """Make the promotion final: journal the bake's outcome, then record it beside the lease, then end.

        If the lease was lost or the journal cannot be written, abandon the deployment instead. If the record cannot be
        written, halt and leave traffic where it is: a rollback would need the same table.
        """
        try:
            self._ports.lease.renew(self._held())
        except LeaseLost as error:
            self.abandon(Reason("bake", first_line(error)))
            return
        except (CloudError, SettingsError) as error:
            self._journal.append("check_failed", error=first_line(error))
        try:
            self._journal.require_written()
            self._steps.end(True, f"{self._limits.bake:g} s without harm", watched_s=self._watched_s)
            self._journal.require_written()
            self._record_promotion()
            self._move(Outcome.OK, publish=False)
        except (JournalUnwritable, LeaseLost) as error:
            self.take_back(Reason("bake", first_line(error)))
        except DeadlinePassed as error:
            self._leave_unrecorded(first_line(error))

    # -- the way out -----------------------------------------------------------------------------------------------

    def abandon(
        self, reason: Reason, *, refused: bool = False, moved: bool = False, beside: Beside = nothing_beside
    ) -> None:
        """End a deployment that failed: reject it, or roll back. Does nothing if the deployment has ended.

        ``moved``: traffic may have moved, even if the routes do not show it now. ``beside`` is asked once traffic was moved
        back, or could not be: it returns what the reason must say about the previous colour, or None.
        """
        if self.ended:
            return
        self._journal.allow_gaps()  # a disk that is full must not delay what makes users safe
        self._reason = self._reason or reason
        self._steps.end(False, reason.text)
        if self._phase in (Phase.PENDING, Phase.LEASED):
            self._move(Outcome.REFUSED if refused else Outcome.FAILED)
        elif self._phase in (Phase.PROVISIONING, Phase.VERIFYING, Phase.AWAITING_APPROVAL):
            self._move(Outcome.FAILED)
            self._retire()
            self._note_other_writers()
        elif self._phase is Phase.PROMOTING and not moved and self._never_moved():
            self._move(Outcome.UNMOVED)
            self._retire()
            self._note_other_writers()
        else:
            self._roll_back(beside)

    def take_back(self, reason: Reason) -> None:
        """Roll back a promotion that is not final because its evidence cannot be written; only before ``let_go``."""
        self._journal.allow_gaps()
        self._journal.append("decided", reason=reason)
        if self._phase is Phase.SUCCEEDED:
            self._phase = Phase.BAKING
        self.abandon(reason)

    def complete_resumed(self) -> None:
        """Make the promotion final for a run that died after it had journalled that its bake passed."""
        self._baked = True
        if self._still_promoted():
            self.complete()

    def retire_resumed(self) -> None:
        """Stop the candidate for a run that died after it had recorded its end."""
        if not self._still_promoted():
            return
        if self._phase is Phase.ROLLED_BACK or (self._phase is Phase.REJECTED and self._touched):
            self._retire()

    def _still_promoted(self) -> bool:
        """Return False, and roll back, if the record says that the promotion passed and another colour is live.

        The run took its promotion back, or another writer moved traffic, and the lock's table did not get to know it.
        """
        routes = self._ports.router.observe()
        self._promoted_generation = routes.generation
        if self._phase not in (Phase.BAKING, Phase.SUCCEEDED) or routes.live is self._plan.target:
            return True
        self.take_back(Reason("bake", f"{routes.live} is live: the promotion was taken back after the bake"))
        return False

    def undo_resumed(self, promotion: Promotion, died: Reason) -> None:
        """Go on with a rollback by hand whose process died. It is rejected if only the live colour is healthy."""
        self._journal.allow_gaps()
        self._reason = self._reason or died
        self._roll_back(nothing_beside, ByHand(promotion, resumed=True))

    def allow_back(self, reason: str, by: str) -> None:
        """Record an operator's decision to send traffic back although the release's migration is irreversible."""
        self._back_allowed = True
        self._journal.append("irreversible", reason=reason, by=by)

    def keep_live(self, live: Colour, reason: str, by: str) -> None:
        """Record an operator's decision to end a halted deployment and leave traffic on the live colour.

        ``let_go`` then releases the lock, so that the next deployment can fix the live colour forward.
        """
        self._phase = Phase.HALTED
        self._journal.append("kept", live=live, reason=reason, by=by)
        self._kept = live

    def stay_halted(self) -> None:
        """Leave a halted deployment as it is: keep its record and its lock, and stop renewing the lock."""
        self._phase = Phase.HALTED
        self.let_go()

    def _freeze(self) -> None:
        """Leave traffic on the candidate until an operator decides: neither colour is safe."""
        image = self._plan.image
        self._journal.append("frozen", image=image.name, colour=self._plan.target, weights=self._weights())
        frozen = f"frozen: the migration of {image.name} is irreversible, so traffic was not sent back"
        self._reason = self._reason.with_more(frozen) if self._reason else Reason("promote", frozen)
        self._move(Outcome.FAILED if self._phase is Phase.ROLLING_BACK else Outcome.FROZEN)

    def _leave_unrecorded(self, problem: str) -> None:
        """Halt and leave traffic on the candidate, which passed its bake: the lock's table did not take the result."""
        self._journal.allow_gaps()
        image, target = self._plan.image.name, self._plan.target
        self._journal.append("unrecorded", image=image, colour=target, error=problem)
        self._reason = Reason("bake", f"{UNRECORDED}: {problem}; {image} passed its bake and stays live on {target}")
        self._move(Outcome.FROZEN, publish=False)

    def _roll_back(self, beside: Beside, by_hand: ByHand | None = None) -> None:
        if self._plan.image.irreversible and not self._back_allowed:
            self._add(beside)
            self._freeze()
            return
        if self._phase is not Phase.ROLLING_BACK:
            self._move(Outcome.FAILED)
        previous = self._live_before()
        try:
            with self._steps.step("rollback", f"move traffic back to {previous.colour}") as result:
                back = self._move_back(previous, by_hand)
                result["detail"] = back.sentence
        except LiveIsHealthier as error:
            worse = first_line(error)
            self._reason = self._reason.with_more(worse) if self._reason else Reason("rollback", worse)
            self._move(Outcome.UNMOVED)
            return
        except DeploymentError as error:
            self._add(beside)
            self._reason = Reason(
                "rollback", f"{first_line(error)}; the rollback was started because of {self._reason}"
            )
            self._move(Outcome.FAILED)
            return
        self._add(beside)
        if back.still_wrong and self._reason:
            self._reason = self._reason.with_more(back.still_wrong)
        self._move(Outcome.OK)
        self._retire()

    def _move_back(self, previous: LiveSnapshot, by_hand: ByHand | None) -> MovedBack:
        """Move traffic back. If the lease expired and no other run took it, renew it first. Raises as move_traffic_back."""
        holder = self._held()
        try:
            return move_traffic_back(self._ports, self._steps, holder, previous, self._limits, by_hand)
        except LeaseLost:
            regain(self._ports, holder, self._limits.rollback_timeout)
        return move_traffic_back(self._ports, self._steps, holder, previous, self._limits, by_hand)

    def _add(self, beside: Beside) -> None:
        """Add to the reason how the previous colour was. Traffic is decided by now, so a failure here changes no verdict."""
        try:
            text = beside()
        except Exception as error:
            self._journal.append("check_failed", error=first_line(error))
            return
        if text and self._reason:
            self._reason = self._reason.with_more(text)

    def _retire(self) -> None:
        """Stop the failed candidate and keep its logs. Traffic is safe by now, so a failure here changes no verdict."""
        failed = Retirement(self._plan.target, self._plan.started_at)
        if self._phase is Phase.ROLLED_BACK:
            left_at = self._steps.last_write or self._ports.clock.now()
            failed = replace(failed, left_at=left_at, back=self._live_before())
        retire(self._ports, self._steps, self._journal, failed, self._limits, self._holder)

    def _write(self, seen: Routes, to: Destination, weight: int) -> Routes:
        try:
            return write(self._ports, self._steps, self._held(), seen, to, weight)
        except (CloudError, RouteConflict, LeaseLost):
            raise  # certainly nothing was written
        except BaseException:
            self._write_may_arrive = True
            raise

    def _weights(self) -> dict[str, int] | None:
        """Return the present shares of the traffic; None if they cannot be read."""
        try:
            return {str(colour): weight for colour, weight in self._ports.router.observe().weights.items() if weight}
        except DeploymentError:
            return None

    def _note_other_writers(self) -> None:
        """Journal that traffic left the previous colour, although this run moved none of it."""
        weights, previous = self._weights(), self._previous
        if previous is not None and weights is not None and weights != {str(previous.colour): 100}:
            self._journal.append("moved_elsewhere", weights=weights)

    def _never_moved(self) -> bool:
        """Return whether traffic certainly stayed on the previous colour.

        A write that may still arrive is made to fail by another write, which changes the router's compare-and-set
        token.
        """
        previous, holder = self._live_before(), self._held()
        try:
            seen = self._ports.router.observe()
            if self._promoted_generation is not None or seen.weights.get(previous.colour) != 100:
                return False
            if seen.fence == holder.token:  # our write took effect, and another writer moved the traffic back
                return False
            if self._write_may_arrive and seen.fence < holder.token:
                to = Destination(previous.colour, previous.origin, previous.version)
                write(self._ports, self._steps, holder, seen, to)
        except (CloudError, StepFailed, RouteConflict, LeaseLost):
            return False
        return True

    def _candidate_destination(self) -> Destination:
        if self._candidate is None:
            raise AssertionError("nothing was provisioned")
        return Destination(self._plan.target, self._candidate.origin, self._plan.version)

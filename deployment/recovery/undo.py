"""Rolls back the last promotion by hand, outside of any deployment: ``scripts/deploy.py rollback``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.access import Access, Duty, demand
from deployment.errors import CloudError, DeploymentError, LeaseLost, Refused, first_line
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import LeaseKeeper, alive, open_deployment, regain, release_lock, this_process
from deployment.flow.lost_reports import lost_report, note_of
from deployment.flow.rollback import ByHand, MovedBack, Retirement, make_room, move_traffic_back, retire
from deployment.flow.steps import Steps
from deployment.model import Caller, Colour, Holder, Reason
from deployment.phases import Phase
from deployment.plan import (
    LIVE_SINCE,
    LOST_WAY_BACK,
    DeploymentRecord,
    LiveSince,
    LiveSnapshot,
    LostWayBack,
    Operation,
    Owner,
    Plan,
    Ports,
    Promotion,
)
from deployment.recovery.lock_wait import refuse_while_held


@dataclass(frozen=True)
class Asker:
    """Who asks for a rollback, and the lists of those who may."""

    access: Access
    caller: Caller


def undoable(ports: Ports, asker: Asker | None = None, again: Callable[[LostWayBack], str] | None = None) -> Promotion:
    """Return the promotion that this caller can undo now: the decision of ``rollback``, which ``status`` shows.

    Without ``asker`` the lists are not compared. ``again``: as for ``last_promotion``. Raises NotPermitted, LeaseHeld if a
    living process holds the lock, or Refused if there is no such promotion.
    """
    if asker is not None:
        demand(asker.access, [Duty.ROLLBACK], asker.caller)
    refuse_while_held(ports)
    return last_promotion(ports, again)


def last_promotion(ports: Ports, again: Callable[[LostWayBack], str] | None = None) -> Promotion:
    """Return the promotion that is in effect and can be undone. Raises Refused if there is none.

    ``again`` returns the command that deploys the previous release again, for the message.
    """
    current = open_deployment(ports)
    if current is not None:
        state = "is under way" if alive(ports, current.holder) else "was interrupted"
        raise Refused(
            f"deployment {current.record.deployment_id} {state} (phase {current.record.phase})",
            hint="`python scripts/deploy.py recover` recovers a deployment whose process is gone.",
        )
    text = ports.lease.notes().get("promotion")
    routes = ports.router.observe()
    if text is None:
        lost = lost_way_back(ports)
        if lost is None:
            raise Refused(f"no promotion can be undone; {routes.live} is live")
        previous = lost.promotion.previous
        raise Refused(
            f"no promotion can be undone; {routes.live} is live, and the previous release {previous.release} "
            f"on {previous.colour} was {lost.how} by run {lost.lost_by}",
            hint=again(lost) if again else "`python scripts/deploy.py rollback --redeploy` deploys it again.",
        )
    promotion = Promotion.load(text)
    if routes.live is not promotion.target or routes.generation != promotion.generation:
        raise Refused(
            f"the last promotion ({promotion.deployment_id}, to {promotion.target}) is not live any more: "
            f"{routes.live} is, at generation {routes.generation}"
        )
    return promotion


def lost_way_back(ports: Ports) -> LostWayBack | None:
    """Return the promotion that stands and cannot be undone any more; None if there is none."""
    text = ports.lease.notes().get(LOST_WAY_BACK)
    lost = LostWayBack.load(text) if text else None
    if lost is None or lost.promotion.target is not ports.router.observe().live:
        return None
    return lost


def refuse_irreversible(promotion: Promotion, allowed: str | None) -> None:
    """Raise Refused if the promoted release's migration is irreversible and ``allowed`` gives no reason to go back anyway."""
    image = promotion.image
    if image.irreversible and allowed is None:
        raise Refused(
            f"the migration of {image.name} is irreversible: {promotion.previous.release} may not be able to work on its data",
            hint="Fix it forward with another deployment; or, if you are sure, add --allow-irreversible REASON.",
        )


class Undo:
    """One rollback by hand: lease, rollback, retire.

    It is a way back, so it goes on if its journal cannot be written; the record in the lease item carries its intent.
    ``phase`` ends as ROLLED_BACK, REJECTED (traffic was not moved), REFUSED or HALTED. Call ``let_go`` after the report was
    written: a process that dies before that is found by ``recover``.
    """

    __slots__ = (
        "_back",
        "_holder",
        "_id",
        "_journal",
        "_keeper",
        "_operation",
        "_phase",
        "_reason",
        "_since",
        "_steps",
        "_stopped",
    )

    def __init__(self, deployment_id: str, operation: Operation, journal: Journal, listener: Listener) -> None:
        self._id, self._operation, self._journal = deployment_id, operation, journal
        journal.allow_gaps()
        self._phase = Phase.PENDING
        self._reason: Reason | None = None
        self._steps = Steps(journal, operation.ports.clock, listener, lambda: None)
        self._since = operation.ports.clock.now()
        self._back: LiveSnapshot | None = None
        self._holder: Holder | None = None
        self._keeper: LeaseKeeper | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether the colour that lost the traffic is stopped."""
        return self._stopped

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self._phase

    @property
    def reason(self) -> Reason | None:
        """Return why traffic was not moved, the failure, or the problem that existed before as well; None without a problem."""
        return self._reason

    @property
    def written(self) -> list[tuple[float, int]]:
        """Every write of the routes that was about to happen: time (epoch s) and generation."""
        return self._steps.written

    def run(self, promotion: Promotion) -> None:
        """Move traffic back to the colour that was live before ``promotion``, verify it, and stop the other colour.

        Raises Refused, with the lock released, if another deployment holds the lock or changed the live colour.
        """
        ports, limits = self._operation.ports, self._operation.limits
        try:
            holder = self._lease(promotion)
        except Refused as error:
            self._phase, self._reason = Phase.REFUSED, Reason("lease", first_line(error))
            raise
        self._holder = holder
        self._keeper = LeaseKeeper(ports.lease, holder, limits.lease_ttl)
        self._keeper.start()
        self._phase, self._back = Phase.ROLLING_BACK, promotion.previous
        try:
            ports.lease.note(holder, {"deployment": self._record(promotion, holder).dump()})
            with self._steps.step("rollback", f"move traffic back to {promotion.previous.colour}") as result:
                try:
                    missing, back = self._move(promotion, holder)
                except LeaseLost:  # it may have expired in an outage of its table, although no other run took it
                    regain(ports, holder, limits.rollback_timeout)
                    missing, back = self._move(promotion, holder)
                result["detail"] = back.sentence
                if missing is not None:
                    result["detail"] += (
                        f"; {promotion.previous.colour} took the traffic before it was large enough: {missing}"
                    )
        except DeploymentError as error:
            self._reason = Reason("rollback", first_line(error))
            self._phase = Phase.REJECTED if self._unmoved(promotion.target) else Phase.HALTED
        else:
            self._phase = Phase.ROLLED_BACK
            self._reason = Reason("rollback", back.still_wrong) if back.still_wrong else None
        record = self._record(promotion, holder)
        try:  # if this process dies from here on, ``recover`` goes by this record
            ports.lease.note(holder, {"deployment": record.dump()})
        except (CloudError, LeaseLost) as error:
            self._journal.append("note_failed", error=first_line(error))
        if self._phase is Phase.ROLLED_BACK:
            left_at = self._steps.last_write or ports.clock.now()
            undone = Retirement(promotion.target, self._since, left_at, promotion.previous)
            self._stopped = retire(ports, self._steps, self._journal, undone, limits, holder)

    def _move(self, promotion: Promotion, holder: Holder) -> tuple[str | None, MovedBack]:
        """Move traffic back; return what the previous colour lacked then, None if nothing. Raises DeploymentError."""
        ports, limits = self._operation.ports, self._operation.limits
        missing = make_room(ports, self._steps, holder, promotion.previous, limits)
        return missing, move_traffic_back(ports, self._steps, holder, promotion.previous, limits, ByHand(promotion))

    def _lease(self, promotion: Promotion) -> Holder:
        """Take the lock. Raises Refused, with the lock released, if the promotion does not stand any more."""
        operation = self._operation
        lease = operation.ports.lease
        with self._steps.step("lease", "take the lock") as result:
            doing = f"roll back {promotion.deployment_id}"
            holder = lease.acquire(
                this_process(self._id, operation.actor, operation.ports.clock, operation.limits, doing)
            )
            try:
                if last_promotion(operation.ports) != promotion:
                    raise Refused("another promotion was made since")
            except DeploymentError:
                self._phase = Phase.REFUSED
                lease.release(holder)
                raise
            image = promotion.image
            live = {"colour": promotion.target, "image": image.name, "version": image.version, "digest": image.digest}
            result["live"] = live
        return holder

    def let_go(self, unreported: str | None = None) -> str | None:
        """Close the record and release the lease; does nothing when called again, or if no lease was taken.

        ``unreported``: why the report could not be written; the result is then kept beside the lease, for ``recover``. A
        halted rollback keeps both, so that nothing is deployed on it. Returns what went wrong, or None.
        """
        if self._keeper is not None:
            self._keeper.stop()
        holder, self._holder = self._holder, None
        if holder is None or self._phase is Phase.HALTED:
            return None
        notes: dict[str, str | None] = {"deployment": None, "head": self._journal.head}
        if self._phase is Phase.ROLLED_BACK:
            notes |= {"promotion": None, LIVE_SINCE: self._since_now()}
        if unreported is not None:
            result = lost_report(self._journal, self._phase, self._reason, unreported)
            notes |= note_of(self._operation.ports.lease, self._id, result)
        return release_lock(self._operation.ports.lease, holder, notes)

    def _since_now(self) -> str | None:
        back, by = self._back, self._operation.actor
        if back is None:
            return None
        return LiveSince(
            self._id, back.colour, back.digest, self._operation.ports.clock.now().isoformat(), by, "rollback"
        ).dump()

    def _unmoved(self, live: Colour) -> bool:
        try:
            return self._operation.ports.router.observe().live is live
        except DeploymentError:
            return False

    def _record(self, promotion: Promotion, holder: Holder) -> DeploymentRecord:
        operation = self._operation
        return DeploymentRecord(
            plan=Plan(self._id, operation.environment, promotion.target, promotion.image, operation.actor, self._since),
            owner=Owner.of(holder),
            phase=self._phase,
            phase_since=self._since.isoformat(),
            step="rollback" if self._phase is Phase.ROLLING_BACK else None,
            previous=promotion.previous,
            reason=self._reason,
            back_allowed=True,  # the operator was asked before this began
        )

"""Stops the colour that was live before the last promotion, when its time has come: ``scripts/deploy.py retire``."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployment.errors import Refused, StepFailed
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.flow.rollback import Retirement, retire
from deployment.flow.steps import Steps
from deployment.model import Readiness
from deployment.plan import LOST_WAY_BACK, LostWayBack, Operation, Ports, Promotion
from deployment.recovery.undo import last_promotion


def due_at(promotion: Promotion) -> datetime | None:
    """Return when the previous colour may be stopped, by the settings of the run that promoted; None: never."""
    if promotion.retire_after is None:
        return None
    return datetime.fromisoformat(promotion.promoted_at) + timedelta(seconds=promotion.retire_after)


def due(ports: Ports, *, now: bool) -> Promotion | None:
    """Return the promotion whose previous colour is to be stopped; None if it is stopped already.

    ``now``: ignore ``retire_after``. Raises Refused without a promotion, or if its time has not come.
    """
    promotion = last_promotion(ports)
    colour = promotion.previous.colour
    if ports.platform.stopped(colour).readiness is Readiness.READY:
        return None
    at = due_at(promotion)
    if not now and at is None:
        raise Refused(
            f"{colour} keeps running: {promotion.deployment_id} was promoted without retire_after",
            hint="--now stops it anyway; after that, going back to it is a deployment.",
        )
    if not now and at is not None and at > ports.clock.now():
        raise Refused(f"{colour} keeps running until {at:%Y-%m-%d %H:%M:%S} UTC, for a rollback")
    return promotion


def retire_previous(
    promotion: Promotion, run_id: str, operation: Operation, journal: Journal, listener: Listener
) -> str:
    """Stop the colour that ``promotion`` replaced, under the lock; return a sentence.

    A colour with traffic is never stopped. Raises Refused if there was another promotion first, StepFailed if the
    colour still runs.
    """
    ports, limits, actor = operation.ports, operation.limits, operation.actor
    colour = promotion.previous.colour
    steps = Steps(journal, ports.clock, listener, lambda: None)
    with steps.step("lease", "take the lock"):
        holder = ports.lease.acquire(this_process(run_id, actor, ports.clock, limits, f"retire {colour}"))
    keeper = LeaseKeeper(ports.lease, holder, limits.lease_ttl)
    keeper.start()
    try:
        if last_promotion(ports) != promotion:
            raise Refused("another promotion was made since")
        left_at = datetime.fromisoformat(promotion.promoted_at)
        retire(ports, steps, journal, Retirement(colour, ports.clock.now(), left_at), limits, holder)
        stopped = ports.platform.stopped(colour)
        if stopped.readiness is not Readiness.READY:
            raise StepFailed(
                f"{colour} was not stopped: {stopped.detail}",
                hint="It takes no traffic; check its service, or deploy to it.",
            )
        # Removed last: a rollback to a colour that is being stopped finds it unhealthy, and does not move traffic.
        lost = LostWayBack(promotion, run_id, "stopped").dump()
        ports.lease.note(holder, {"promotion": None, LOST_WAY_BACK: lost})
        return f"{colour} is stopped; going back to {promotion.previous.release} needs a deployment now"
    finally:
        keeper.stop()
        ports.lease.release(holder)

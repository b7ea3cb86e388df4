"""Stopping the colour that was live before the last promotion: what ``scripts/deploy.py retire`` does, when its time has come."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployment.errors import Refused, StepFailed
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.flow.rollback import retire
from deployment.flow.steps import Steps
from deployment.model import Readiness
from deployment.plan import Operation, Plan, Ports, Promotion
from deployment.recovery.undo import last_promotion


def due_at(promotion: Promotion) -> datetime | None:
    """When the previous colour may be stopped, by the settings of the run that promoted; None: never."""
    if promotion.retire_after is None:
        return None
    return datetime.fromisoformat(promotion.promoted_at) + timedelta(seconds=promotion.retire_after)


def due(ports: Ports, *, now: bool) -> Promotion | None:
    """The promotion whose previous colour is to be stopped, None where it is stopped already.

    ``now``: whatever its time. Raises Refused where there is no promotion, or its time has not come.
    """
    promotion = last_promotion(ports)
    colour = promotion.previous.colour
    if ports.platform.stopped(colour).readiness is Readiness.READY:
        return None
    at = due_at(promotion)
    if not now and at is None:
        raise Refused(
            f"{colour} keeps running: {promotion.deployment_id} was promoted without retire_after",
            hint="--now stops it all the same; a rollback to it is a deployment then.",
        )
    if not now and at is not None and at > ports.clock.now():
        raise Refused(f"{colour} keeps running until {at:%Y-%m-%d %H:%M:%S} UTC, for a rollback")
    return promotion


def retire_previous(
    promotion: Promotion, run_id: str, operation: Operation, journal: Journal, listener: Listener
) -> str:
    """Stops the colour that ``promotion`` replaced, under the lock; returns a sentence.

    Nothing that takes traffic is stopped. Raises Refused where another deployment was faster, StepFailed where it still runs.
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
            raise Refused("another promotion was made meanwhile")
        plan = Plan(run_id, operation.environment, colour, promotion.image, actor, ports.clock.now())
        retire(ports, steps, journal, plan, limits, holder)
        stopped = ports.platform.stopped(colour)
        if stopped.readiness is not Readiness.READY:
            raise StepFailed(
                f"{colour} was not stopped: {stopped.detail}",
                hint="It takes no traffic; look at its service, or deploy to it.",
            )
        # Forgotten last: a rollback to a colour that is on its way down finds it sick, and moves nothing.
        ports.lease.note(holder, {"promotion": None})
        return f"{colour} is stopped; a way back to {promotion.previous.version} is a deployment now"
    finally:
        keeper.stop()
        ports.lease.release(holder)

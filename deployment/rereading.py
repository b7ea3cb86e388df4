"""What is read again right before it counts: leftovers once the lock is ours, and before the switch what was verified."""

from __future__ import annotations

from deployment.errors import Refused, StepFailed
from deployment.model import Holder, Service
from deployment.plan import Note, Plan, Ports, Standing
from deployment.settings import DeploymentLimits
from deployment.waiting import poll


def nothing_half_done(plan: Plan, ports: Ports, holder: Holder) -> None:
    """Raises Refused, the lock given back, where another deployment's note is still open.

    Whoever held the lock since leftovers were settled may have left one: writing our note would wipe out its only trace.
    """
    try:
        text = ports.lease.notes().get("deployment")
        if text and (left := Note.load(text).deployment_id) != plan.deployment_id:
            raise Refused(f"deployment {left} was left half done meanwhile", hint="Start again: that settles it first.")
    except BaseException:
        ports.lease.release(holder)
        raise


def reread(
    plan: Plan,
    limits: DeploymentLimits,
    ports: Ports,
    previous: Standing,
    verified: Service | None,
    verifying_since: float,
) -> None:
    """Reads digest, configuration and health again, and the colour to go back to. Raises StepFailed.

    ``verified`` is the candidate as it was when verification began, at ``verifying_since`` on the monotonic clock.
    """
    age = ports.clock.monotonic() - verifying_since
    if age > limits.evidence_max_age:
        raise StepFailed(
            f"the evidence is too old: verification began {age:.0f} s ago, the limit is {limits.evidence_max_age:g} s"
        )
    candidate = _whole(plan, limits, ports)
    if not candidate.running or candidate.digest != plan.image.digest:
        raise StepFailed(
            f"{plan.target} is {candidate.status} on {candidate.digest}, but {plan.image.digest} was verified"
        )
    if verified is not None and candidate.configuration != verified.configuration:
        raise StepFailed(f"the configuration of {plan.target} was changed since it was verified")
    for answer in ports.front.ask(limits.confirmations, candidate.url):
        if not answer.ok or answer.version != plan.image.version:
            raise StepFailed(
                f"asked again before the switch, the candidate is not healthy on {plan.image.version}: "
                f"{answer.problem or f'version {answer.version!r}'}"
            )
    standing = ports.platform.describe(previous.colour)
    if not standing.running or standing.digest != previous.digest:
        raise StepFailed(
            f"there is nothing to roll back to: {previous.colour} is {standing.status} on {standing.digest}"
        )


def _whole(plan: Plan, limits: DeploymentLimits, ports: Ports) -> Service:
    """The candidate once each of its instances is well: one that is being replaced just now is given ``promote_timeout``."""
    last = [""]

    def attempt() -> Service | None:
        found = ports.platform.describe(plan.target)
        last[0] = found.unwell or ""
        return None if found.unwell and found.running else found

    return poll(
        ports.clock,
        attempt,
        timeout_s=limits.promote_timeout,
        waiting_for=lambda: f"every instance of {plan.target} to be well before traffic goes there; last: {last[0]}",
    )

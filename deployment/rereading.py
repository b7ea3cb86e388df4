"""Right before the switch: what was verified is what is promoted, and there is something to go back to."""

from __future__ import annotations

from deployment.errors import StepFailed
from deployment.model import Service
from deployment.plan import Plan, Ports, Standing
from deployment.settings import DeploymentLimits


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
    candidate = ports.platform.describe(plan.target)
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

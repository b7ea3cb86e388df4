"""What is read again right before it counts: leftovers once the lock is ours, and before the switch what was verified."""

from __future__ import annotations

from dataclasses import dataclass

from deployment.errors import CloudError, Refused, StepFailed, TargetIsLive, first_line
from deployment.evidence.journal import Journal
from deployment.flow.alarms import quiet, there
from deployment.model import Holder, Service
from deployment.plan import DeploymentRecord, LiveSnapshot, Plan, Ports
from deployment.polling import poll
from deployment.settings import DeploymentLimits

# Long enough for a connection that is being opened anew; too short for anybody to repair anything.
SECOND_TRY_AFTER_S = 0.5
# Answers asked of the live colour for its version: one that is lost must not cost the way back.
VERSION_TRIES = 3


def refuse_open_deployment(plan: Plan, ports: Ports, holder: Holder) -> None:
    """Raises Refused, the lock given back, where another deployment's note is still open.

    Whoever held the lock since leftovers were settled may have left one: writing our note would wipe out its only trace.
    """
    try:
        text = ports.lease.notes().get("deployment")
        if text and (left := DeploymentRecord.load(text).deployment_id) != plan.deployment_id:
            raise Refused(f"deployment {left} was left half done meanwhile", hint="Start again: that settles it first.")
    except BaseException:
        ports.lease.release(holder)
        raise


def observe_live(plan: Plan, ports: Ports, *, unhealthy_allowed: bool = False) -> tuple[LiveSnapshot, str | None]:
    """What is live, what a rollback must bring back, and what is wrong with it. Raises TargetIsLive or StepFailed.

    Only where a ``sick`` one was asked for is anything wrong with it borne.
    """
    routes = ports.router.observe()
    if routes.live is plan.target:
        raise TargetIsLive(
            f"{plan.target} is live: nothing is deployed to the colour that takes the traffic",
            hint=f"Deploy to the idle one: --target={plan.target.other}, or --target=auto.",
        )
    live = ports.platform.describe(routes.live)
    answers = [answer for answer in ports.front.ask(VERSION_TRIES) if answer.ok]
    problem = unwell(ports) or (None if answers else "it does not say which version it is")
    if problem is not None and not unhealthy_allowed:
        raise StepFailed(
            f"{routes.live} is live and already sick: {problem}",
            hint="Roll back, or bring it back; a release that mends it is deployed with --allow-unhealthy-live REASON.",
        )
    version = answers[-1].version if answers else None
    return LiveSnapshot(routes.live, live.digest, version, live.url, live.origin, routes.generation), problem


def check_live(
    plan: Plan, ports: Ports, journal: Journal, allow_unhealthy: str | None
) -> tuple[LiveSnapshot, str | None]:
    """``observe_live``, with the alarms: all there, and none firing unless somebody has said why a sick one is borne."""
    live, problem = observe_live(plan, ports, unhealthy_allowed=allow_unhealthy is not None)
    there(ports.alarms)
    if problem is None:
        quiet(ports.alarms, live.colour, journal)
    else:
        journal.append("sick", colour=live.colour, problem=problem, reason=allow_unhealthy, by=plan.actor)
    return live, problem


def unwell(ports: Ports, live_snapshot: LiveSnapshot | None = None) -> str | None:
    """What is wrong with what is live, by two tries in a row; None where all is well.

    ``live_snapshot``: what was live when the deployment began, and must still answer.
    """
    problem = _problem(ports, live_snapshot)
    if problem is not None:
        ports.clock.sleep(SECOND_TRY_AFTER_S)
        problem = _problem(ports, live_snapshot)
    return problem


def _problem(ports: Ports, live_snapshot: LiveSnapshot | None) -> str | None:
    problems = ports.front.examine()
    if problems:
        return problems[0]
    if live_snapshot is None or live_snapshot.version is None:
        return None
    for answer in ports.front.ask(1):
        if answer.ok and answer.version != live_snapshot.version:
            return f"GET /health: version {answer.version!r}, not {live_snapshot.version!r}"
    return None


def as_verified(plan: Plan, now: Service, verified: Service | None) -> Service:
    """The target colour as it is now. Raises StepFailed unless it runs what was verified, configured as it was then."""
    if not now.running or now.digest != plan.image.digest:
        raise StepFailed(f"{plan.target} is {now.status} on {now.digest}, but {plan.image.digest} was verified")
    if verified is not None and now.configuration != verified.configuration:
        raise StepFailed(f"the configuration of {plan.target} was changed since it was verified")
    return now


def still_the_same(plan: Plan, ports: Ports, verified: Service | None, journal: Journal) -> None:
    """What serves is what was verified, also where instances were replaced or added since. Raises StepFailed."""
    try:
        as_verified(plan, ports.platform.describe(plan.target), verified)
    except CloudError as error:  # the platform's silence harms no user
        journal.append("check_failed", error=first_line(error))


@dataclass(frozen=True)
class Verified:
    """The candidate as it was when verification began, and when that was (s, monotonic clock)."""

    candidate: Service | None
    since: float


def reverify(
    plan: Plan,
    limits: DeploymentLimits,
    ports: Ports,
    previous: LiveSnapshot,
    verified: Verified,
    *,
    can_go_back: bool = True,
) -> None:
    """Read digest, configuration and health of the candidate again, and check the previous colour. Raises StepFailed.

    ``can_go_back`` is False if the previous colour was unhealthy from the beginning: traffic never goes back to it.
    """
    age = ports.clock.monotonic() - verified.since
    if age > limits.evidence_max_age:
        raise StepFailed(
            f"the evidence is too old: verification began {age:.0f} s ago, the limit is {limits.evidence_max_age:g} s"
        )
    # Another release must not be scaled up, so this check comes first.
    as_verified(plan, ports.platform.describe(plan.target), verified.candidate)
    candidate = as_verified(plan, _whole(plan, limits, ports), verified.candidate)
    for number, answer in enumerate(ports.front.ask(limits.identity, candidate.url), start=1):
        if not answer.ok or answer.version != plan.image.version:
            raise StepFailed(
                f"asked again before the switch, the candidate is not healthy on {plan.image.version}: "
                f"{answer.problem or f'version {answer.version!r}'}, answer {number} of {limits.identity} on fresh connections"
            )
    if not can_go_back:
        return
    service = ports.platform.describe(previous.colour)
    if not service.running or service.digest != previous.digest:
        raise StepFailed(f"there is nothing to roll back to: {previous.colour} is {service.status} on {service.digest}")


def _whole(plan: Plan, limits: DeploymentLimits, ports: Ports) -> Service:
    """The candidate once it is as large as the live colour, and each of its instances is well.

    Since it was brought up the live colour may have grown, and the candidate, that nobody asks, have shrunk.
    """
    ports.platform.scale(plan.target)
    last = [""]

    def attempt() -> Service | None:
        found = ports.platform.describe(plan.target)
        last[0] = found.unwell or ""
        return None if found.unwell and found.running else found

    return poll(
        ports.clock,
        attempt,
        timeout_s=limits.provision_timeout,
        waiting_for=lambda: f"every instance of {plan.target} to be well before traffic goes there; last: {last[0]}",
    )

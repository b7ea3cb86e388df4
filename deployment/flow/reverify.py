"""Checks that are repeated right before they count: under the lock, and before the switch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployment.errors import CloudDenied, CloudError, Refused, StepFailed, TargetIsLive, first_line
from deployment.evidence.journal import Journal
from deployment.flow.alarms import refuse_absent_alarms, refuse_firing_alarms
from deployment.model import Colour, Holder, Service
from deployment.plan import DeploymentRecord, LiveSnapshot, Plan, Ports
from deployment.polling import poll
from deployment.settings import DeploymentLimits

# Long enough for a new connection; too short for a repair.
SECOND_TRY_AFTER_S = 0.5
# Requests to the live colour for its version: a lost answer must not make a rollback impossible.
VERSION_TRIES = 3
_NO_VERSION = "it does not report its version"


def refuse_open_deployment(plan: Plan, ports: Ports, holder: Holder) -> None:
    """Raise Refused, with the lock released, if the record of another deployment is still open.

    A run that held the lock since the last recovery may have left one: writing our record would remove its only trace.
    """
    try:
        text = ports.lease.notes().get("deployment")
        if text and (left := DeploymentRecord.load(text).deployment_id) != plan.deployment_id:
            raise Refused(
                f"deployment {left} was interrupted just now", hint="Start again: the new run recovers it first."
            )
    except BaseException:
        ports.lease.release(holder)
        raise


def observe_live(plan: Plan, ports: Ports, *, unhealthy_allowed: bool = False) -> tuple[LiveSnapshot, str | None]:
    """Return the live colour, which a rollback restores, and its problem, None if it is healthy. Raises TargetIsLive or
    StepFailed.

    An unhealthy live colour is tolerated only if ``unhealthy_allowed`` is set.
    """
    routes = ports.router.observe()
    if routes.live is plan.target:
        raise TargetIsLive(plan.target)
    live = ports.platform.describe(routes.live)
    answers = [answer for answer in ports.front.ask(VERSION_TRIES) if answer.ok]
    problem = live_problem(ports) or (None if answers else _NO_VERSION)
    if problem is not None and not unhealthy_allowed:
        raise StepFailed(
            f"{routes.live} is live and already unhealthy: {problem}",
            hint="`pytest` without options asks it again. If the expectation is wrong, correct suites/service.yaml; if the service is, "
            "roll back, or deploy a release that repairs it with --allow-unhealthy-live REASON.",
        )
    version = answers[-1].version if answers else None
    return LiveSnapshot(routes.live, live.digest, version, live.url, live.origin, routes.generation), problem


def check_live(
    plan: Plan, ports: Ports, journal: Journal, allow_unhealthy: str | None
) -> tuple[LiveSnapshot, str | None]:
    """Run ``observe_live`` and check the alarms: all exist, and none fires unless ``allow_unhealthy`` gives a reason."""
    live, problem = observe_live(plan, ports, unhealthy_allowed=allow_unhealthy is not None)
    refuse_absent_alarms(ports.alarms)
    if problem is None:
        refuse_firing_alarms(ports.alarms, live.colour, journal)
        return live, None
    # A rollback excuses exactly these problems, so all of them are recorded, and before anything is changed.
    # The checks that passed prove later that the colour itself answers, and not a gateway for a dead one.
    found = ports.front.inspect()
    live = replace(live, problems=found.problems, passed=found.passed)
    if problem != _NO_VERSION and not live.excuses(problem):  # it comes and goes: two tries in a row saw it
        live = replace(live, problems=(*live.problems, problem))
    lists = {"problems": list(live.problems), "passed": list(live.passed)}
    journal.append("sick", colour=live.colour, problem=problem, **lists, reason=allow_unhealthy, by=plan.actor)
    return live, problem


def live_problem(ports: Ports, live_snapshot: LiveSnapshot | None = None) -> str | None:
    """Return what is wrong with the live colour in two tries in a row; None if all is well.

    ``live_snapshot``: the colour that was live when the deployment began, and that must still answer.
    """
    problem = _live_problem_once(ports, live_snapshot)
    if problem is not None:
        ports.clock.sleep(SECOND_TRY_AFTER_S)
        problem = _live_problem_once(ports, live_snapshot)
    return problem


def _live_problem_once(ports: Ports, live_snapshot: LiveSnapshot | None) -> str | None:
    problems = ports.front.examine()
    if problems:
        return problems[0]
    if live_snapshot is None or live_snapshot.version is None:
        return None
    for answer in ports.front.ask(1):
        if answer.ok and answer.version != live_snapshot.version:
            return f"the health check names version {answer.version!r}, not {live_snapshot.version!r}"
    return None


def require_as_verified(plan: Plan, now: Service, verified: Service | None) -> Service:
    """Return ``now``, the target colour's state.

    Raises StepFailed unless it runs what was verified, with the same configuration.
    """
    if not now.running or now.digest != plan.image.digest:
        raise StepFailed(f"{plan.target} is {now.status} on {now.digest}, but {plan.image.digest} was verified")
    if verified is not None and now.configuration != verified.configuration:
        raise StepFailed(f"the configuration of {plan.target} was changed since it was verified")
    return now


def still_verified(plan: Plan, ports: Ports, verified: Service | None) -> str | None:
    """Raise StepFailed unless the target colour still runs what was verified, also after instances were replaced or added.

    Return why the platform cannot be read, else None: a platform that does not answer harms no user.
    """
    try:
        require_as_verified(plan, ports.platform.describe(plan.target), verified)
    except CloudError as error:
        return first_line(error)
    return None


@dataclass(frozen=True)
class Verified:
    """The candidate when verification began, the time of that (s, monotonic clock), and the holder of the lease."""

    candidate: Service | None
    since: float
    holder: Holder


def reverify(
    plan: Plan,
    limits: DeploymentLimits,
    ports: Ports,
    previous: LiveSnapshot,
    verified: Verified,
    *,
    can_go_back: bool = True,
) -> None:
    """Read digest, configuration and health of the candidate again, and check the previous colour.

    Raises StepFailed, or LeaseLost before anything is scaled.

    ``can_go_back`` is False if the previous colour was unhealthy from the beginning: it may have been dead, and then a
    release that repairs the service must not wait for it.
    """
    age = ports.clock.monotonic() - verified.since
    if age > limits.evidence_max_age:
        raise StepFailed(
            f"the evidence is too old: verification began {age:.0f} s ago, the limit is {limits.evidence_max_age:g} s"
        )
    # Another release must not be scaled up, so this check comes first.
    require_as_verified(plan, ports.platform.describe(plan.target), verified.candidate)
    candidate = _wait_until_full_size(plan, limits, ports, verified)
    for number, answer in enumerate(ports.front.ask(limits.identity, candidate.url), start=1):
        if not answer.ok or plan.version not in (None, answer.version):
            raise StepFailed(
                f"checked again before the switch, the candidate is not healthy on {plan.image.version}: "
                f"{answer.problem or f'version {answer.version!r}'}, answer {number} of {limits.identity} on fresh connections"
            )
    if not can_go_back:
        return
    service = ports.platform.describe(previous.colour)
    if not service.running or service.digest != previous.digest:
        raise StepFailed(f"a rollback would be impossible: {previous.colour} is {service.status} on {service.digest}")


def grow(ports: Ports, holder: Holder, colour: Colour) -> tuple[Service, str | None]:
    """Scale a colour up to the other one's size; return its state and which instances it lacks, None if all are healthy.

    Call it again while it lacks some: autoscaling may shrink a colour without requests at any time, and the other one may
    grow. Raises LeaseLost or CloudError.
    """
    ports.lease.check(holder)  # this process may have been suspended, and scaling may start instances
    ports.platform.scale(colour)
    service = ports.platform.describe(colour)
    return service, service.unhealthy or (None if service.running else f"{colour} is {service.status}")


def _wait_until_full_size(plan: Plan, limits: DeploymentLimits, ports: Ports, verified: Verified) -> Service:
    """Wait until the candidate is as large as the live colour and all its instances are healthy; return its state.

    A refused call is repeated at the next look, but not for ever. Raises CloudDenied, which another try would not change,
    LeaseLost, or StepFailed, also if it is not what was verified any more.
    """
    last = [""]

    def attempt() -> Service | None:
        try:
            service, missing = grow(ports, verified.holder, plan.target)
        except CloudDenied:
            raise
        except CloudError as error:
            last[0] = first_line(error)
            return None
        require_as_verified(plan, service, verified.candidate)  # another release must not be scaled up
        last[0] = missing or ""
        return None if missing else service

    return poll(
        ports.clock,
        attempt,
        timeout_s=limits.provision_timeout,
        waiting_for=lambda: (
            f"not every instance of {plan.target} is healthy, so no traffic goes there; last: {last[0]}"
        ),
    )

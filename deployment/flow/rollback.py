"""Traffic back first, capacity second."""

from __future__ import annotations

from deployment.errors import (
    CloudError,
    DeploymentError,
    LeaseLost,
    RouteConflict,
    StepFailed,
    SwitchFailed,
    first_line,
)
from deployment.evidence.journal import Journal
from deployment.flow.reverify import SECOND_TRY_AFTER_S
from deployment.flow.steps import Steps
from deployment.flow.switch import Confirmation, Destination, confirm, write
from deployment.model import Colour, Holder, Readiness
from deployment.plan import LiveSnapshot, Plan, Ports
from deployment.polling import poll
from deployment.settings import DeploymentLimits

# Tries to see the previous colour healthy at its own address before traffic goes there.
ALIVE_TRIES = 3
LOG_LINES = 200


def send_back(ports: Ports, steps: Steps, holder: Holder, previous: LiveSnapshot, limits: DeploymentLimits) -> str:
    """Moves traffic back to ``previous`` and verifies it through the live domain, within ``rollback_timeout``.

    What AWS answers with an error is tried again until then. Returns a sentence; raises StepFailed or LeaseLost.
    """
    began = ports.clock.monotonic()

    def left() -> float:
        return max(0.0, limits.rollback_timeout - (ports.clock.monotonic() - began))

    last = ["nothing was tried yet"]

    def attempt() -> int | None:
        try:
            return _point_at(ports, steps, holder, previous)
        except (CloudError, RouteConflict, SwitchFailed) as error:
            last[0] = first_line(error)
            return None

    generation = poll(
        ports.clock,
        attempt,
        timeout_s=left(),
        waiting_for=lambda: f"traffic to move back to {previous.colour}; last: {last[0]}",
        tick=lambda elapsed: steps.waiting(last[0], elapsed),
    )
    to = Destination(previous.colour, previous.origin, previous.version)
    # The candidate's last errors arrive here too, and there is no better place for traffic to be: only time decides.
    sentence = confirm(ports, steps, to, generation, Confirmation(limits.confirmations, left(), patient=True))
    problems = _well(ports, steps, left())
    if problems:
        raise StepFailed(f"traffic is back on {previous.colour}, but {problems}")
    return f"{sentence}; health, database, Redis, sign-in and a read are well"


def well_enough(ports: Ports, previous: LiveSnapshot) -> None:
    """Raises StepFailed where the previous colour, asked as a user at its own address, is not well, by two tries in a row.

    Where what is live is not well either, that the previous colour answers must do, as while a deployment rolls back by itself.
    """
    _alive(ports, previous)
    if previous.url is None:
        return
    problems = ports.front.examine(previous.url)
    if problems:
        ports.clock.sleep(SECOND_TRY_AFTER_S)
        problems = ports.front.examine(previous.url)
    if problems and not ports.front.examine():
        raise StepFailed(
            f"what is live is well, and the previous colour {previous.colour} is not ({problems[0]}); traffic was left where it is",
            hint=f"Bring {previous.colour} back, or see docs/roll-back-by-hand.md.",
        )


def _point_at(ports: Ports, steps: Steps, holder: Holder, previous: LiveSnapshot) -> int:
    """Sends traffic to ``previous`` unless it is there for good already; returns the generation that must answer.

    It is there for good where this run, or one after it, wrote last. Before that, a write of the promotion that got no
    answer, or of a run that this one took over from, may still arrive: a write of our own makes it miss.
    """
    seen = ports.router.observe()
    there = seen.live is previous.colour and seen.weights.get(previous.colour) == 100
    if there and seen.fence >= holder.token:
        return seen.generation
    if not there:
        _alive(ports, previous)
    return write(ports, steps, holder, seen, Destination(previous.colour, previous.origin, previous.version)).generation


def _alive(ports: Ports, previous: LiveSnapshot) -> None:
    """Raises StepFailed where the previous colour does not answer at its own address: traffic is not sent to nothing."""
    problem = "no answer"
    for _ in range(ALIVE_TRIES):
        for answer in ports.front.ask(1, previous.url):
            if answer.ok and previous.version in (None, answer.version):
                return
            problem = answer.problem or f"version {answer.version!r}, not {previous.version!r}"
    raise StepFailed(
        f"the previous colour {previous.colour} is not there to go back to ({problem}); traffic was left where it is",
        hint=f"Bring {previous.colour} back, then run `python scripts/deploy.py recover`.",
    )


def _well(ports: Ports, steps: Steps, timeout_s: float) -> str | None:
    """What is wrong through the live domain, asked until it is well or the time is over."""
    last = [""]

    def attempt() -> bool | None:
        problems = ports.front.examine()
        last[0] = problems[0] if problems else ""
        return True if not problems else None

    try:
        poll(
            ports.clock,
            attempt,
            timeout_s=timeout_s,
            waiting_for=lambda: last[0],
            tick=lambda elapsed: steps.waiting(last[0], elapsed),
        )
    except StepFailed as error:
        return first_line(error)
    return None


def retire(
    ports: Ports, steps: Steps, journal: Journal, plan: Plan, limits: DeploymentLimits, holder: Holder | None
) -> None:
    """Stops the colour that failed and journals its logs. Never raises a DeploymentError: by now the outcome is decided.

    Nothing is stopped without the lease, since the colour may be another deployment's by now, nor what takes traffic.
    """
    colour = plan.target
    try:
        with steps.step("retire", f"stop {colour}") as result:
            last = [f"{colour} to stop"]

            def attempt() -> str | None:
                progress = ports.platform.stopped(colour)
                last[0] = f"{colour} to stop: {progress.detail}"
                if progress.readiness is Readiness.READY:
                    return progress.detail
                if progress.readiness is Readiness.STUCK:
                    raise StepFailed(progress.detail)
                # Asked each time: a run that slept in here may wake when the colour is another deployment's, and live.
                _may_stop(ports, holder, colour)
                ports.platform.retire(colour)
                return None

            result["detail"] = poll(
                ports.clock,
                attempt,
                timeout_s=limits.retire_timeout,
                waiting_for=lambda: last[0],
                tick=lambda elapsed: steps.waiting(last[0], elapsed),
            )
    except DeploymentError as error:
        journal.append("retire_failed", colour=colour, error=first_line(error))
    try:
        lines = list(ports.platform.logs(colour, plan.started_at, LOG_LINES))
        journal.append("logs", colour=colour, lines=lines)
    except DeploymentError as error:
        journal.append("logs_failed", colour=colour, error=first_line(error))


def _may_stop(ports: Ports, holder: Holder | None, colour: Colour) -> None:
    if holder is None:
        raise LeaseLost("this run does not hold the lease")
    if ports.router.observe().weights.get(colour):
        raise StepFailed(f"{colour} takes traffic and was not stopped")
    ports.lease.check(holder)  # last: while the lease is ours, nobody else moves traffic

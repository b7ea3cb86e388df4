"""Rolling back: traffic first, capacity second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from deployment.errors import (
    CloudDenied,
    CloudError,
    DeadlinePassed,
    DeploymentError,
    LeaseLost,
    LiveIsHealthier,
    RouteConflict,
    StepFailed,
    SwitchFailed,
    first_line,
)
from deployment.evidence.journal import Journal
from deployment.flow.reverify import SECOND_TRY_AFTER_S, grow
from deployment.flow.steps import Steps
from deployment.flow.switch import Confirmation, Destination, confirm, write
from deployment.model import Colour, Holder, Readiness
from deployment.plan import LiveSnapshot, Ports, Promotion
from deployment.polling import poll
from deployment.settings import DeploymentLimits

# Requests to the previous colour at its own address before traffic goes there; one healthy answer is enough.
ALIVE_TRIES = 3
LOG_LINES = 200
# The share of ``retire_timeout`` for which a colour keeps running because the previous one is too small; then it is stopped.
SHARE_FOR_SIZE = 0.5


@dataclass(frozen=True)
class MovedBack:
    """A verified rollback: one sentence about it, and the problems that the colour had before the deployment and still has."""

    sentence: str
    still_wrong: str | None = None


@dataclass(frozen=True)
class ByHand:
    """A rollback by hand of ``promotion``: the live colour may be healthy, and keeps its traffic if the other one is not.

    ``resumed``: its process died, and may have been writing the routes.
    """

    promotion: Promotion
    resumed: bool = False


def move_traffic_back(
    ports: Ports,
    steps: Steps,
    holder: Holder,
    previous: LiveSnapshot,
    limits: DeploymentLimits,
    by_hand: ByHand | None = None,
) -> MovedBack:
    """Move traffic back to ``previous`` and verify it through the live domain, within ``rollback_timeout``.

    Checks that failed before the deployment began may fail again (``previous.problems``), and no others: a colour need
    not be better than it was. Errors of AWS are retried until then, and so is a previous colour that does not answer:
    both colours may use the same broken part, and it may be repaired. Raises StepFailed or LeaseLost; LiveIsHealthier if
    a rollback ``by_hand`` moved nothing, because the live colour is healthy and ``previous`` is not.

    ``previous`` is scaled up beside that: traffic waits neither for its instances nor for the platform's answer.
    """
    began = ports.clock.monotonic()
    ports.clock.beside(lambda: _start_scaling(ports, holder, previous.colour))

    def left() -> float:
        return max(0.0, limits.rollback_timeout - (ports.clock.monotonic() - began))

    last = ["nothing was tried yet"]
    worth_it = _require_answer if by_hand is None else require_healthy

    def attempt() -> int | None:
        try:
            return _route_to(ports, steps, holder, previous, worth_it)
        except LiveIsHealthier:
            raise
        except (CloudError, RouteConflict, SwitchFailed) as error:
            last[0] = f"traffic did not move back to {previous.colour}; last: {first_line(error)}"
        except StepFailed as error:  # the previous colour does not answer now
            last[0] = first_line(error)
        return None

    try:
        generation = poll(
            ports.clock,
            attempt,
            timeout_s=left(),
            waiting_for=lambda: last[0],
            tick=lambda elapsed: steps.waiting(last[0], elapsed),
        )
    except LiveIsHealthier:
        if by_hand is not None and (by_hand.resumed or steps.written):
            _keep_promoted(ports, steps, holder, by_hand.promotion, limits)
        raise
    to = _destination(previous)
    # Late errors of the candidate are seen here too, and the candidate is the worse place: only the deadline ends this.
    sentence = confirm(ports, steps, to, generation, Confirmation(limits.confirmations, left(), tolerant=True))
    remaining = _wait_until_healthy(ports, steps, previous, left())
    if not remaining:
        return MovedBack(f"{sentence}; then all of this passed through the live domain: {ports.front.examined()}")
    still = f"still wrong with {previous.colour}, as before the deployment: {'; '.join(remaining)}"
    return MovedBack(f"{sentence}; {still}", still)


def require_healthy(ports: Ports, previous: LiveSnapshot) -> None:
    """Decide whether a rollback by hand may move traffic. Changes nothing but the data of journeys, which it removes.

    Raise LiveIsHealthier if only the live colour is healthy, StepFailed if the previous colour does not answer.

    The previous colour is unhealthy if it does not answer, or if it fails a user's requests at its own address in two
    tries in a row. If the live colour is unhealthy as well, it is enough that the previous colour answers, as in an
    automatic rollback.
    """
    silent, words = _silence(ports, previous), None
    if silent is None and previous.url is not None:
        problems = ports.front.examine(previous.url)
        if problems:
            ports.clock.sleep(SECOND_TRY_AFTER_S)
            problems = ports.front.examine(previous.url)
        if problems:
            words = f"the live colour is healthy, but the previous colour {previous.colour} is not ({problems[0]}); traffic was not moved"
    worse = silent or words
    if worse and not ports.front.examine():
        raise LiveIsHealthier(worse, hint=f"Repair {previous.colour}, or see docs/roll-back-by-hand.md.")
    if silent:
        raise StepFailed(silent)


def _start_scaling(ports: Ports, holder: Holder, colour: Colour) -> None:
    """Start to scale ``colour`` up. Never raises a DeploymentError: ``retire`` does it again and reports the failure."""
    with suppress(DeploymentError):
        ports.lease.check(holder)
        ports.platform.scale(colour)


def make_room(
    ports: Ports, steps: Steps, holder: Holder, previous: LiveSnapshot, limits: DeploymentLimits
) -> str | None:
    """Scale ``previous`` up to the live colour's size and wait for its instances, before a rollback by hand moves traffic.

    Waits while the live colour is healthy, for at most ``rollback_timeout``; not for a colour that could not take the
    traffic anyway. Returns what is still missing, None if nothing is. Raises LeaseLost.
    """
    if previous.problems:
        return None  # it may never be as large, and it was good enough for the deployment
    try:
        require_healthy(ports, previous)
    except StepFailed:
        return None  # the move of traffic asks again, and decides
    last = [""]

    def attempt() -> bool | None:
        try:
            _, missing = grow(ports, holder, previous.colour)
        except CloudDenied as error:  # another try will not help
            last[0] = first_line(error)
            return False
        except CloudError as error:
            missing = first_line(error)
        last[0] = missing or ""
        if missing is None:
            return True
        return False if ports.front.examine() else None  # users are harmed: traffic first, capacity second

    try:
        full = poll(
            ports.clock,
            attempt,
            timeout_s=limits.rollback_timeout,
            waiting_for=lambda: last[0],
            tick=lambda elapsed: steps.waiting(f"{previous.colour} grows: {last[0]}", elapsed),
        )
    except DeadlinePassed as error:
        return first_line(error)
    return None if full else last[0]


def _keep_promoted(ports: Ports, steps: Steps, holder: Holder, promotion: Promotion, limits: DeploymentLimits) -> None:
    """Keep traffic on the promoted colour for certain, and the promotion such that it can be undone later.

    A write that got no answer, or one of a dead process, may still arrive: a write of our own makes it fail. Raises
    StepFailed if that is not certain after ``rollback_timeout``, or LeaseLost.
    """
    last = [""]

    def attempt() -> bool | None:
        try:
            seen = ports.router.observe()
            if seen.weights.get(promotion.target) != 100 or seen.fence < holder.token:
                seen = write(ports, steps, holder, seen, Destination(promotion.target, None, promotion.image.version))
            ports.lease.note(holder, {"promotion": replace(promotion, generation=seen.generation).dump()})
        except (CloudError, RouteConflict, SwitchFailed) as error:
            last[0] = first_line(error)
            return None
        return True

    poll(
        ports.clock,
        attempt,
        timeout_s=limits.rollback_timeout,
        waiting_for=lambda: f"traffic must stay on {promotion.target}, but a write may still move it; last: {last[0]}",
        tick=lambda elapsed: steps.waiting(last[0], elapsed),
    )


def _route_to(
    ports: Ports,
    steps: Steps,
    holder: Holder,
    previous: LiveSnapshot,
    worth_it: Callable[[Ports, LiveSnapshot], None],
) -> int:
    """Send traffic to ``previous`` unless it certainly stays there already; return the generation that must answer.

    ``worth_it`` raises StepFailed if traffic must not go there.

    It certainly stays there if this run, or a later one, wrote last. Otherwise a write of the promotion that got no
    answer, or a write of the run that this one took over from, may still arrive: a write of our own makes it fail.
    """
    seen = ports.router.observe()
    is_live = seen.live is previous.colour and seen.weights.get(previous.colour) == 100
    if is_live and seen.fence >= holder.token:
        return seen.generation
    if not is_live:
        worth_it(ports, previous)
    return write(ports, steps, holder, seen, _destination(previous)).generation


def _destination(previous: LiveSnapshot) -> Destination:
    return Destination(previous.colour, previous.origin, previous.version, previous.tolerated)


def _require_answer(ports: Ports, previous: LiveSnapshot) -> None:
    """Raise StepFailed if the previous colour itself does not answer at its own address: traffic must not go to a dead colour.

    An answer that fails as before the deployment may be a gateway's for a dead colour. It counts only if another check that
    passed before the deployment passes now.
    """
    if silent := _silence(ports, previous):
        raise StepFailed(silent)


def _silence(ports: Ports, previous: LiveSnapshot) -> str | None:
    """Return a sentence if the previous colour does not answer at its own address; None if it does.

    The colour need not be better than it was: its health check may fail as it did before the deployment, if another check
    passes that passed then. A colour whose every check failed may have been dead, so its health check is not excused.
    """
    problem, as_before = "no answer", False
    for _ in range(ALIVE_TRIES):
        for answer in ports.front.ask(1, previous.url):
            if answer.ok and previous.version in (None, answer.version):
                return None
            as_before = answer.fails_like(previous.problems)
            problem = answer.problem or f"version {answer.version!r}, not {previous.version!r}"
    if as_before and not previous.passed:
        problem += ", as before the deployment; no other check passed then, so a gateway may answer for a dead colour"
    elif as_before:
        if _serves(ports, previous):
            return None
        problem += ", as before the deployment; but no check that passed then passes now"
    return (
        f"the previous colour {previous.colour} cannot take the traffic back ({ALIVE_TRIES} of {ALIVE_TRIES} requests to it "
        f"failed, the last: {problem}); traffic was not moved"
    )


def _serves(ports: Ports, previous: LiveSnapshot) -> bool:
    """Return whether a check that passed before the deployment passes at the previous colour's own address now."""
    if previous.url is None:
        return False  # the live domain would answer, and the candidate has its traffic
    return not set(previous.passed).isdisjoint(ports.front.inspect(previous.url, previous.passed).passed)


def _wait_until_healthy(ports: Ports, steps: Steps, previous: LiveSnapshot, timeout_s: float) -> Sequence[str]:
    """Wait until the live domain is as healthy as before the deployment; return what is still wrong.

    Raises StepFailed if it has another problem after ``timeout_s``.
    """
    last = [""]

    def attempt() -> Sequence[str] | None:
        problems = ports.front.examine(every=bool(previous.problems))
        last[0] = next((problem for problem in problems if not previous.excuses(problem)), "")
        return None if last[0] else problems

    try:
        return poll(
            ports.clock,
            attempt,
            timeout_s=timeout_s,
            waiting_for=lambda: last[0],
            tick=lambda elapsed: steps.waiting(last[0], elapsed),
        )
    except StepFailed as error:
        raise StepFailed(f"traffic is back on {previous.colour}, but {first_line(error)}") from error


@dataclass(frozen=True)
class Retirement:
    """The colour to stop.

    ``since``: when the logs begin that are kept. ``left_at``: when the routes last sent it traffic; None if they never did.
    ``back``: the colour to which a rollback moved its traffic; None without a rollback.
    """

    colour: Colour
    since: datetime
    left_at: datetime | None = None
    back: LiveSnapshot | None = None


class _Hold:
    """Why a colour must keep running: the previous colour is not as large yet, or requests may still be sent to it."""

    def __init__(self, ports: Ports, journal: Journal, retirement: Retirement, longest_s: float) -> None:
        self._ports, self._journal, self._longest_s = ports, journal, longest_s
        back = retirement.back
        # A colour with a problem from before the deployment may never be as large: a repair must not wait for it.
        self._back = None if back is None or back.problems else back.colour
        self._left_at = retirement.left_at
        self._began = ports.clock.monotonic()
        self.warning: str | None = None

    def reason(self, holder: Holder) -> str | None:
        """Return why the colour must keep running; None if it may be stopped. Raises LeaseLost."""
        return self._missing(holder) or self._unsettled()

    def _missing(self, holder: Holder) -> str | None:
        if self._back is None:
            return None
        waited = self._ports.clock.monotonic() - self._began
        try:
            _, missing = grow(self._ports, holder, self._back)
        except CloudError as error:  # also without the right to scale: autoscaling may do it, now that there is traffic
            missing = first_line(error)
        if missing is not None and waited < self._longest_s:
            return f"{self._back} is not large enough yet: {missing}"
        if missing is not None:
            self.warning = f"{self._back} may be too small for all traffic: {missing}"
            self._journal.append("undersized", colour=self._back, missing=missing, waited_s=round(waited, 1))
        self._back = None
        return None

    def _unsettled(self) -> str | None:
        if self._left_at is None:
            return None
        left = self._ports.router.settling_s - (self._ports.clock.now() - self._left_at).total_seconds()
        return f"requests may still be sent to it for {left:.0f} s" if left > 0 else None


def retire(
    ports: Ports,
    steps: Steps,
    journal: Journal,
    retirement: Retirement,
    limits: DeploymentLimits,
    holder: Holder | None,
) -> bool:
    """Stop the colour that has no traffic any more, journal its logs, and return whether it is stopped.

    Never raises a DeploymentError: the outcome is decided by now. Nothing is stopped without the lease, because another
    deployment may use the colour by now. A colour with traffic is never stopped. After a rollback the colour keeps running
    until the previous one is as large, for at most SHARE_FOR_SIZE of ``retire_timeout``. A colour that had traffic keeps
    running for the router's ``settling_s``. If the platform does not stop it within ``retire_timeout``, because it still has
    requests, it is left running.
    """
    colour, stopped = retirement.colour, False
    hold = _Hold(ports, journal, retirement, limits.retire_timeout * SHARE_FOR_SIZE)
    try:
        with steps.step("retire", f"stop {colour}") as result:
            last = [f"{colour} is not stopped yet"]

            def attempt() -> str | None:
                progress = ports.platform.stopped(colour)
                last[0] = f"{colour} is not stopped yet: {progress.detail}"
                if progress.readiness is Readiness.READY:
                    return progress.detail
                if progress.readiness is Readiness.STUCK:
                    raise StepFailed(progress.detail)
                reason = None if holder is None else hold.reason(holder)
                if reason is not None:
                    last[0] = f"{colour} keeps running: {reason}"
                    return None
                # Checked each time: after a suspension of this process the colour may belong to another deployment, and be live.
                _require_stoppable(ports, holder, colour)
                ports.platform.retire(colour)
                return None

            detail = poll(
                ports.clock,
                attempt,
                timeout_s=limits.retire_timeout,
                waiting_for=lambda: last[0],
                tick=lambda elapsed: steps.waiting(last[0], elapsed),
            )
            result["detail"] = f"{detail}; {hold.warning}" if hold.warning else detail
        stopped = True
    except DeploymentError as error:
        journal.append("retire_failed", colour=colour, error=first_line(error))
    try:
        lines = list(ports.platform.logs(colour, retirement.since, LOG_LINES))
        journal.append("logs", colour=colour, lines=lines)
    except DeploymentError as error:
        journal.append("logs_failed", colour=colour, error=first_line(error))
    return stopped


def _require_stoppable(ports: Ports, holder: Holder | None, colour: Colour) -> None:
    if holder is None:
        raise LeaseLost("this run does not hold the lease")
    if ports.router.observe().weights.get(colour):
        raise StepFailed(f"{colour} takes traffic and was not stopped")
    ports.lease.check(holder)  # last: while the lease is ours, no other run moves traffic

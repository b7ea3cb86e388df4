"""The bake: the promoted release is watched from the switch on, and the first proof of harm ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.errors import CloudError, StepFailed
from deployment.evidence.journal import Journal
from deployment.flow.alarms import AlarmWatch
from deployment.flow.steps import Steps
from deployment.polling import BLIND_S, Readings
from deployment.ports import Clock

# During a bake: the pause between two checks of the watch, and between two reads of the routes.
WATCH_EVERY_S = 0.1
OBSERVE_EVERY_S = 5.0
LEAST_PAUSE_S = 0.001  # rounding could make a shorter pause 0, and the loop would never end


class UnchangedWatch:
    """Reads every few seconds whether the routes and the release are still as they should be.

    ``read`` raises RouteConflict or StepFailed if they are not. It returns a problem that is only worth a record, else None.
    Routes that cannot be read for BLIND_S end the watch.
    """

    def __init__(self, read: Callable[[], str | None], clock: Clock, journal: Journal) -> None:
        self._read, self._clock, self._journal = read, clock, journal
        self._readings = Readings(read, clock, OBSERVE_EVERY_S)
        self._read_at = clock.monotonic()
        self._unread: CloudError | None = None

    def check(self) -> None:
        """Raise what ``read`` raised, or StepFailed if it could not read for too long. Never waits for AWS."""
        self._readings.ask()
        for reading in self._readings.take():
            if isinstance(reading, CloudError):
                if self._unread is None:
                    self._journal.append("check_failed", error=reading.message)
                self._unread = reading
                continue
            self._unread, self._read_at = None, self._clock.monotonic()
            self._record(reading)
        blind = self._clock.monotonic() - self._read_at
        if blind > BLIND_S:
            why = f": {self._unread.message}" if self._unread else ""
            raise StepFailed(f"the routes could not be read for {blind:.0f} s, the limit is {BLIND_S:g} s{why}")

    def conclude(self) -> None:
        """Read once more, in this thread. Raises as ``read`` does, and CloudError if it cannot be read."""
        self._record(self._read())

    def _record(self, problem: str | None) -> None:
        if problem is not None:
            self._journal.append("check_failed", error=problem)


@dataclass(frozen=True)
class BakeWatch:
    """The checks during a bake: users' answers show no harm, no alarm fires, and routes and release are unchanged."""

    harm: Callable[[], str | None]
    alarms: AlarmWatch | None
    unchanged: UnchangedWatch

    def check(self) -> None:
        """Raise StepFailed or RouteConflict at the first proof of harm. Never waits for AWS."""
        problem = self.harm() or (self.alarms.harm() if self.alarms else None)
        if problem:
            raise StepFailed(problem)
        self.unchanged.check()

    def conclude(self) -> None:
        """Check everything once more, at the end. Raises StepFailed, RouteConflict or CloudError."""
        self.unchanged.conclude()
        if self.alarms:
            self.alarms.conclude()


def bake(
    clock: Clock, steps: Steps, watch: BakeWatch, *, since: float, seconds: float, still_ours: Callable[[], None]
) -> None:
    """Watch until ``seconds`` have passed since ``since`` (monotonic).

    Raises StepFailed, RouteConflict, LeaseLost or CloudError.
    """
    while True:
        elapsed = clock.monotonic() - since
        watch.check()  # at least once, and once more when the time is over
        still_ours()
        if elapsed >= seconds:
            watch.conclude()
            return
        steps.waiting(f"{elapsed:.0f} of {seconds:g} s without harm", elapsed)
        clock.sleep(min(WATCH_EVERY_S, max(LEAST_PAUSE_S, seconds - elapsed)))

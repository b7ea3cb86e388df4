"""Readings beside a watch: a call to AWS may take a minute, and the watch must see harm to users in the meantime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from deployment.errors import CloudError, StepFailed
from deployment.evidence.journal import Journal
from deployment.ports import Clock

BLIND_S = 30.0
"""A watch fails if it could not read its subject for this long."""

T = TypeVar("T")


class Readings(Generic[T]):
    """Calls ``read`` every ``every_s`` seconds, one call at a time, beside the thread that takes the results.

    Only that thread uses the other methods.
    """

    def __init__(self, read: Callable[[], T], clock: Clock, every_s: float) -> None:
        self._read, self._clock, self._every_s = read, clock, every_s
        self._lock = threading.Lock()
        self._made: list[T | Exception] = []
        self._reading = False
        self._asked_at = clock.monotonic()

    def ask(self) -> None:
        """Begin a reading if none is running and the last one began ``every_s`` ago. Never waits."""
        now = self._clock.monotonic()
        if self._reading or now - self._asked_at < self._every_s:
            return
        self._asked_at, self._reading = now, True
        self._clock.beside(self.read_now)

    def read_now(self) -> None:
        """Read in this thread, and keep the result."""
        made: T | Exception
        try:
            made = self._read()
        except Exception as error:
            made = error
        with self._lock:
            self._made.append(made)
            self._reading = False

    def take(self) -> list[T | CloudError]:
        """Return the results since the last call, in their order. Raises what a reading raised that is no CloudError."""
        with self._lock:
            made, self._made = self._made, []
        taken: list[T | CloudError] = []
        for one in made:
            if isinstance(one, Exception) and not isinstance(one, CloudError):
                raise one
            taken.append(one)
        return taken


class UnchangedWatch:
    """Reads every few seconds whether the routes and the release are still as they should be.

    ``read`` raises RouteConflict or StepFailed if they are not. It returns a problem that is only worth a record, else None.
    Routes that cannot be read for BLIND_S end the watch.
    """

    def __init__(self, read: Callable[[], str | None], clock: Clock, journal: Journal, every_s: float) -> None:
        self._read, self._clock, self._journal = read, clock, journal
        self._readings = Readings(read, clock, every_s)
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

"""Waiting with a deadline and a growing pause, and readings beside a watch; the clock is passed in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from deployment.errors import CloudError, DeadlinePassed
from deployment.ports import Clock

T = TypeVar("T")

FIRST_PAUSE_S = 0.1
PAUSE_GROWTH = 1.5
# A clock that only pauses move may never advance by less than this, because of the rounding of floats.
SHORTEST_PAUSE_S = 1e-6
BLIND_S = 30.0
"""A watch fails if it could not read its subject for this long."""
# A watch that did not ask for longer than this did not watch, so that time says nothing about its subject.
LONGEST_PAUSE_S = 5.0


def poll(
    clock: Clock,
    attempt: Callable[[], T | None],
    *,
    timeout_s: float,
    waiting_for: Callable[[], str],
    tick: Callable[[float], None] = lambda _elapsed: None,
    longest_pause_s: float = 5.0,
) -> T:
    """Call ``attempt`` until it returns a result that is not None; pauses grow from 0.1 s to ``longest_pause_s``.

    ``tick`` gets the seconds elapsed before each pause. Raises DeadlinePassed with ``waiting_for()`` after
    ``timeout_s``.
    """
    began = clock.monotonic()
    pause = FIRST_PAUSE_S
    while True:
        result = attempt()
        if result is not None:
            return result
        elapsed = clock.monotonic() - began
        if timeout_s - elapsed < SHORTEST_PAUSE_S:
            raise DeadlinePassed(f"{waiting_for()} (waited {elapsed:.0f} s, the limit is {timeout_s:.0f} s)")
        tick(elapsed)
        clock.sleep(min(pause, longest_pause_s, max(0.0, timeout_s - elapsed)))
        pause = min(pause * PAUSE_GROWTH, longest_pause_s)


class Readings(Generic[T]):
    """Calls ``read`` every ``every_s`` seconds, one call at a time, beside the thread that takes the results.

    A call to AWS may take a minute, and a watch must see harm to users in the meantime. Only the thread that takes the
    results uses the methods. ``what`` names what is read, such as ``the routes``. ``problem`` is why the last reading failed;
    None if it succeeded.
    """

    def __init__(self, what: str, read: Callable[[], T], clock: Clock, every_s: float) -> None:
        self._what, self._read, self._clock, self._every_s = what, read, clock, every_s
        self._lock = threading.Lock()
        self._made: list[T | Exception] = []
        self._reading = self._wants_last = self._is_last = False
        self._begun_at = self._seen_at = clock.monotonic()
        self._open_since: float | None = None  # the first reading without a good result began then
        self.problem: CloudError | None = None

    def ask(self) -> None:
        """Begin a reading if none is running and the last one began ``every_s`` ago. Never waits."""
        now = self._now()
        if not self._reading and not self._wants_last and now - self._begun_at >= self._every_s:
            self._begin(now)

    def last(self) -> bool:
        """Begin one more reading once none is running. Return whether it has ended, so that ``take`` has returned it or will."""
        now, self._wants_last = self._now(), True
        if not self._reading and not self._is_last:
            self._is_last = True
            self._begin(now)
        if self._reading:
            return False
        self._wants_last = self._is_last = False
        return True

    def take(self) -> list[T | CloudError]:
        """Return the results since the last call, in their order. Raises any other error of a reading than CloudError."""
        with self._lock:
            made, self._made = self._made, []
        taken: list[T | CloudError] = []
        for one in made:
            if isinstance(one, CloudError):
                self.problem = one
            elif isinstance(one, Exception):
                raise one
            else:
                self.problem, self._open_since = None, self._begun_at if self._reading else None
            taken.append(one)
        return taken

    def blind(self) -> str | None:
        """Return a sentence if nothing could be read for more than BLIND_S; else None."""
        blind = 0.0 if self._open_since is None else self._clock.monotonic() - self._open_since
        if blind <= BLIND_S:
            return None
        why = f": {self.problem.message}" if self.problem else ""
        return f"{self._what} could not be read for {blind:.0f} s, the limit is {BLIND_S:g} s{why}"

    def _now(self) -> float:
        now = self._clock.monotonic()
        if self._open_since is not None and now - self._seen_at > LONGEST_PAUSE_S:
            self._open_since += now - self._seen_at  # this process may have been stopped, and its readings with it
        self._seen_at = now
        return now

    def _begin(self, now: float) -> None:
        self._begun_at, self._reading = now, True
        if self._open_since is None:
            self._open_since = now
        self._clock.beside(self._read_once)

    def _read_once(self) -> None:
        made: T | Exception
        try:
            made = self._read()
        except Exception as error:
            made = error
        with self._lock:
            self._made.append(made)
            self._reading = False

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
BLIND_S = 30.0
"""A watch fails if it could not read its subject for this long."""


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
        if elapsed >= timeout_s:
            raise DeadlinePassed(f"{waiting_for()} (waited {elapsed:.0f} s, the limit is {timeout_s:.0f} s)")
        tick(elapsed)
        clock.sleep(min(pause, longest_pause_s, max(0.0, timeout_s - elapsed)))
        pause = min(pause * PAUSE_GROWTH, longest_pause_s)


class Readings(Generic[T]):
    """Calls ``read`` every ``every_s`` seconds, one call at a time, beside the thread that takes the results.

    A call to AWS may take a minute, and a watch must see harm to users in the meantime. Only the thread that takes the
    results uses the methods.
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

"""Waiting with a deadline, a growing pause, and a clock passed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deployment.errors import DeadlinePassed
from deployment.ports import Clock

T = TypeVar("T")

FIRST_PAUSE_S = 0.1
PAUSE_GROWTH = 1.5


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

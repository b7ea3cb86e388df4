"""Moves the measuring thread from core to core between sessions, so that no placement of processes lasts for a whole measurement."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

# With more cores than this, too few sessions would fall on each one to compare them by core.
MOST_CORES = 4


class Affinity(Protocol):
    """The cores that a thread may use."""

    def allowed(self) -> Collection[int]:
        """Return the numbers of these cores. Raises OSError."""

    def limit(self, cores: Collection[int]) -> None:
        """Let the thread use these cores only. Raises OSError."""


class ThreadAffinity:
    """The affinity of the calling thread; without effect on a system that has none, which then offers no core to move to."""

    def allowed(self) -> Collection[int]:
        """Return the cores of the calling thread; nothing if the system cannot name them."""
        return os.sched_getaffinity(0) if sys.platform == "linux" else ()

    def limit(self, cores: Collection[int]) -> None:
        """Let the calling thread use these cores only."""
        if sys.platform == "linux":
            os.sched_setaffinity(0, cores)


@contextmanager
def moving(affinity: Affinity, draw: random.Random) -> Iterator[Callable[[], int | None]]:
    """Yield a function that moves the calling thread to another core and returns its number; restore the affinity at the end.

    Each of at most ``MOST_CORES`` cores gets the same number of turns, in a random order. The function returns None, and
    does nothing, if there are less than two cores or if the system refuses.
    """
    try:
        before = set(affinity.allowed())
    except OSError:
        before = set()
    cores = draw.sample(sorted(before), min(len(before), MOST_CORES))
    order: list[int] = []

    def move() -> int | None:
        if len(cores) < 2:
            return None
        if not order:
            order.extend(draw.sample(cores, len(cores)))
        core = order.pop()
        try:
            affinity.limit({core})
        except OSError:
            cores.clear()
            return None
        return core

    try:
        yield move
    finally:
        if len(before) > 1:
            with suppress(OSError):  # the cores were taken away in the meantime, and the system has chosen others
                affinity.limit(before)

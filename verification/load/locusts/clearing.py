"""Removes what the users' journeys wrote: several at a time, in a time that grows with their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import gevent
from gevent.pool import Pool

MOST_AT_ONCE = 20
SHORT_S = 2.0
"""The longest time (s) for removing after a load that ended early to protect the live release."""
_BASE_S = 3.0
_EACH_S = 0.05  # so that, with MOST_AT_ONCE at a time, each one may take a second
_END_S = 1.0

T = TypeVar("T")


def removing_s(count: int, most_s: float) -> float:
    """Return the time (s) in which ``count`` runs of journeys may be removed, at most ``most_s``."""
    return min(most_s, _BASE_S + _EACH_S * count)


def remove_each(what: Sequence[T], remove: Callable[[T], None], within_s: float, at_once: int) -> None:
    """Call ``remove`` with each of ``what``, ``at_once`` at a time; end the calls that still run after ``within_s``.

    A call that raises prevents no other one.
    """
    pool = Pool(at_once)
    with gevent.Timeout(within_s, False):
        for one in what:
            pool.spawn(remove, one)
        pool.join()
    pool.kill(timeout=_END_S)

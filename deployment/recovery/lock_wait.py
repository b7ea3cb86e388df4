"""Waiting for the lock: a run that finds it held names the holder and waits until a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deployment.errors import EnvironmentTaken, LeaseHeld, first_line
from deployment.flow.lease import alive, open_deployment, owner_alive
from deployment.plan import Ports
from deployment.ports import Clock

T = TypeVar("T")

RETRY_EVERY_S = 1.0


class Queue:
    """The waiting time of one run: ``wait_s`` seconds in total, however many other runs come first."""

    def __init__(self, clock: Clock, wait_s: float, notify: Callable[[str, float], None]) -> None:
        """``notify`` gets, before each pause, what the run waits for and the seconds waited so far."""
        self._clock = clock
        self._wait_s = wait_s
        self._notify = notify
        self._began = clock.monotonic()

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return the result of ``attempt``, retrying while another run holds the lock.

        Raises LeaseHeld or EnvironmentTaken.
        """
        while True:
            try:
                return attempt()
            except (LeaseHeld, EnvironmentTaken) as error:
                elapsed = self._clock.monotonic() - self._began
                if elapsed >= self._wait_s:
                    raise
                self._notify(first_line(error), elapsed)
                self._clock.sleep(min(RETRY_EVERY_S, self._wait_s - elapsed))


def refuse_while_held(ports: Ports) -> None:
    """Raise LeaseHeld if a living process holds the lock; ``recover`` handles the lock of a dead one."""
    holder = ports.lease.current()
    if holder is not None and alive(ports, holder):
        raise LeaseHeld(holder)


def dead_lock_token(ports: Ports) -> int | None:
    """Return the token of a lock whose process, on this host, died before it touched anything; None otherwise."""
    holder = ports.lease.current()
    if holder is None or open_deployment(ports) is not None:
        return None
    return holder.token if owner_alive(holder) is False else None

"""Two at once: who holds the lock is named; whoever asked for it waits, until a deadline, and says for whom."""

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
    """The patience of one run: ``wait_s`` seconds in all, however many others come before it."""

    def __init__(self, clock: Clock, wait_s: float, notify: Callable[[str, float], None]) -> None:
        """``notify`` hears what is waited for, and the seconds waited, before each pause."""
        self._clock = clock
        self._wait_s = wait_s
        self._notify = notify
        self._began = clock.monotonic()

    def retry(self, attempt: Callable[[], T]) -> T:
        """Returns what ``attempt`` returns, trying again while others hold the lock. Raises LeaseHeld or EnvironmentTaken."""
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
    """Raises LeaseHeld while somebody who lives holds the lock; what the dead hold is for ``recover`` to settle."""
    holder = ports.lease.current()
    if holder is not None and alive(ports, holder):
        raise LeaseHeld(holder)


def dead_lock_token(ports: Ports) -> int | None:
    """The token of a lock that a process of this host died with before it touched anything; None where there is none."""
    holder = ports.lease.current()
    if holder is None or open_deployment(ports) is not None:
        return None
    return holder.token if owner_alive(holder.host, holder.pid, holder.process_started) is False else None

"""Signals (Ctrl-C, SIGTERM, SIGHUP): the first one ends the run, unless it is already ending or rolls back.

``os._exit`` is replaced as well: it skips the end of the run, so it must not return exit code 0.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


CUT_SHORT = 3
SENDERS = {"SIGINT": "Ctrl-C", "SIGTERM": "a cancelled job or kill", "SIGHUP": "a closed terminal"}
"""What usually sends each signal, for readers who do not know their names."""


class SignalReceived(KeyboardInterrupt):
    """A signal ended the run; it derives from KeyboardInterrupt, so that no ``except Exception`` swallows it."""


class Signals:
    """The run's signal handlers; ``received`` is the name of the first signal."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._shielded = False
        self._previous: dict[signal.Signals, object] = {}
        self._exit = os._exit
        self._pid = os.getpid()

    def install(self) -> None:
        """Install the handlers; only possible in the main thread."""
        for number in CAUGHT:
            self._previous[number] = signal.signal(number, self._handle)
        os._exit = self._exit_process  # type: ignore[assignment]  # it never returns either

    def _exit_process(self, status: int) -> None:
        """Exit with 3 instead of 0, because the run has not ended; a forked child exits with its own status."""
        self._exit(status if os.getpid() != self._pid else status or CUT_SHORT)

    def restore(self) -> None:
        """Restore the previous handlers and ``os._exit``."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # signal.signal returned it
        self._previous.clear()
        os._exit = self._exit

    @property
    def cause(self) -> str:
        """Return the first signal and its usual sender as a reason; ``received`` must not be None."""
        return f"interrupted by {self.received} ({SENDERS[str(self.received)]})"

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        first = self.received is None
        self.received = self.received or signal.Signals(number).name
        if first and not self._shielded:
            raise SignalReceived(f"received {self.received}")

    def shield(self) -> None:
        """Note signals from now on instead of raising."""
        self._shielded = True

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Note signals instead of raising while the block runs."""
        before, self._shielded = self._shielded, True
        try:
            yield
        finally:
            self._shielded = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Delay signals to the end of the block. Only the main thread receives signals; in others nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = self.received
        with self.shielded():
            yield
        if before is None and self.received is not None and not self._shielded:
            raise SignalReceived(f"received {self.received}")

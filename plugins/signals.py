"""Ctrl-C and SIGTERM: the first one ends the run, unless the run is just ending; a rollback is never cut short.

And ``os._exit``, which runs nothing of all that ends a run: it cannot say that a release was promoted.
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


class SignalReceived(KeyboardInterrupt):
    """A signal asked the run to end; no ``except Exception`` of a step or a check can swallow it."""


class Signals:
    """The run's signal handlers; ``received`` is the first signal's name."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._shielded = False
        self._previous: dict[signal.Signals, object] = {}
        self._exit = os._exit
        self._pid = os.getpid()

    def install(self) -> None:
        """Takes the signals over; only possible in the main thread."""
        for number in CAUGHT:
            self._previous[number] = signal.signal(number, self._handle)
        os._exit = self._leave  # type: ignore[assignment]  # it never returns either

    def _leave(self, status: int) -> None:
        """Whoever leaves this process past the end of its run did not finish it; a forked child may say what it likes."""
        self._exit(status if os.getpid() != self._pid else status or CUT_SHORT)

    def restore(self) -> None:
        """Gives them back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it is what signal.signal returned
        self._previous.clear()
        os._exit = self._exit

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        first = self.received is None
        self.received = self.received or signal.Signals(number).name
        if first and not self._shielded:
            raise SignalReceived(f"received {self.received}")

    def shield(self) -> None:
        """From here on signals are noted and wait, for good."""
        self._shielded = True

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Within it, signals are noted and wait."""
        before, self._shielded = self._shielded, True
        try:
            yield
        finally:
            self._shielded = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it, signals wait; one that came is raised at its end. Signals are the main thread's: others just pass."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = self.received
        with self.shielded():
            yield
        if before is None and self.received is not None and not self._shielded:
            raise SignalReceived(f"received {self.received}")

"""Steps: the journal gets the intent before the act and the outcome after it; listeners get both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployment.errors import first_line
from deployment.events import Event, Listener, StepBegan, StepEnded, Waiting
from deployment.evidence.journal import Journal
from deployment.ports import Clock

# The shortest pause between two Waiting events: often enough for a person, seldom enough for a log.
WAITING_EVERY_S = 0.5


@dataclass
class _Open:
    name: str
    started_at: str
    began: float


class Steps:
    """The steps of one deployment.

    At most one is open; ``verify`` and ``live`` stay open while other code runs the checks.
    """

    def __init__(self, journal: Journal, clock: Clock, listener: Listener, publish: Callable[[], None]) -> None:
        """``publish`` is called after each intent, so that the lease item names the open step as well."""
        self._journal = journal
        self._clock = clock
        self._listener = listener
        self._publish = publish
        self._open: _Open | None = None
        self._waiting_sent_at = 0.0
        self.written: list[tuple[float, int]] = []  # when (epoch seconds) which generation was about to be written

    @property
    def current(self) -> str | None:
        """The open step's name."""
        return self._open.name if self._open else None

    def begin(self, name: str, what: str, **data: Any) -> None:
        """Journal the intent. From here on the step counts as begun, even if the process dies.

        Raises JournalUnwritable on the way forward: without its intent on the disk no step may act.
        """
        self._open = _Open(name, self._clock.now().isoformat(timespec="milliseconds"), self._clock.monotonic())
        self._journal.append("intent", step=name, what=what, **data)
        self._journal.require_written()
        self._publish()
        self.notify(StepBegan(name, what))

    def end(self, passed: bool, detail: str, **data: Any) -> None:
        """Journal the open step's outcome; does nothing if no step is open."""
        if self._open is None:
            return
        step, self._open = self._open, None
        duration = self._clock.monotonic() - step.began
        outcome = "passed" if passed else "failed"
        self._journal.append(
            "outcome",
            step=step.name,
            outcome=outcome,
            started_at=step.started_at,
            duration_s=round(duration, 3),
            detail=detail,
            **data,
        )
        self.notify(StepEnded(step.name, passed, duration, detail))

    @property
    def last_write(self) -> datetime | None:
        """The moment right before the last write of the routes; None if this process wrote none."""
        return datetime.fromtimestamp(self.written[-1][0], UTC) if self.written else None

    @contextmanager
    def step(self, name: str, what: str, **data: Any) -> Iterator[dict[str, Any]]:
        """Run a block as a step. The block may put its one-line result under ``detail``, and further data for the outcome."""
        result: dict[str, Any] = {}
        self.begin(name, what, **data)
        try:
            yield result
        except BaseException as error:
            self.end(False, first_line(error))
            raise
        self.end(True, **{"detail": what, **result})

    def writing(self, colour: str, generation: int, weight: int = 100) -> None:
        """Journal the moment right before traffic is sent to ``colour``; the time of a switch is counted from it.

        Raises JournalUnwritable on the way forward.
        """
        self.written.append((self._clock.now().timestamp(), generation))
        self._journal.append("writing", colour=colour, generation=generation, weight=weight)
        self._journal.require_written()

    def waiting(self, detail: str, elapsed_s: float) -> None:
        """Send the listeners what the open step waits for."""
        now = self._clock.monotonic()
        if self._open and now - self._waiting_sent_at >= WAITING_EVERY_S:
            self._waiting_sent_at = now
            self.notify(Waiting(self._open.name, detail, elapsed_s))

    def notify(self, event: Event) -> None:
        """Send an event to the listener. An exception of the listener is journalled and changes nothing."""
        try:
            self._listener(event)
        except Exception as error:
            self._journal.append("listener_failed", event=type(event).__name__, error=first_line(error))

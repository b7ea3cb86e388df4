"""Steps: intent in the journal before the act, outcome after it, and both told to the listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployment.errors import first_line
from deployment.events import Event, Listener, StepBegan, StepEnded, Waiting
from deployment.evidence.journal import Journal
from deployment.ports import Clock

# What a step waits for is told this often at most: often enough for a person, seldom enough for a log.
WAITING_EVERY_S = 0.5


@dataclass
class _Open:
    name: str
    started_at: str
    began: float


class Steps:
    """The steps of one deployment, at most one open at a time but for ``verify`` and ``live``, which span others' work."""

    def __init__(self, journal: Journal, clock: Clock, listener: Listener, publish: Callable[[], None]) -> None:
        """``publish`` is called after each intent, so that the open step is also known beside the lease."""
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
        """Journals the intent; from here on the step counts as begun, whatever dies."""
        self._open = _Open(name, self._clock.now().isoformat(timespec="milliseconds"), self._clock.monotonic())
        self._journal.append("intent", step=name, what=what, **data)
        self._publish()
        self.notify(StepBegan(name, what))

    def end(self, passed: bool, detail: str, **data: Any) -> None:
        """Journals the open step's outcome; nothing happens where none is open."""
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

    @contextmanager
    def step(self, name: str, what: str, **data: Any) -> Iterator[dict[str, str]]:
        """A step around a block; the block may put its one-line result under ``detail``."""
        result: dict[str, str] = {}
        self.begin(name, what, **data)
        try:
            yield result
        except BaseException as error:
            self.end(False, first_line(error))
            raise
        self.end(True, result.get("detail", what))

    def writing(self, colour: str, generation: int, weight: int = 100) -> None:
        """Journals the moment right before traffic is told to go to ``colour``; the time of a switch is counted from it."""
        self.written.append((self._clock.now().timestamp(), generation))
        self._journal.append("writing", colour=colour, generation=generation, weight=weight)

    def waiting(self, detail: str, elapsed_s: float) -> None:
        """Tells the listeners what the open step waits for."""
        now = self._clock.monotonic()
        if self._open and now - self._waiting_sent_at >= WAITING_EVERY_S:
            self._waiting_sent_at = now
            self.notify(Waiting(self._open.name, detail, elapsed_s))

    def notify(self, event: Event) -> None:
        """A listener that raises is recorded, not obeyed."""
        try:
            self._listener(event)
        except Exception as error:
            self._journal.append("listener_failed", event=type(event).__name__, error=first_line(error))

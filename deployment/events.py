"""What a deployment tells its listeners: terminal, reports. Listeners only listen; one that raises is recorded, not obeyed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.model import Reason
from deployment.phases import Phase


@dataclass(frozen=True)
class StepBegan:
    """A step is about to act; its intent is in the journal."""

    step: str
    what: str


@dataclass(frozen=True)
class StepEnded:
    """A step came to its end. ``detail`` is one line: what was reached, or why it failed."""

    step: str
    passed: bool
    duration_s: float
    detail: str


@dataclass(frozen=True)
class Waiting:
    """A step waits for something; told again and again while it does."""

    step: str
    detail: str
    elapsed_s: float


@dataclass(frozen=True)
class PhaseChanged:
    """The deployment moved on."""

    before: Phase
    after: Phase
    reason: Reason | None


Event = StepBegan | StepEnded | Waiting | PhaseChanged
Listener = Callable[[Event], None]

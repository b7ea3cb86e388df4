"""The events that a deployment sends to its listeners: terminal and reports.

An exception of a listener is recorded and changes nothing.
"""

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
    """A step ended. ``detail`` is one line: the result, or why the step failed."""

    step: str
    passed: bool
    duration_s: float
    detail: str


@dataclass(frozen=True)
class Waiting:
    """A step is waiting; sent again and again while it does. ``detail`` says for what."""

    step: str
    detail: str
    elapsed_s: float


@dataclass(frozen=True)
class PhaseChanged:
    """The deployment entered another phase."""

    before: Phase
    after: Phase
    reason: Reason | None


Event = StepBegan | StepEnded | Waiting | PhaseChanged
Listener = Callable[[Event], None]

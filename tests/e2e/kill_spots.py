"""Every journal line of a promotion, an automatic rollback, ``rollback`` and ``recover``, and the verdict after a kill there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PROMOTION = (
    "opened",
    "manifest",
    "checks",
    "admitted",
    "planned",
    "preflight",
    "checklist",
    "compared",
    "intent lease",
    "phase LEASED",
    "alarms",
    "outcome lease",
    "phase PROVISIONING",
    "notifying",
    "intent provision",
    "rollout",
    "outcome provision",
    "phase VERIFYING",
    "intent verify",
    *("tally", "tally#2", "tally#3", "tally#4", "tally#5", "tally#6", "tally#7"),
    "verified",
    "alarms#2",
    "outcome verify",
    "alarms#3",
    "phase PROMOTING",
    "intent promote",
    "writing",
    "switched",
    "outcome promote",
    "phase BAKING",
    "intent live",
    "tally#8",
    "outcome live",
    "intent bake",
    "tally#9",
    "watched",
    "traffic",
    "outcome bake",
    "phase SUCCEEDED",
    "notifying#2",
    "coverage",
    "gates",
    "closed",
)
# The lines after `switched`, for a release that fails as soon as users reach it.
AUTOMATIC_ROLLBACK = (
    "outcome promote",
    "decided",
    "phase ROLLING_BACK",
    "intent rollback",
    "writing#2",
    "outcome rollback",
    "phase ROLLED_BACK",
    "notifying#2",
    "intent retire",
    "outcome retire",
    "logs",
    "watched",
    "traffic",
    "coverage",
    "gates",
    "closed",
)
ROLLBACK_COMMAND = (
    "opened",
    "planned",
    "admitted",
    "intent lease",
    "outcome lease",
    "intent rollback",
    "writing",
    "outcome rollback",
    "intent retire",
    "outcome retire",
    "logs",
    "traffic",
    "read_back",
    "notifying",
    "closed",
)
# The lines of `recover` after a run that was killed right after the switch.
RECOVER_COMMAND = (
    "recovering",
    "phase ROLLING_BACK",
    "intent rollback",
    "writing",
    "outcome rollback",
    "phase ROLLED_BACK",
    "notifying",
    "intent retire",
    "outcome retire",
    "logs",
    "leftovers",
    "closed",
)
MOMENTS = ("before", "after")


@dataclass(frozen=True)
class Spot:
    """The moment of a kill: right before or right after the process writes the line at ``index`` of ``lines``."""

    lines: Sequence[str]
    index: int
    moment: str

    def __str__(self) -> str:
        return f"{self.moment} {self.lines[self.index]}"

    def written(self, line: str) -> bool:
        """Return whether that line had been written when the process was killed."""
        at = self.lines.index(line)
        return at < self.index or (at == self.index and self.moment == "after")


def spots(lines: Sequence[str]) -> list[Spot]:
    """Return both spots of every line."""
    return [Spot(lines, index, moment) for index in range(len(lines)) for moment in MOMENTS]


def verdict_of_killed_promotion(spot: Spot) -> str | None:
    """Return the verdict of a promotion that was killed there; None if the run had not begun."""
    if not spot.written("opened"):
        return None
    if spot.written("outcome bake"):
        return "promoted"
    return "rolled_back" if spot.written("intent promote") else "rejected"


def verdict_of_killed_rollback(spot: Spot) -> str | None:
    """Return the verdict of a ``rollback`` that was killed there; its note beside the lease is written right before the intent."""
    if not spot.written("opened"):
        return None
    noted = spot.written("outcome lease") and str(spot) != "after outcome lease"
    return "rolled_back" if noted else "rejected"

"""What a mode of a run does at each stage: ``plugins.modes.deploy`` and ``plugins.modes.verify`` are the two that there are."""

from __future__ import annotations

from typing import Protocol

from deployment.evidence.archive import Archive
from deployment.evidence.verdict import CheckResult
from plugins.stages import Stage


class RunMode(Protocol):
    """What a mode does at each stage. ``live_harmed``: users of the live colour suffered before any switch."""

    live_harmed: bool

    def enter(self, stage: Stage) -> None:
        """Does what comes before the stage's checks; raises a DeploymentError where the run cannot go on."""

    def failed(self, result: CheckResult) -> None:
        """Hears of a required check that did not pass."""

    def conclude(self) -> None:
        """All checks are through, or the run cannot go on: decides, and moves traffic back where it must."""

    def finalize(self) -> None:
        """The very last moment at which the run can still be called off."""

    def outcome(self) -> tuple[str, int]:
        """The verdict's word and the exit code that it stands for."""

    def archive(self) -> Archive:
        """Where the run's evidence goes beyond the folder of its report."""

    def close(self) -> None:
        """Ends what the mode started; never raises."""

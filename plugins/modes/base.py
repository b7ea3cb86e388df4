"""The interface of a run's mode; ``plugins.modes.deploy`` and ``plugins.modes.verify`` implement it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from deployment.evidence.archive import Archive
from deployment.evidence.verdict import CheckResult
from deployment.model import Reason
from plugins.stages import Stage


class RunMode(Protocol):
    """The actions of a mode at each stage. ``live_harmed``: users of the live colour were harmed before the switch."""

    live_harmed: bool

    def enter(self, stage: Stage) -> None:
        """Do the work before the stage's checks. Raises DeploymentError if the run cannot continue."""

    def failed(self, result: CheckResult) -> None:
        """Handle a required check that did not pass."""

    def stop_if_failed(self) -> None:
        """Stop the run if a required gate has failed; a gate that has not ended does not stop it."""

    def harm(self) -> str | None:
        """Return proof that the promoted release harms its users while the checks of the live domain run; None if there is none."""

    def roll_back(self, harm: str) -> None:
        """Roll back at once because of such harm."""

    def conclude(self) -> None:
        """Decide, once all checks have run or the run cannot continue; move traffic back if necessary."""

    def finalize(self) -> None:
        """Make the result final; until then the run can still be stopped."""

    def outcome(self) -> tuple[str, int]:
        """Return the verdict and its exit code."""

    def archive(self) -> Archive:
        """Return where the run's evidence is stored besides its report folder."""

    def series(self) -> Mapping[str, Any]:
        """Return the series that the run measured itself, by name, for the report's pictures."""

    @property
    def traffic_seen(self) -> tuple[int, int] | None:
        """The requests to the live domain so far, and how many of them failed; None if none are sent."""

    def take_back(self, reason: Reason) -> None:
        """Take back a result that is good, because its report cannot be written."""

    def close(self, unreported: str | None) -> None:
        """Stop everything that the mode started. Never raises. ``unreported``: why there is no report, None if there is one."""

"""Growing pauses between the restarts of a service's instance."""

from __future__ import annotations

from infrastructure.embedded.aws.runtime.instances import Instance

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 30.0
"""An instance that lived this long ends a crash loop: the pauses start again from the shortest."""


class BackOff:
    """The time of the next permitted restart of a service; `now` is always in seconds since the epoch."""

    def __init__(self) -> None:
        self._attempts = 0
        self._not_before = 0.0
        self._seen: str | None = None

    def due(self, now: float) -> bool:
        """Return whether a restart is permitted now."""
        return now >= self._not_before

    def attempted(self, died: Instance | None, now: float) -> None:
        """Count an attempt to replace `died`; the pause doubles each time, and a steady instance resets it."""
        if died is not None and died.id != self._seen:
            self._seen = died.id
            if now - died.started_at > STEADY_AFTER_S:
                self._attempts = 0
        self._not_before = now + min(FIRST_PAUSE_S * 2**self._attempts, LONGEST_PAUSE_S)
        self._attempts = min(self._attempts + 1, 16)

"""Growing pauses between restarts, per service."""

from __future__ import annotations

from infrastructure.embedded.aws.runtime.instances import Instance

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 30.0
"""An instance that lived this long has ended a crash loop: its crash is answered at once again."""


class BackOff:
    """When the next restart of a service may be tried; `now` is seconds since the epoch throughout."""

    def __init__(self) -> None:
        self._attempts = 0
        self._not_before = 0.0
        self._seen: str | None = None

    def due(self, now: float) -> bool:
        """Whether a restart may be tried."""
        return now >= self._not_before

    def attempted(self, died: Instance | None, now: float) -> None:
        """Counts an attempt to replace `died`; the pause doubles with each, unless a steady instance came between."""
        if died is not None and died.id != self._seen:
            self._seen = died.id
            if now - died.started_at > STEADY_AFTER_S:
                self._attempts = 0
        self._not_before = now + min(FIRST_PAUSE_S * 2**self._attempts, LONGEST_PAUSE_S)
        self._attempts = min(self._attempts + 1, 16)

"""The system's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        """See ``deployment.ports.Clock``."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See ``deployment.ports.Clock``."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See ``deployment.ports.Clock``."""
        time.sleep(seconds)

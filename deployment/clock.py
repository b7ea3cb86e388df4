"""The system's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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

    def beside(self, work: Callable[[], None]) -> None:
        """See ``deployment.ports.Clock``. The thread ends with the process."""
        threading.Thread(target=work, name="beside", daemon=True).start()

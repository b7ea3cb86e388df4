"""A benchmark that gets SIGTERM stops what it started, as it does after Ctrl-C."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def clean_up_on_sigterm() -> None:
    """Let SIGTERM end this process by `SystemExit`, so that open contexts stop their environments."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)

"""What this Locust process was told, in the first line of stdin; the end of stdin is the end of whoever started it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import gevent

# What users need to finish, and to delete what they booked; then the process is ended from outside, whatever it waits for.
_SETTLE_S = 8


def first_line() -> dict[str, Any]:
    """The line, read byte by byte: what follows is the end of file, which is waited for elsewhere."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            sys.exit("no plan on stdin")
        line += piece
    told: dict[str, Any] = json.loads(line)
    return told


def follow_parent(leave: Callable[[], None]) -> None:
    """From now on ``leave`` is called when stdin ends, and soon after that the process ends, done or not."""
    gevent.spawn(_follow, leave)


def _follow(leave: Callable[[], None]) -> None:
    # In a real thread, since a patched read would block every user.
    while gevent.get_hub().threadpool.spawn(os.read, 0, 4096).get():
        pass
    signal.alarm(_SETTLE_S)  # by the kernel: a socket that waits for a master that is gone blocks all of Python
    leave()

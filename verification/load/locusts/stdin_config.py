"""Reads the configuration of this Locust process from the first line of stdin. Stdin ends when the parent process ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import gevent

# The time that users need to finish, and to delete what they booked; then the kernel ends the process in any case.
_SETTLE_S = 8


def read_config() -> dict[str, Any]:
    """Return the configuration. It is read byte by byte, because ``follow_parent`` waits for the end of file after it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            sys.exit("no plan on stdin")
        line += piece
    config: dict[str, Any] = json.loads(line)
    return config


def follow_parent(leave: Callable[[], None]) -> None:
    """Call ``leave`` when stdin ends, and end the process soon after that in any case."""
    gevent.spawn(_follow, leave)


def _follow(leave: Callable[[], None]) -> None:
    # In a real thread, because a patched read would block every user.
    while gevent.get_hub().threadpool.spawn(os.read, 0, 4096).get():
        pass
    signal.alarm(_SETTLE_S)  # by the kernel, because a socket that waits for a lost master blocks all of Python
    leave()

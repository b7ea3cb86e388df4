"""Ends its own process by SIGKILL at a line of a journal; the product knows nothing of it.

For pytest it is a plugin (``-p tests.e2e.kill_switch``), for a script a runner (``python -m tests.e2e.kill_switch SCRIPT …``).
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployment import settings
from deployment.evidence.journal import Journal, Record

SPOT = "KILL_SPOT"
"""The environment variable that says where: ``before LABEL`` or ``after LABEL`` (see ``label``), or ``while LOAD``."""
SETTINGS = "KILL_SETTINGS"
"""The environment variable that names another deployment.toml."""
LOAD = "locust"
BEFORE, AFTER, WHILE = "before", "after", "while"


def label(kind: str, data: Mapping[str, Any], earlier: Counter[str]) -> str:
    """A line's name: its kind, with its step or phase; the second one of a name ends in ``#2``."""
    detail = data.get("step") if kind in ("intent", "outcome") else data.get("after") if kind == "phase" else None
    name = f"{kind} {detail}" if detail else kind
    earlier[name] += 1
    return name if earlier[name] == 1 else f"{name}#{earlier[name]}"


def _die() -> None:
    """With whatever it started left alive, and frozen: no leftover could be longer in the way."""
    me = psutil.Process()
    for child in me.children(recursive=True):
        child.suspend()
    os.kill(me.pid, signal.SIGKILL)


def _die_under_load() -> None:
    """With everything left as it is: load goes on."""
    while not any(LOAD in child.cmdline() for child in _children()):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def arm() -> None:
    """From here on this process dies at its spot; other settings are put in place, too."""
    if SETTINGS in os.environ:
        settings.SETTINGS_FILE = Path(os.environ[SETTINGS])
    moment, _, spot = os.environ.get(SPOT, "").partition(" ")
    if moment == WHILE:
        threading.Thread(target=_die_under_load, name="kill-switch", daemon=True).start()
    elif moment:
        _kill_at_line(moment, spot)


def _kill_at_line(moment: str, spot: str) -> None:
    append, seen = Journal.append, Counter[str]()

    def append_or_die(self: Journal, kind: str, **data: Any) -> Record:
        here = label(kind, data, seen) == spot
        if here and moment == BEFORE:
            _die()
        record = append(self, kind, **data)
        if here:
            _die()
        return record

    Journal.append = append_or_die  # type: ignore[method-assign]  # which is what this file is for


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Arms the process that coordinates, before conftest.py brings the framework in; workers write no journal."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        arm()


if __name__ == "__main__":
    arm()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")

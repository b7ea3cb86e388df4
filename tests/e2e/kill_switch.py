"""Kills its own process with SIGKILL, or sends it SIGTERM, at a line of a journal; the framework does not know about it.

pytest loads it as a plugin (``-p tests.e2e.kill_switch``); a script is run through it
(``python -m tests.e2e.kill_switch SCRIPT …``).
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

from deployment import project
from deployment.evidence.journal import Journal, Record

SPOT = "KILL_SPOT"
"""The environment variable with the moment of the kill: ``before LABEL`` or ``after LABEL`` (see ``label``), or ``while LOAD``.

``sigterm LABEL``: SIGTERM right after the line. A test that reads the journal may send it too late.
"""
SETTINGS = "KILL_SETTINGS"
"""The environment variable that names another deployment.toml."""
LOAD = "locust"
BEFORE, AFTER, WHILE, SIGTERM = "before", "after", "while", "sigterm"
LONGEST_WAIT_S = 120.0


def label(kind: str, data: Mapping[str, Any], earlier: Counter[str]) -> str:
    """Return a line's name: its kind, with its step or phase; the second line of the same name ends in ``#2``."""
    detail = data.get("step") if kind in ("intent", "outcome") else data.get("after") if kind == "phase" else None
    name = f"{kind} {detail}" if detail else kind
    earlier[name] += 1
    return name if earlier[name] == 1 else f"{name}#{earlier[name]}"


def _die() -> None:
    """Kill this process and leave its children alive and suspended: the worst case for what comes afterwards."""
    me = psutil.Process()
    for child in me.children(recursive=True):
        child.suspend()
    os.kill(me.pid, signal.SIGKILL)


def _die_under_load() -> None:
    """Kill this process once Locust runs, and leave its children running: the load continues."""
    end = time.monotonic() + LONGEST_WAIT_S
    while not any(LOAD in child.cmdline() for child in _children()):
        if time.monotonic() > end:
            raise TimeoutError(f"no process of the load began within {LONGEST_WAIT_S:g} s")
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def arm() -> None:
    """Make this process kill itself at the spot that KILL_SPOT names; use the settings file that KILL_SETTINGS names."""
    if SETTINGS in os.environ:
        project.SETTINGS = os.environ[SETTINGS]  # an absolute path replaces the one below the project's folder
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
        if here and moment == SIGTERM:
            os.kill(os.getpid(), signal.SIGTERM)
        elif here:
            _die()
        return record

    Journal.append = append_or_die  # type: ignore[method-assign]  # which is what this file is for


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Arm the process that coordinates, before conftest.py imports the framework; workers write no journal."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        arm()


if __name__ == "__main__":
    arm()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")

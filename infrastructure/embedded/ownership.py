"""Whose environment it is: one that a run started for itself alone ends with that run, and nobody else works with it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import psutil

from infrastructure.embedded.errors import StateOwned
from infrastructure.embedded.files import replace_json
from infrastructure.embedded.layout import Layout
from infrastructure.embedded.processes.lifecycle import START_TIME_TOLERANCE_S


def take(layout: Layout, run: str) -> None:
    """Notes that this process started the environment for its run alone; the folder's lock is held."""
    process = psutil.Process()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    replace_json(layout.owner, {"run": run, "pid": process.pid, "started_at": process.create_time(), "since": since})


def refuse_strangers(layout: Layout) -> None:
    """Raises StateOwned where the environment is that of a run whose process lives and is not this one."""
    try:
        owner = json.loads(layout.owner.read_text())
        process = psutil.Process(owner["pid"])
        lives = abs(process.create_time() - owner["started_at"]) < START_TIME_TOLERANCE_S
        if lives and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            raise StateOwned(layout.state, owner["run"], owner["pid"], owner["since"])
    except (FileNotFoundError, psutil.Error):
        return

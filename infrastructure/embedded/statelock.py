"""Exclusive use of a state folder: one `up` or `down` at a time, and the owner alone if a run owns the environment."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from infrastructure.embedded.errors import StateBusy, StateOwned
from infrastructure.embedded.files import make_enterable, replace_json
from infrastructure.embedded.layout import Layout
from infrastructure.embedded.processes.lifecycle import START_TIME_TOLERANCE_S

WAIT_S = 60.0
"""An `up` takes some seconds, and up to 20 s more if an image starts slowly; after 60 s the holder is stuck."""


@contextmanager
def locked(layout: Layout, purpose: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the folder's lock for `purpose`; the kernel releases it when the holder dies.

    Raises StateBusy, which names the holder, if the lock is not free within `wait_s` seconds.
    """
    make_enterable(layout.state)
    descriptor = _acquire(layout.lock, layout.state, time.monotonic() + wait_s)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"`{purpose}` of process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def record_owner(layout: Layout, run: str) -> None:
    """Record that this process started the environment for its run; the caller holds the folder's lock."""
    process = psutil.Process()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    replace_json(layout.owner, {"run": run, "pid": process.pid, "started_at": process.create_time(), "since": since})


def refuse_strangers(layout: Layout) -> None:
    """Raise StateOwned if the environment belongs to a run of another process that is still alive."""
    try:
        owner = json.loads(layout.owner.read_text())
        run, pid, started_at, since = (owner[name] for name in ("run", "pid", "started_at", "since"))
        process = psutil.Process(pid)
        lives = abs(process.create_time() - started_at) < START_TIME_TOLERANCE_S
        if lives and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            raise StateOwned(layout.state, run, pid, since)
    except (FileNotFoundError, psutil.Error):
        return
    except (ValueError, KeyError, TypeError):
        return  # a file that no run has written


def _acquire(path: Path, state: Path, deadline: float) -> int:
    while True:
        make_enterable(state)  # a `down` may have removed it while we waited
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = path.read_text() or "another process"
                os.close(descriptor)
                raise StateBusy(state, holder) from None
            time.sleep(0.05)
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Return whether `path` is still the locked file: `down` removes it, and a lock on a removed file locks nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

"""One `up` or `down` at a time for each state folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infrastructure.embedded.errors import StateBusy
from infrastructure.embedded.layout import Layout

WAIT_S = 60.0
"""An `up` takes some seconds, and 20 s more where an image is slow to start; whoever waits longer waits for something stuck."""


@contextmanager
def locked(layout: Layout, purpose: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Holds the folder's lock; the kernel lets go of it when the holder dies.

    Raises StateBusy, naming the holder, where the lock is not free within `wait_s` seconds.
    """
    layout.state.mkdir(parents=True, exist_ok=True, mode=0o711)
    descriptor = _acquire(layout.lock, layout.state, time.monotonic() + wait_s)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"`{purpose}` of process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, state: Path, deadline: float) -> int:
    while True:
        state.mkdir(parents=True, exist_ok=True, mode=0o711)  # a `down` may have removed it while we waited
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
    """`down` removes the lock with the folder: a lock on the removed file excludes nobody."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

"""The private temporary folder of a run, and the removal of the folders that dead runs left.

A run holds a lock on a file in its folder. The kernel releases the lock when the process dies, whatever ends it, and no
later process of the same pid has it. So the folder of a live run is never removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from deployment.files import exclusive_lock, parse_json

PREFIX = "deployment-"
LOCK_FILE = "lock"
STATE_FILE = "state.json"


class Scratch:
    """A folder that only this user can read, removed at the end of the run."""

    def __init__(self) -> None:
        """Create the folder, and lock it. Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))  # mkdtemp gives rights to the owner only
        # Locked under another name first: a file with the final name that is not locked belongs to a dead run.
        new = self.path / f".{LOCK_FILE}"
        self._descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self.path / LOCK_FILE)

    def remove(self) -> None:
        """Remove the folder and release its lock; safe to repeat."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1


def remove_leftovers(ended: Callable[[str], bool] = lambda _: False) -> int:
    """Remove this user's folders of runs that have died; return how many.

    ``ended``: whether the run with that id has certainly ended on this host; it decides about folders of earlier versions,
    which have no lock.
    """
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _if_dead(folder, ended) as dead:
            if dead:
                shutil.rmtree(folder, ignore_errors=True)
                removed += not folder.exists()
    return removed


@contextlib.contextmanager
def _if_dead(folder: Path, ended: Callable[[str], bool]) -> Iterator[bool]:
    """Yield whether the folder is one of a dead run of this user, and keep its lock during the block. Raises OSError."""
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o170777 != 0o040700:
        yield False
        return
    lock = folder / LOCK_FILE
    if not lock.exists():
        yield _left_by_earlier_version(folder, ended)
        return
    with exclusive_lock(lock) as free:
        yield free


def _left_by_earlier_version(folder: Path, ended: Callable[[str], bool]) -> bool:
    try:
        return ended(str(parse_json((folder / STATE_FILE).read_text(encoding="utf-8"))["deployment_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False

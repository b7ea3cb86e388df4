"""Files that are written completely or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment.errors import first_line

PRIVATE = 0o600
_UNRESTRICTED = 0o666


def problem_of(error: BaseException) -> str:
    """Return why a file could not be written, in the system's words; without the path, which may be private."""
    return (error.strerror if isinstance(error, OSError) else first_line(error)) or type(error).__name__


def replace_file(path: Path, text: str, *, mode: int | None = None, durable: bool = True) -> None:
    """Write a file so that a reader finds the old content or the new one, never a part of it. Raises OSError.

    ``mode``: exactly these rights, from the first byte on; by default the user's umask decides. ``durable``: return only
    after the content is on the disk.
    """
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    # A process of the same pid may have died here, and its file may have another mode.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _UNRESTRICTED if mode is None else mode)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Lock an existing file during the block, without waiting; yield whether this process got the lock. Raises OSError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

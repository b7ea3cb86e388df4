"""Files that are written completely or not at all, files in TOML that people write, and JSON that anybody can have written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployment.errors import first_line

PRIVATE = 0o600
LARGEST_TOML = 1_000_000
"""The limit of a file in TOML, in bytes."""
LONGEST_LINE = 10_000
"""The limit of a line in TOML, in characters."""
MOST_PARTS = 100
"""The limit of a key in TOML, in parts, and of its values, in levels: the time for a key grows with the square of its parts."""
LARGEST_NUMBER = 2**63
"""TOML's whole numbers have 64 bits; Python's have no limit, and writing a large one fails."""
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_TOO_DEEP = "its values are nested too deep; write fewer levels of [ and {"
_LONG_KEY = re.compile(rf"\s*\[{{0,2}}\s*{_PART}(?:\s*\.\s*{_PART}){{{MOST_PARTS}}}")
_UNRESTRICTED = 0o666


def problem_of(error: BaseException) -> str:
    """Return why a file could not be written, in the system's words; without the path, which may be private."""
    return (error.strerror if isinstance(error, OSError) else first_line(error)) or type(error).__name__


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError if it is not JSON, or nested too deep."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def read_toml(path: Path, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the content of a TOML file, with or without a byte order mark.

    Raises OSError, or ValueError if it is not TOML in UTF-8, too large or nested too deep.
    """
    require_regular(path)
    if (size := path.stat().st_size) > LARGEST_TOML:
        raise ValueError(f"it has {size:,} bytes; the limit is {LARGEST_TOML:,}")
    text = path.read_text(encoding="utf-8-sig")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"line {number} has {len(line):,} characters; the limit is {LONGEST_LINE:,}")
        if _LONG_KEY.match(line):
            raise ValueError(f"line {number} has a key of more than {MOST_PARTS} parts")
    try:
        document = tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _require_plain(document)
    return document


def _require_plain(document: dict[str, Any]) -> None:
    """Raise ValueError for values that are nested too deep, and for whole numbers that TOML does not have."""
    left: list[tuple[Any, int]] = [(document, 0)]
    while left:
        value, level = left.pop()
        if level > MOST_PARTS:
            raise ValueError(_TOO_DEEP)
        if isinstance(value, dict | list):
            left += [(one, level + 1) for one in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int) and not -LARGEST_NUMBER <= value < LARGEST_NUMBER:
            raise ValueError("a whole number in it has more than 64 bits")


def require_regular(path: Path) -> None:
    """Raise OSError if a path is a pipe or a device: reading it may never end."""
    if not (path.is_file() or path.is_dir()) and path.exists():
        raise OSError(errno.EINVAL, "it is a pipe or a device, and a file is expected")


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

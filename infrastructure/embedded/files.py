"""Atomic file writes: after a kill a file holds its old content or its new content, never a part of either."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def replace(path: Path, content: str | bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace the file's content atomically; text is written as UTF-8.

    With `durable`, content and new name are on the disk when it returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if durable:
                os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def make_enterable(folder: Path) -> None:
    """Create a folder, and its missing parents, that other users can pass through under any umask.

    The rights of a folder that exists already stay as they are.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(path.stat().st_mode & 0o7777 | 0o011 if path != folder else 0o711)


def replace_json(path: Path, document: Any) -> None:
    """Replace the file's content atomically and durably by a JSON document, indented for human readers."""
    replace(path, json.dumps(document, indent=1) + "\n")


def _sync_folder(folder: Path) -> None:
    """Sync the folder: a rename is on the disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

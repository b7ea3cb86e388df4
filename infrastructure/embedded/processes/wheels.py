"""Wheels that bring programs: found without being imported, for an import costs time and has effects of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from infrastructure.embedded.errors import StartFailed


def wheel_folder(package: str) -> Path:
    """The installed package's folder; raises StartFailed where it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise StartFailed(package, "its wheel is not installed; pip install -r requirements.txt")
    return Path(found.origin).parent

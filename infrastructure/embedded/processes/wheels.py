"""Wheels that contain programs: located without an import, which would cost time and have side effects."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from infrastructure.embedded.errors import StartFailed


def wheel_folder(package: str) -> Path:
    """Return the installed package's folder. Raises StartFailed if it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise StartFailed(package, "its wheel is not installed; pip install -r requirements.txt")
    return Path(found.origin).parent

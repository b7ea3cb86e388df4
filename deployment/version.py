"""The version of this framework, which stands once, in ``[project]`` of pyproject.toml."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

PROJECT_FILE = Path(__file__).resolve().parents[1] / "pyproject.toml"


@functools.cache
def framework_version() -> str:
    """Return the version, such as ``1.1.0``."""
    return str(tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])

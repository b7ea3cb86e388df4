"""The type check as a test, so that other tests run beside it: it needs one core for a minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_types_are_right() -> None:
    """mypy, as strict as pyproject.toml says, finds nothing in the whole tree."""
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "."],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

"""Chromium for the tests of the page: driven by playwright-core, which speaks to any installed browser and needs no driver.

playwright-core and axe-core come from npm, pinned in package-lock.json; `make test` installs them once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome")
DEADLINE_S = 300


@dataclass(frozen=True)
class Look:
    """A page to open. ``pdf`` is the file that it is printed to, ``search`` a text that is typed into its search field."""

    name: str
    url: str
    axe: bool = True
    pdf: str | None = None
    search: str | None = None


def missing() -> str | None:
    """Return what this machine lacks for the tests, None if it has everything."""
    if _chromium() is None:
        return f"no browser: none of {', '.join(NAMES)} is on PATH; CHROMIUM names another one"
    if shutil.which("node") is None:
        return "no node on PATH"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return "playwright-core is not installed: run `npm ci --ignore-scripts` in tests/page"
    return None


def look(*pages: Look) -> Mapping[str, dict[str, Any]]:
    """Open the pages in one browser and return what it saw of each, by name."""
    plan = {"browser": _chromium(), "pages": [asdict(page) for page in pages]}
    done = subprocess.run(
        ["node", str(HERE / "look.mjs"), json.dumps(plan)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def _chromium() -> str | None:
    own = os.environ.get("CHROMIUM")
    return own or next((path for name in NAMES if (path := shutil.which(name))), None)

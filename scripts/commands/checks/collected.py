"""All checks of a project with their severity, as pytest collects them; the module is also the pytest plugin that writes the list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.errors import Refused
from deployment.project import FRAMEWORK
from deployment.settings import Settings

if TYPE_CHECKING:
    import pytest

VARIABLE = "DEPLOYMENT_CHECKS"
"""The environment variable that names the file for the list."""
REQUIRED, ADVISORY, SKIPPED = "required", "advisory", "skipped"


@dataclass(frozen=True)
class Listed:
    """A collected check: its id in pytest and its gate. ``severity`` is ``required``, ``advisory`` or ``skipped``.

    It is also advisory if its gate is not required: ``own`` is False then. ``until`` is the last day of a skip. ``place`` is
    file and line of an exemption.
    """

    check: str
    gate: str
    severity: str
    own: bool = True
    until: str = ""
    place: str = ""


def collected(settings: Settings) -> list[Listed]:
    """Return all checks. Raises Refused with pytest's message if they cannot be collected."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", __name__]
        done = subprocess.run(
            [*command, f"--environment={settings.environment}", settings.project.suites.name],
            cwd=settings.project.root,
            env={**os.environ, VARIABLE: str(file), "PYTHONPATH": _path()},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode or not file.is_file():
            raise Refused(f"pytest cannot collect the checks:\n{(done.stdout + done.stderr).strip()}")
        return [_listed(one, settings) for one in json.loads(file.read_text(encoding="utf-8"))]


def _path() -> str:
    """Return PYTHONPATH with the framework's folder first: pytest imports a plugin before it reads the project's pytest.ini."""
    return os.pathsep.join([str(FRAMEWORK), *filter(None, [os.environ.get("PYTHONPATH")])])


def _listed(one: dict[str, Any], settings: Settings) -> Listed:
    exempt, required = one["exemption"] or {"kind": None}, settings.rule(one["gate"]).required
    if exempt["kind"] == "invalid":
        raise Refused(f"{exempt['place']}: {exempt['reason']}", hint="docs/add-a-check.md describes the markers.")
    own = exempt["kind"] in (ADVISORY, SKIPPED)
    severity = exempt["kind"] if own else REQUIRED if required else ADVISORY
    return Listed(
        one["nodeid"], one["gate"], severity, own or required, exempt.get("until", ""), exempt.get("place", "")
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the list of the collected checks to the file that the variable names."""
    from plugins.run import suites_of
    from plugins.stages import check_of

    suites = suites_of(session.config)
    checks = [asdict(check_of(item, suites)) for item in session.items]
    Path(os.environ[VARIABLE]).write_text(json.dumps(checks), encoding="utf-8")

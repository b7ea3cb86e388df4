"""The project that a command works on, its files, and the framework's own folder and version.

A project is a folder with ``deployment.toml`` and ``pytest.ini``. It may be anywhere: the framework's checkout is one, and
`scripts/deploy.py init` writes others. Only this module decides which project is meant.
"""

from __future__ import annotations

import functools
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deployment.errors import Refused

VARIABLE = "DEPLOYMENT_PROJECT"
SETTINGS = "deployment.toml"
CONFIGURATION = "pytest.ini"
FRAMEWORK = Path(__file__).resolve().parents[1]
"""The folder of the framework's own code; nothing of a project is read from it, unless it is the project."""


@dataclass(frozen=True)
class Project:
    """A project's folder, and the paths of its files; creating a Project does not touch the disk."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """The settings: environments, times and limits."""
        return self.root / SETTINGS

    @property
    def suites(self) -> Path:
        """The checks; each folder in it is a gate."""
        return self.root / "suites"

    @property
    def checklist_file(self) -> Path:
        """The items that the run proves and that people attest."""
        return self.root / "checklist.toml"

    @property
    def reports(self) -> Path:
        """The reports of runs, unless ``--reports`` names another folder."""
        return self.root / "reports"

    @property
    def embedded_state(self) -> Path:
        """The embedded environment's data: ``EMBEDDED_STATE``, or ``.embedded/`` in the project."""
        return Path(os.environ.get("EMBEDDED_STATE") or self.root / ".embedded").absolute()


def find(*starts: Path, environ: Mapping[str, str] = os.environ) -> Project:
    """Return the project of the variable ``DEPLOYMENT_PROJECT``, or else the nearest one at or above the first start that has one.

    Raises Refused if there is none.
    """
    named = environ.get(VARIABLE)
    if named:
        folder = Path(named).resolve()
        if not _is_project(folder):
            raise Refused(
                f"{VARIABLE}={named} must be a folder with {SETTINGS} and {CONFIGURATION}",
                hint="Name a project's folder, or unset the variable to search upwards from the working directory.",
            )
        return Project(folder)
    for folder in _upwards(starts):
        if _is_project(folder):
            return Project(folder)
    raise Refused(
        f"no project: neither {starts[0]} nor a folder above it has {SETTINGS} and {CONFIGURATION}",
        hint=f"Change into the project's folder, set {VARIABLE}, or write a new project: scripts/deploy.py init DIR.",
    )


def _upwards(starts: tuple[Path, ...]) -> Iterator[Path]:
    for start in starts:
        folder = start.resolve()
        yield from (folder, *folder.parents)


def _is_project(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (SETTINGS, CONFIGURATION))


# One module of each package of requirements.txt that the first imports need.
_NEEDED = ("boto3", "click", "cryptography", "httpx", "jsonschema", "jsonschema_rs", "rich", "securesystemslib", "yaml")


def wrong_interpreter(found: Callable[[str], object | None] = find_spec) -> str | None:
    """Return a message if this interpreter lacks the framework's packages, None if it has them.

    It is the case if a user forgets to activate the virtual environment. ``found`` returns None for a missing module.
    """
    missing = [name for name in _NEEDED if found(name) is None]
    if not missing:
        return None
    activate = FRAMEWORK / ".venv" / "bin" / "activate"
    way = (
        f". {activate}"
        if activate.is_file()
        else f"{sys.executable} -m pip install -r {FRAMEWORK / 'requirements.txt'}"
    )
    return (
        f"{sys.executable} lacks packages of the deployment framework ({', '.join(missing)}); expected an interpreter "
        f"with the packages of requirements.txt. Type: {way}"
    )


@functools.cache
def framework_version() -> str:
    """Return the framework's version, such as ``1.1.0``, which stands once, in ``[project]`` of its pyproject.toml."""
    text = (FRAMEWORK / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])

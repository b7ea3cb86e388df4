"""The settings file of a test's project: all that a worker needs of the fake world."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

FOLDER = "FAKE_WORLD"
"""The environment variable that names the world's folder."""


def install(patch: pytest.MonkeyPatch) -> None:
    """Let this process read the settings in the world's folder."""
    project = importlib.import_module("deployment.project")  # pytester may have removed the module from sys.modules
    patch.setattr(project, "SETTINGS", str(Path(os.environ[FOLDER]) / "deployment.toml"))

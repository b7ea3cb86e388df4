"""This checkout as a project: the settings, suites and checklist that it ships."""

from __future__ import annotations

from pathlib import Path

from deployment.project import Project

CHECKOUT = Project(Path(__file__).resolve().parents[1])
SETTINGS_FILE = CHECKOUT.settings_file

"""A small service of another kind, and a project for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.notes_project import CHECKS, SETTINGS
from tests.verification.notes_server import DESCRIPTION, USER, Notes


@pytest.fixture
def notes() -> Iterator[Notes]:
    server = Notes()
    yield server
    server.stop()


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of another service; nothing runs in its embedded environment."""
    for name, text in (
        ("deployment.toml", SETTINGS),
        ("pytest.ini", "[pytest]\n"),
        ("suites/service.yaml", DESCRIPTION),
        ("suites/notes/first.yaml", CHECKS),
        ("suites/notes/test_own.py", "def test_in_python():\n    pass\n"),
        ("accounts.json", json.dumps([USER])),
        ("elsewhere.yaml", CHECKS),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)  # as accounts must be
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDDED_STATE", raising=False)
    return tmp_path

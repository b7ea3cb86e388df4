"""Fixtures of the plugins' tests: a project of its own, in a world of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins import world
from tests.plugins.project import ROOT, Project


@pytest.fixture
def pytester(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """pytest's own fixture: its plugin can only be named by the root conftest, which is the users', too."""
    monkeypatch.setattr(request.config.option, "--runpytest", "inprocess", raising=False)
    monkeypatch.setenv("PY_COLORS", "0")
    return pytest.Pytester(request, tmp_path_factory, monkeypatch, _ispytest=True)


@pytest.fixture
def project(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose checks all pass, in a world where blue is live on 1.0.0."""
    folder = tmp_path / "world"
    folder.mkdir()
    monkeypatch.setenv(world.FOLDER, str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Plugins of development would triple the time that a worker takes to start; pytest.ini names those of a deployment.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    world.install(monkeypatch)  # the project does so too, for processes of its own; here it is undone
    facts = world.Facts(folder)
    with world.serving(facts):
        yield Project(pytester, facts)

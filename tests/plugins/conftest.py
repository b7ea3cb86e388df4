"""Fixtures of the plugins' tests: each test gets a project and a fake world."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

# pytester forgets what a run imports. Each of hundreds of runs would compile the page's templates again, a quarter of its time.
import plugins.page.rendering  # noqa: F401
import verification.prober.prober
from tests.plugins import forked_prober, project_settings, world
from tests.plugins.project import ROOT, Project

# pytester forgets the rest of what a run imports, too; a run would load these again, an eighth of its time.
for _name in (
    "deployment.flow.machine",
    "deployment.recovery.recover",
    "jsonschema_rs",
    "plugins.integrity.waivers",
    "plugins.modes.choice",
    "plugins.modes.deploy",
    "plugins.modes.verify",
    "plugins.terminal.verdict",
    "verification.journeys.untried",
    "verification.stores.queues",
    "verification.watch.candidate_watch",
):
    importlib.import_module(_name)


@cache
def _read_once(folder: str, what: str) -> Any:
    """Return the entry points or the metadata of the package whose metadata is in this folder."""
    package = importlib.metadata.PathDistribution(Path(folder))
    # The base class's property: the fixture below replaces that of the subclass.
    return getattr(importlib.metadata.Distribution, what).__get__(package)


def _known(what: str) -> property:
    return property(lambda package: _read_once(str(package._path), what))  # the only name of the folder


@pytest.fixture
def pytester(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Return what pytest's own fixture returns: only the root conftest could load its plugin, and users have that file as well."""
    monkeypatch.setattr(request.config.option, "--runpytest", "inprocess", raising=False)
    monkeypatch.setenv("PY_COLORS", "0")
    # Each run in this process would read those of every installed package eight times, a twelfth of its time.
    for what in ("entry_points", "metadata"):
        monkeypatch.setattr(importlib.metadata.PathDistribution, what, _known(what), raising=False)
    return pytest.Pytester(request, tmp_path_factory, monkeypatch, _ispytest=True)


def _quick_pictures() -> ModuleType:
    """Return a stand-in that draws nothing: hundreds of runs here would draw for a second each; tests/page draws for real."""
    module = ModuleType("vl_convert")
    module.vegalite_to_svg = lambda *_, **__: "<svg ></svg>"  # type: ignore[attr-defined]  # a module made here
    return module


@pytest.fixture(scope="session")
def forked_probers() -> Iterator[SimpleNamespace]:
    """Yield what starts the probers of runs in this process; runs in a process of their own start theirs as users' runs do."""
    with forked_prober.forking() as made:
        yield made


@pytest.fixture
def project(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked_probers: SimpleNamespace
) -> Iterator[Project]:
    """Yield a project whose checks all pass, in a world with blue live on 1.0.0."""
    folder = tmp_path / "world"
    folder.mkdir()
    monkeypatch.setenv(project_settings.FOLDER, str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Inherited from the run of this test: a project's process would take itself for a worker, without the fake world.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setitem(sys.modules, "vl_convert", _quick_pictures())
    monkeypatch.setattr(verification.prober.prober, "subprocess", forked_probers)
    # Development plugins would triple a worker's start-up time; pytest.ini names the plugins that a deployment needs.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    world.install(monkeypatch)  # undone after the test; the project's conftest.py installs it in other processes
    facts = world.Facts(folder)
    with world.serving(facts):
        yield Project(pytester, facts)

"""A run that disables a plugin of the framework (``-p no:NAME``) is refused: it could end with 0 and without a verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugins import framework, options
from plugins.options import OWN_PLUGINS, REQUIRED_PLUGINS
from tests.plugins.project import PROMOTED, ROOT, Project

REGISTERED = re.compile(r"register\([^\n]*?\"([\w-]+)\"\)")


def registered(folder: Path) -> set[str]:
    """Return the names of the objects that the framework's modules register with pytest."""
    files = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    return {name for text in files for name in REGISTERED.findall(text)}


def test_every_plugin_of_the_framework_is_known() -> None:
    """A new name must stand in OWN_PLUGINS, or nothing would notice that ``-p no:`` disables it."""
    objects = {name for name in OWN_PLUGINS if not name.startswith("plugins.")}
    assert registered(ROOT / "plugins") == objects
    modules = {*REQUIRED_PLUGINS, *OWN_PLUGINS} - objects | {"plugins.options"}  # without it --target is unknown
    assert set(framework.pytest_plugins) <= modules
    direct = [path for path in (ROOT / "plugins").rglob("*.py") if "pluginmanager.register(" in path.read_text()]
    assert direct == [ROOT / "plugins" / "options.py"]


@pytest.mark.parametrize("name", [*REQUIRED_PLUGINS, *OWN_PLUGINS])
def test_each_plugin_of_the_framework_is_needed(project: Project, name: str) -> None:
    config = project.pytester.parseconfig("--target=green", "-p", f"no:{name}")
    with pytest.raises(pytest.UsageError, match=f"-p no:{name} disables a plugin that every run needs"):
        options.pytest_cmdline_main(config)
    options.pytest_cmdline_main(project.pytester.parseconfig("--collect-only", "-p", f"no:{name}"))


@pytest.mark.parametrize(
    "given", [["--target=green"], [], ["--plan", "--target=green"]], ids=["deploy", "verify", "plan"]
)
def test_run_without_a_plugin_of_the_framework(
    project: Project, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:deployment-run")
    run = project.run(*given, target=None)
    assert (run.code, run.calls, run.report) == (4, [], {}), run.output


@pytest.mark.soak
def test_workers_without_a_plugin_of_the_framework(project: Project) -> None:
    run = project.run("-n2", "-p", "no:deployment-worker")
    assert (run.code, run.calls, run.report) == (4, [], {}), run.output


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        ("pytest_configure(config)", "deployment-run"),
        pytest.param("pytest_sessionstart(session)", "deployment-phases", marks=pytest.mark.soak),
    ],
)
def test_conftest_that_removes_a_plugin_of_the_framework(project: Project, hook: str, name: str) -> None:
    config = "config" if "config)" in hook else "session.config"
    project.plugin(f"def {hook}: {config}.pluginmanager.set_blocked({name!r})\n")
    run = project.run_outside()
    assert (run.code, run.calls) == (4, []), run.output
    assert f"a conftest or a plugin has removed {name}" in run.output


@pytest.mark.soak
def test_other_plugins_may_be_disabled(project: Project) -> None:
    run = project.run("-p", "no:cacheprovider", "-p", "no:doctest")
    assert run.result == PROMOTED, run.output

"""Hooks that come and go: each moment at which they are looked for finds one that the others do not.

These are before the collection, when a plugin is registered, and at each check.
"""

from __future__ import annotations

import pytest

from tests.plugins.project import REJECTED, Project
from tests.plugins.test_evasions import BAD, conftest, refused

FORGES = """
import pytest
class Late:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        item.config.pluginmanager.unregister(self)
        report = yield
        report.outcome, report.longrepr = "passed", None
        return report
def test_bad(client, request):
    request.config.pluginmanager.register(Late())
    assert client.get("/health").status_code == 500
"""


def test_plugin_that_is_gone_when_the_report_is_made(project: Project) -> None:
    """Only the look at its registration finds it."""
    project.add("endpoints", FORGES)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert "pytest_runtest_makereport, which was registered during the run" in run.report["reason"]


ADDS = """
from pluggy import HookImpl
@pytest.fixture(scope="session", autouse=True)
def late(request):
    impl = HookImpl(None, "late", lambda: True, {
        "wrapper": False, "hookwrapper": False, "optionalhook": False, "tryfirst": True, "trylast": False,
        "specname": None,
    })
    request.config.hook.pytest_pyfunc_call._add_hookimpl(impl)
"""


def test_hook_that_no_plugin_registered(project: Project) -> None:
    """A fixture adds it to the hook itself, so no registration shows it, only the look at each check."""
    project.suite("endpoints", BAD)
    conftest(project, ADDS)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert "pytest_pyfunc_call, which was registered during the run" in run.report["reason"]


LEAVES = """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    report.result = [one for one in report.result if "login" not in one.nodeid]
    return report
def pytest_collection_modifyitems(config):
    config.pluginmanager.unregister(name="leaves")
"""


def test_plugin_that_is_gone_when_the_checks_are_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes inherited checks, which only the collection shows, out of it: the run is refused before it collects."""
    base = "class LoginChecks:\n    def test_login(self, client): assert client.get('/health').status_code == 500\n"
    project.add("endpoints", f"{base}class TestIt(LoginChecks): pass\n")
    (project.path / "leaves.py").write_text(LEAVES)
    monkeypatch.syspath_prepend(project.path)
    monkeypatch.setenv("PYTEST_PLUGINS", "leaves")
    run = project.run()
    assert refused(run)
    assert "leaves.py implements pytest_make_collect_report" in run.report["reason"]

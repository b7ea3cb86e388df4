"""Plugins of others: one that could decide a check's outcome is refused by the name that ``-p no:`` takes, however it is named.

Failure mode 2 again, by ways that hide whose code a hook is, or that register it after the checks have begun.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugins.project import ASKS, PROMOTED, REFUSED, REJECTED, Project
from tests.plugins.test_evasions import BAD, conftest, hook, refused
from tests.soak import sample

SOAK = pytest.mark.soak


def mostly_soak(kept: str, *others: str) -> list[object]:
    """Return the parameters: the first one in every run of the tests, the others in the long tests."""
    return sample((kept, *others), kept)


CALLS_NOTHING = hook("pytest_pyfunc_call", "return True", "tryfirst=True")
REGISTERS = """
class Late:
    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        {end}
        return True
@pytest.fixture(scope="session", autouse=True)
def late(request):
    request.config.pluginmanager.register(Late(), "late")
"""
CUTS = """
@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames: metafunc.definition.own_markers[:] = [pytest.mark.parametrize("number", [1]).mark]
"""
MANY = (
    "import pytest\n@pytest.mark.parametrize('number', [1, 2])\n"
    "def test_many(client, number): assert client.get('/health').status_code == 200 and number == 1\n"
)


# -- whose hook is it? -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_soak("_hypothesis_evil", "xdist_evil", "plugins_evil"))
def test_plugin_named_like_a_known_one(project: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    project.add("endpoints", BAD)
    (project.path / f"{name}.py").write_text("import pytest\n" + CALLS_NOTHING)
    monkeypatch.syspath_prepend(project.path)
    monkeypatch.setenv("PYTEST_PLUGINS", name)
    run = project.run()
    assert refused(run)
    assert name in run.output


@pytest.mark.parametrize(
    "disguise",
    mostly_soak(
        "pytest_pyfunc_call.__module__ = '_pytest.python'",
        "__name__ = '_pytest.python'",
        "import _pytest.python\n__name__, __file__, __spec__ = "
        "'_pytest.python', _pytest.python.__file__, _pytest.python.__spec__",
    ),
)
def test_conftest_disguised_as_pytest(project: Project, disguise: str) -> None:
    project.add("endpoints", BAD)
    conftest(project, f"{CALLS_NOTHING}\n{disguise}\n")
    assert refused(project.run())


@pytest.mark.parametrize(
    "borrowed", mostly_soak("_pytest.compat import get_user_id", "xdist.remote import getinfodict")
)
def test_conftest_that_borrows_a_function_of_a_known_plugin(project: Project, borrowed: str) -> None:
    """The function is pytest's own, but the hook is not: here, one that always returns a value."""
    project.add("endpoints", BAD)
    conftest(project, f"from {borrowed} as pytest_pyfunc_call\n")
    run = project.run()
    assert refused(run)
    assert "implements pytest_pyfunc_call" in run.report["reason"]


OBJECT = """
class Quiet:
    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self): return True
def pytest_configure(config): config.pluginmanager.register(Quiet())
"""


@pytest.mark.parametrize(
    "disguise", mostly_soak("Quiet.pytest_pyfunc_call.__module__ = '_pytest.python'", "__name__ = '_pytest.python'")
)
def test_object_disguised_as_one_of_pytest(project: Project, disguise: str) -> None:
    """No module is registered, so only the function can show whose code it is."""
    project.add("endpoints", BAD)
    conftest(project, f"{OBJECT}{disguise}\n")
    run = project.run()
    assert refused(run)
    assert "implements pytest_pyfunc_call" in run.report["reason"]


CHECKED = (
    "import pytest\n@pytest.fixture\ndef checked(client): assert client.get('/health').status_code == 500\n"
    "def test_x(client, checked): assert client.get('/health').status_code == 200\n"
)
READY = hook(
    "pytest_fixture_setup(fixturedef, request)",
    "if fixturedef.argname == 'checked':\n"
    "    fixturedef.cached_result = (None, fixturedef.cache_key(request), None)\n    return True",
    "tryfirst=True",
)
PASSES = hook(
    "pytest_runtest_logreport(report)", "report.outcome = 'passed'\nreport.sealed = 'call passed'", "tryfirst=True"
)
BESIDE = {  # the hook, in a file beside suites/; the file below suites/ that takes it; the check
    "imported fixture": (READY, "from qa_hooks import pytest_fixture_setup", CHECKED),
    "imported report": (PASSES, "from qa_hooks import pytest_runtest_logreport", BAD),
    "made by exec": ("", f"exec({PASSES!r})", BAD),
    "made by exec beside": (f"exec({READY!r})", "from qa_hooks import pytest_fixture_setup", CHECKED),
}


@pytest.mark.parametrize("way", mostly_soak(*BESIDE))
def test_conftest_with_a_hook_from_elsewhere(project: Project, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    source, taken, check = BESIDE[way]
    project.add("endpoints", check)
    (project.path / "qa_hooks.py").write_text(f"import pytest\n{source}\n")
    monkeypatch.syspath_prepend(project.path)
    conftest(project, f"{taken}\n")
    run = project.run()
    assert refused(run)
    assert "suites/endpoints/conftest.py implements pytest_" in run.report["reason"]


def test_file_of_checks_that_loads_a_plugin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add("endpoints", f"pytest_plugins = 'qa_hooks'\n{CHECKED}")
    (project.path / "qa_hooks.py").write_text(f"import pytest\n{READY}")
    monkeypatch.syspath_prepend(project.path)
    run = project.run()
    assert refused(run)
    assert "qa_hooks.py implements pytest_fixture_setup" in run.report["reason"]


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.soak)])
def test_plugin_that_forges_a_report(project: Project, workers: str) -> None:
    """A plugin beside suites/ may implement the hook, but it does not know the secret of the run's seal."""
    project.suite("endpoints", BAD)
    late = "class Late: pytest_runtest_logreport = staticmethod(pytest_runtest_logreport)\n"
    registers = hook("pytest_collection_finish(session)", "session.config.pluginmanager.register(Late())")
    project.plugin(f"import pytest\n{PASSES}{late}{registers}")
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert "was changed while it ran" in run.report["reason"]


@pytest.mark.parametrize("end", mostly_soak("pyfuncitem.config.pluginmanager.unregister(self)", "pass"))
@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.soak)])
def test_plugin_registered_by_a_fixture(project: Project, end: str, workers: str) -> None:
    project.suite("endpoints", BAD)
    conftest(project, REGISTERS.replace("{end}", end))
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert "pytest_pyfunc_call, which was registered during the run" in run.report["reason"]


@SOAK
def test_plugin_registered_by_the_last_check(project: Project) -> None:
    """A plugin that comes after the switch rolls the release back."""
    project.add("live", "import pytest\n" + REGISTERS.replace("{end}", "pass") + "def test_last(baked): assert False\n")
    run = project.run()
    assert run.code == 10, run.output


# -- checks that are left out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_conftest_that_shortens_a_parametrization(project: Project, workers: str) -> None:
    project.add("endpoints", MANY)
    conftest(project, CUTS)
    assert refused(project.run(workers))


@pytest.mark.parametrize(
    ("where", "workers"),
    [("conftest", "-n0"), pytest.param("plugin", "-n0", marks=SOAK), pytest.param("conftest", "-n2", marks=SOAK)],
)
def test_hook_that_changes_the_values_of_parameters(project: Project, where: str, workers: str) -> None:
    """All items are there, but each has the value with which the check passes."""
    project.add("endpoints", MANY)
    changes = (
        "def pytest_collection_modifyitems(items):\n    for item in items:\n"
        "        if hasattr(item, 'callspec'): item.callspec.params['number'] = 1\n"
    )
    conftest(project, changes) if where == "conftest" else project.plugin(changes)
    run = project.run(workers)
    assert refused(run)
    assert "parameters of suites/endpoints/test_" in run.report["reason"]


@pytest.mark.parametrize("values", mostly_soak("[1, 1]", "[1, pytest.param(2, marks=pytest.mark.skip)]"))
def test_conftest_that_changes_a_parametrization(project: Project, values: str) -> None:
    """As many parameters as before prove nothing: the hook itself is refused."""
    project.add("endpoints", MANY)
    conftest(project, CUTS.replace("[1]", values))
    run = project.run()
    assert refused(run)
    assert "suites/endpoints/conftest.py implements pytest_generate_tests" in run.report["reason"]


@SOAK
def test_plugin_that_shortens_a_parametrization(project: Project) -> None:
    """A plugin may implement the hook, so what it does is looked at: here it removes parameters of a class and a function."""
    project.add(
        "endpoints",
        "import pytest\npytestmark = pytest.mark.parametrize('other', ['a', 'b'])\nclass TestIt:\n"
        "    @pytest.mark.parametrize('number', [1, 2])\n    def test_many(self, client, number, other): assert number == 1",
    )
    project.plugin("import pytest\n" + CUTS)
    run = project.run()
    assert refused(run)
    assert "TestIt::test_many was collected with 2 of its 4 parameters" in run.report["reason"]


@pytest.mark.parametrize(
    "name",
    mostly_soak("unittest", "threadexception", "unraisableexception", "skipping", "subtests", "warnings", "logging"),
)
def test_plugin_of_pytest_switched_off(project: Project, name: str) -> None:
    project.add("endpoints", "import unittest\nclass Bad(unittest.TestCase):\n    def test_bad(self): assert False\n")
    run = project.run("-p", f"no:{name}")
    assert refused(run)
    assert f"-p no:{name}" in run.output
    assert project.run("-p", f"no:{name}", "--plan").code == 4


@SOAK
def test_failed_thread_is_not_ignored(project: Project) -> None:
    project.add(
        "endpoints",
        "import threading\ndef ask(client): assert client.get('/health').status_code == 500\n"
        "def test_from_a_thread(client):\n    thread = threading.Thread(target=ask, args=(client,))\n"
        "    thread.start()\n    thread.join()\n",
    )
    assert project.run("-W", "ignore").result == REJECTED


NESTED = {
    "try": "try:\n    import no_such_module\n    {bad}\nexcept ImportError:\n    pass\n",
    "except": "try:\n    pass\nexcept ValueError:\n    {bad}\n",
    "if": "import sys\nif sys.version_info < (3, 0):\n    {bad}\n",
    "else": "for _ in [1]:\n    break\nelse:\n    {bad}\n",
    "with": "import contextlib\nwith contextlib.suppress(ZeroDivisionError):\n    1 / 0\n    {bad}\n",
    "for": "for _ in []:\n    {bad}\n",
    "match": "match 1:\n    case 2:\n        {bad}\n",
    "class": "if False:\n    class TestIt:\n        class TestInner:\n            {bad}\n",
    "unittest": "import unittest\nif False:\n    class Bad(unittest.TestCase):\n        {bad}\n",
}


@pytest.mark.parametrize("where", mostly_soak(*NESTED))
def test_check_that_a_condition_removes(project: Project, where: str) -> None:
    project.add("endpoints", ASKS + NESTED[where].replace("{bad}", "def test_bad(client): assert False"))
    run = project.run()
    assert refused(run)
    assert "test_bad is in its file but was not collected" in run.report["reason"]


@SOAK
def test_alternatives_are_one_check(project: Project) -> None:
    project.add(
        "endpoints",
        "import sys\nif sys.version_info < (3, 0):\n    def test_it(client): assert False\nelse:\n    "
        + ASKS.replace("test_asks", "test_it").replace("\n", "\n    "),
    )
    run = project.run()
    assert run.result == PROMOTED, run.output
    manifest = next(line for line in run.journal if line["kind"] == "manifest")
    assert len(manifest["files"]["endpoints/test_endpoints_more.py"]) == 64


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", mostly_soak("green", ""))
@pytest.mark.parametrize(
    "options",
    mostly_soak(
        "--tx=popen//chdir=elsewhere",
        "--tx=2*popen//chdir=elsewhere",
        "--tx=ssh=host//python=python3",
        "--tx=popen//env:PYTHONPATH=elsewhere",
        "--tx=popen --rsyncdir=suites",
        "--tx=popen//via=proxy --px=id=proxy//popen",
        "--tx=popen --px=id=proxy//popen",
    ),
)
def test_workers_elsewhere(project: Project, options: str, target: str) -> None:
    given = ("-d", *options.split())
    run = project.run(*given, target=target or None)
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output
    if target:
        assert project.run(*given, "--plan").code == 4


@SOAK
def test_plain_workers_are_accepted(project: Project) -> None:
    run = project.run("-d", "--tx=2*popen")
    assert run.result == PROMOTED, run.output


def test_run_again_and_again_is_refused(project: Project) -> None:
    run = project.run("-f")
    assert (run.code, run.report, run.calls) == (4, {}, []), run.output


# -- the plan gives the run's answer -----------------------------------------------------------------------------------

REFUSALS: dict[str, Callable[[Project], object]] = {
    "a deciding hook": lambda project: conftest(project, CALLS_NOTHING),
    "a deselecting conftest": lambda project: conftest(
        project, hook("pytest_collection_modifyitems(items)", "items.pop()")
    ),
    "a skipped file": lambda project: project.add(
        "endpoints", "import pytest\npytest.skip('no', allow_module_level=True)\n" + ASKS
    ),
    "one name twice": lambda project: project.add("endpoints", ASKS + ASKS),
    "a deleted check": lambda project: project.add("endpoints", ASKS + "del test_asks\n"),
    "a gate without checks": lambda project: (project.path / "suites/load/test_load.py").unlink(),
    "a gate with too few checks": lambda project: project.settings("[gates.endpoints]\nmin_checks = 2\n"),
}


@pytest.mark.parametrize("kind", mostly_soak(*REFUSALS))
def test_plan_and_verification_refuse_what_a_deployment_refuses(project: Project, kind: str) -> None:
    REFUSALS[kind](project)
    plan = project.run("--plan")
    assert (plan.code, plan.calls) == (4, []), plan.output
    assert refused(project.run())
    if not kind.startswith("a gate with"):  # a verification runs what there is
        assert project.run(target=None).code == 4


@SOAK
def test_plan_and_run_end_alike_if_a_conftest_fails(project: Project) -> None:
    project.plugin("def pytest_collection_modifyitems(items): raise RuntimeError('broken')\n")
    for options in (("--plan",), ()):
        run = project.run(*options)
        assert (run.code, run.calls) == (3, []), run.output


@SOAK
def test_plan_of_nothing(project: Project) -> None:
    for path in Path(project.path / "suites").glob("*/test_*.py"):
        path.unlink()
    assert project.run("--plan").code == project.run().code == 5


@SOAK
@pytest.mark.parametrize("options", [("--waive=nonsense=a reason",), ("--waive=latency",)], ids=" ".join)
def test_plan_refuses_bad_waivers(project: Project, options: tuple[str, ...]) -> None:
    assert project.run("--plan", *options).code == project.run(*options).code == REFUSED[0]

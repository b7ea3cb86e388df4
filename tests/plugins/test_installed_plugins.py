"""Installed plugins of others: one that cannot work with the checks is refused by the name that ``-p no:`` takes; others work."""

from __future__ import annotations

import os
from textwrap import dedent

import pytest

from tests.plugins.project import PROMOTED, REJECTED, ROOT, Project
from tests.plugins.test_evasions import refused
from tests.plugins.test_foreign_plugins import CALLS_NOTHING, SOAK, mostly_soak
from tests.soak import sample


def distribution(project: Project, monkeypatch: pytest.MonkeyPatch, name: str, source: str, entry: str) -> str:
    """Install a distribution with a plugin on the import path; return its option, since the tests load no other plugins."""
    folder, module = project.path / "installed", name.replace("-", "_")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{entry} = {module}\n")
    (folder / f"{module}.py").write_text("import pytest\n" + dedent(source))
    monkeypatch.syspath_prepend(folder)
    return f"-p{entry}"


RETRIES = """
from _pytest.runner import runtestprotocol
def pytest_addoption(parser): parser.addoption("--retries", type=int, default=2)
def pytest_runtest_protocol(item, nextitem):
    for attempt in range(item.config.option.retries):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if all(report.passed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
SOMETIMES = "seen = []\ndef test_sometimes(client):\n    seen.append(1)\n    assert len(seen) > 1\n"
INSTALLED = {
    "retries": ("pytest-againandagain", RETRIES, "again"),
    "warns and decides": (
        "pytest-async",
        "def pytest_configure(config):\n"
        "    config.issue_config_time_warning(pytest.PytestDeprecationWarning('unset'), 2)\n" + CALLS_NOTHING,
        "asynchronous",
    ),
    "an object of its own": (
        "pytest-covers",
        "class Covers:\n    @pytest.hookimpl(wrapper=True)\n    def pytest_runtestloop(self): return (yield)\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_load_initial_conftests(early_config): early_config.pluginmanager.register(Covers(), '_covers')\n",
        "covers",
    ),
    "another base_url": (
        "pytest-address",
        "@pytest.fixture(scope='session')\ndef base_url(): return None\n"
        "@pytest.fixture(scope='session', autouse=True)\ndef _verify(request, base_url): pass\n",
        "address",
    ),
    "needs a narrower fixture": (
        "pytest-pages",
        "@pytest.fixture(scope='module', autouse=True)\ndef page(measure): pass\n",
        "pages",
    ),
}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("retries", None),
        ("another base_url", "green"),
        pytest.param("retries", "green", marks=SOAK),
        pytest.param("warns and decides", "green", marks=SOAK),
        pytest.param("warns and decides", None, marks=SOAK),
        pytest.param("an object of its own", "green", marks=SOAK),
        pytest.param("needs a narrower fixture", "green", marks=SOAK),
        pytest.param("needs a narrower fixture", None, marks=SOAK),
    ],
)
def test_installed_plugin_is_refused_by_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, kind: str, target: str | None
) -> None:
    project.add("endpoints", SOMETIMES)
    option = distribution(project, monkeypatch, *INSTALLED[kind])
    run = project.run(option, target=target)
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output
    name = INSTALLED[kind][2]
    assert f"-p no:{name}" in run.output
    assert f"plugin {name}" in run.report["reason"]
    if target:
        plan = project.run(option, "--plan")
        assert (plan.code, f"-p no:{name}" in plan.output) == (4, True), plan.output


@SOAK
@pytest.mark.parametrize(
    "source",
    [
        "import warnings\ndef pytest_collection_modifyitems(items): warnings.warn('old', DeprecationWarning)\n",
        "def pytest_itemcollected(item): raise RuntimeError('broken')\n",
        "def pytest_collection(session): session.no_such_attribute\n",
    ],
    ids=["warns", "raises", "does not fit this pytest"],
)
def test_installed_plugin_that_fails_while_it_collects(
    project: Project, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A plugin's own warning is an error by pytest.ini; that is not the release's fault."""
    option = distribution(project, monkeypatch, "pytest-frozen", source, "frozen")
    for options in (("--plan",), ()):
        run = project.run(option, *options)
        assert run.code == 4, run.output
        assert "-p no:frozen" in run.output
        assert run.calls == []


RAISES = "raise RuntimeError('broken')"
AT_ITS_START = {
    "configure": f"def pytest_configure(config): {RAISES}\n",
    "configure, exits": "def pytest_configure(config): raise SystemExit(0)\n",
    "sessionstart": f"def pytest_sessionstart(session): {RAISES}\n",
    "report_header": f"def pytest_report_header(config): {RAISES}\n",
    "cmdline_main": f"def pytest_cmdline_main(config): {RAISES}\n",
    "collection": f"def pytest_collection(session): {RAISES}\n",
}


@pytest.mark.parametrize("hook", sample(AT_ITS_START, "configure", "sessionstart", "cmdline_main", "collection"))
@pytest.mark.parametrize("kind", ["deploy", "plan", "verify"])
def test_installed_plugin_that_fails_at_its_start_is_refused_by_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, hook: str, kind: str
) -> None:
    """pytest would exit with 3 or 1, and a CI system would keep an older junit.xml."""
    option = distribution(project, monkeypatch, "pytest-frozen", AT_ITS_START[hook], "frozen")
    older = project.path / "junit.xml"
    older.write_text("<testsuites/>")
    given = ["--plan"] if kind == "plan" else [f"--junitxml={older}"]
    run = project.run(option, *given, target=None if kind == "verify" else "green")
    assert (run.code, run.calls) == (4, []), run.output
    assert "plugin frozen (pytest-frozen 1.0) failed with" in run.output
    assert "-p no:frozen" in run.output
    assert "Traceback" not in run.output
    if kind != "plan" and hook != "cmdline_main":
        assert run.report["verdict"] == "refused"
        assert "plugin frozen" in older.read_text()


@SOAK
@pytest.mark.parametrize("option", ["--plan", "-q"])
def test_installed_plugin_that_ends_pytest_at_its_start_is_no_success(
    project: Project, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    source = "def pytest_configure(config): pytest.exit('enough', 0)\n"
    run = project.run(distribution(project, monkeypatch, "pytest-frozen", source, "frozen"), option)
    assert (run.code, run.calls) == (4, []), run.output


@pytest.mark.parametrize("options", mostly_soak("--target=green", "--plan --target=green", ""))
def test_installed_plugin_that_defines_an_option_of_the_framework(
    project: Project, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """`-o addopts=` loads locust's plugin, which has a --host as well."""
    source = "def pytest_addoption(parser): parser.addoption('--host', '-H')\n"
    option = distribution(project, monkeypatch, "pytest-hosts", source, "hosts")
    run = project.run(option, *options.split(), target=None)
    assert (run.code, run.calls, run.report) == (4, [], {}), run.output
    assert "--host" in run.output
    assert "-p no:hosts" in run.output
    assert "Traceback" not in run.output


BESIDE_CHECKS = (
    "sessionstart",
    "report_header",
    "runtest_logstart",
    "runtest_setup",
    "runtest_teardown",
    "runtest_logreport",
    "runtest_logfinish",
    "sessionfinish",
    "terminal_summary",
    "unconfigure",
)


@pytest.mark.parametrize(
    "case",
    sample(
        [f"pytest_{hook} {workers}" for workers in ("-n0", "-n2") for hook in BESIDE_CHECKS],
        "pytest_sessionstart -n0",
        "pytest_runtest_setup -n0",
        "pytest_runtest_setup -n2",
        "pytest_sessionfinish -n0",
        "pytest_sessionfinish -n2",
    ),
)
def test_installed_plugin_that_warns_beside_the_checks_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    hook, workers = case.split()
    source = f"import warnings\ndef {hook}(): warnings.warn('old', DeprecationWarning)\n"
    option = distribution(project, monkeypatch, "pytest-old", source, "old")
    assert project.run(option, "--plan").code == 0
    monkeypatch.setenv("PYTHONPATH", f"{project.path / 'installed'}{os.pathsep}{ROOT}")  # for the workers
    run = project.run(option, workers) if workers == "-n0" else project.run_outside(option, workers)
    assert run.result == PROMOTED, run.output


WARNS = "import warnings\ndef test_warns(client): warnings.warn('old', DeprecationWarning)\n"
OF_A_PLUGIN = "import pytest_old\ndef test_warns(client): pytest_old.use()\n"


@pytest.mark.parametrize("check", mostly_soak(WARNS, OF_A_PLUGIN))
def test_warning_of_a_check_still_fails_it_beside_a_plugin_that_warns(
    project: Project, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    source = """
        import warnings
        def pytest_runtest_setup(): warnings.warn("old", DeprecationWarning)
        def use(): warnings.warn("old", DeprecationWarning, stacklevel=2)
    """
    project.add("endpoints", check)
    run = project.run(distribution(project, monkeypatch, "pytest-old", source, "old"))
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_warns"), run.report["reason"]


@pytest.mark.parametrize("hook", mostly_soak("pytest_unconfigure()", "pytest_unconfigure(config)"))
def test_installed_plugin_that_fails_after_the_end_does_not_change_the_exit_code(
    project: Project, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    option = distribution(project, monkeypatch, "pytest-old", f"def {hook}: raise ValueError('late')\n", "old")
    run = project.run(option)
    assert run.result == PROMOTED, run.output
    assert "plugin old (pytest-old 1.0) failed with ValueError: late after the run had ended" in run.output


@SOAK
def test_names_of_all_installed_plugins_are_shown_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [
        distribution(project, monkeypatch, f"pytest-{name}", RETRIES.replace("retries", name), name) for name in "xy"
    ]
    run = project.run(*options)
    assert refused(run)
    assert "-p no:x" in run.output
    assert "-p no:y" in run.output


@SOAK
def test_harmless_installed_plugin_works(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its warning at its start is none of the checks'."""
    source = """
        def pytest_configure(config):
            config.issue_config_time_warning(pytest.PytestDeprecationWarning("unset"), 2)
        def pytest_report_header(): return "harmless 1.0"
        @pytest.fixture(autouse=True)
        def frozen(request): pass
    """
    option = distribution(project, monkeypatch, "pytest-harmless", source, "harmless")
    run = project.run(option)
    assert run.result == PROMOTED, run.output

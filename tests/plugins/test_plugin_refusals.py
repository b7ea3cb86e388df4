"""Runs that must not begin: nothing is started, nothing is touched, and the exit code is 4."""

from __future__ import annotations

import json

import pytest

from tests.plugins.project import ASKS, REFUSED, Outcome, Project
from tests.soak import sample

BROKEN_IMPORT = "import no_such_module"
ABSENT_MODULE = "import pytest\npytest.importorskip('a_module_that_nobody_has')\ndef test_it(): pass"
DROPS = "def pytest_collection_modifyitems(items): items[:] = [i for i in items if 'drop' not in i.name]"
DESELECTS = """
def pytest_collection_modifyitems(config, items):
    dropped = [i for i in items if "drop" in i.name]
    items[:] = [i for i in items if i not in dropped]
    config.hook.pytest_deselected(items=dropped)
"""


def refused(run: Outcome) -> bool:
    """Assert that nothing was touched and the report has a reason; return whether the output says REFUSED."""
    assert run.result == REFUSED, run.output
    assert run.calls == [], run.output
    assert run.report["steps"] == []
    assert {gate["outcome"] for gate in run.report["gates"]} == {"not_run"}
    assert run.report["reason"]
    return "REFUSED" in run.output


@pytest.mark.parametrize(
    "option",
    sample(
        [
            ("-k", "health"),
            ("-m", "not slow"),
            ("--deselect", "suites/health/test_health.py::test_asks"),
            ("--ignore", "suites/redis"),
            ("--ignore-glob", "*redis*"),
            ("--lf",),
            ("--sw",),
            ("suites/health",),
            ("suites/health/test_health.py::test_asks",),
            ("--setup-only",),
        ],
        ("-k", "health"),
        ("--deselect", "suites/health/test_health.py::test_asks"),
        ("--ignore-glob", "*redis*"),
        ("--lf",),
        ("suites/health/test_health.py::test_asks",),
    ),
    ids=" ".join,
)
def test_options_that_leave_checks_out(project: Project, option: tuple[str, ...]) -> None:
    assert refused(project.run(*option))


@pytest.mark.parametrize(
    "options",
    [
        ("--target=red",),
        ("--target=green", "--base-url=http://127.0.0.1:1"),
        ("--target=green", "--environment=nowhere"),
        ("--image-tag=1.0.0",),
        ("--base-url=localhost",),
    ],
    ids=" ".join,
)
def test_options_that_contradict(project: Project, options: tuple[str, ...]) -> None:
    run = project.run(*options, target=None)
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output


def test_a_check_that_does_not_exist(project: Project) -> None:
    """pytest names the missing check, and the verdict blames no plugin."""
    run = project.run("suites/health/test_health.py::test_nope", target=None)
    assert refused(run)
    assert run.report["reason"] == "verify: pytest does not accept the command line"
    assert "ERROR: not found: " in run.output


def test_a_tag_that_does_not_exist(project: Project) -> None:
    run = project.run("--image-tag=9.9.9")
    assert run.result == REFUSED, run.output
    assert "1.0.0" in run.output, "the message must list the known tags"


def test_the_live_colour_as_target(project: Project) -> None:
    run = project.run("--target=blue", target=None)
    assert (run.code, run.report["verdict"]) == (4, "refused"), run.output
    assert run.calls == ["start", "stop"]
    data = json.loads((run.folder / "data.json").read_text())
    assert data["before"] == "blue (the run did not read its version)", "the page names what is live"


def test_too_few_checks(project: Project) -> None:
    project.settings("[gates.auth]\nmin_checks = 2")
    run = project.run()
    assert refused(run)
    assert run.report["reason"] == "auth: gate auth has 1 checks, but 2 are required"


def test_a_required_gate_without_checks(project: Project) -> None:
    (project.path / "suites/load/test_load.py").unlink()
    assert refused(project.run())


def test_a_gate_of_the_settings_without_a_folder(project: Project) -> None:
    project.settings("[gates.privacy]\nmin_checks = 1")
    assert refused(project.run())


def test_a_check_in_no_gates_folder(project: Project) -> None:
    (project.path / "suites" / "test_stray.py").write_text(ASKS)
    run = project.run()
    assert refused(run)
    assert "test_stray" in run.report["reason"]


def test_two_checks_of_one_name(project: Project) -> None:
    project.plugin("""
        def pytest_collection_modifyitems(items):
            items.append(next(item for item in items if "redis" in item.nodeid))
    """)
    run = project.run()
    assert refused(run)
    assert "two checks are named" in run.report["reason"]


@pytest.mark.parametrize(
    ("source", "workers"),
    [
        (BROKEN_IMPORT, "-n0"),
        pytest.param(BROKEN_IMPORT, "-n2", marks=pytest.mark.soak),
        (ABSENT_MODULE, "-n0"),
        pytest.param(ABSENT_MODULE, "-n2", marks=pytest.mark.soak),
        ("import pytest\n@pytest.mark.parametrize('x', [])\ndef test_it(x): pass", "-n0"),
    ],
    ids=["broken import", "broken import, workers", "importorskip", "importorskip, workers", "empty parametrize"],
)
def test_files_that_cannot_be_collected(project: Project, source: str, workers: str) -> None:
    project.add("endpoints", source)
    assert refused(project.run(workers))


ENDS = "import sys\ntry:\n    import no_such_module\nexcept ImportError:\n    sys.exit(0)\ndef test_it(client): assert client"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (BROKEN_IMPORT, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def test_it(:", "SyntaxError: invalid syntax"),
        (ENDS, "SystemExit: 0 (a file of checks must not end the process)"),
    ],
)
@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak), "--plan"])
def test_reason_names_the_file_and_its_error(project: Project, source: str, cause: str, workers: str) -> None:
    """The page of the report shows it as well; the terminal's output may be gone."""
    project.add("endpoints", source)
    run = project.run(workers)
    words = f"1 file of checks could not be collected; suites/endpoints/test_endpoints_more.py: {cause}"
    if workers == "--plan":
        assert run.code == 4
        assert words in run.output
    else:
        assert refused(run)
        assert words in run.report["reason"]
        assert cause.partition(":")[0] in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("source", ["@pytest.mark.nonsense\ndef test_it(): pass", "def test_it(: pass"])
def test_files_that_are_broken(project: Project, source: str) -> None:
    project.add("endpoints", f"import pytest\n{source}")
    assert refused(project.run("--continue-on-collection-errors"))


@pytest.mark.parametrize(
    ("plugin", "workers"),
    [(DROPS, "-n0"), (DESELECTS, "-n0"), (DROPS, "-n2")],
    ids=["drops", "deselects", "drops, workers"],
)
def test_a_plugin_that_takes_checks_away(project: Project, plugin: str, workers: str) -> None:
    project.add("endpoints", "def test_drop_me(client): assert False")
    project.plugin(plugin)
    assert refused(project.run(workers))


def test_nothing_collected_at_all(project: Project) -> None:
    for path in (project.path / "suites").glob("*/test_*.py"):
        path.unlink()
    run = project.run()
    assert (run.code, run.report["verdict"], run.calls) == (5, "refused", []), run.output

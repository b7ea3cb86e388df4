"""Ways to get a release past the checks: by an option, an environment variable, a conftest, a plugin or a file.

Failure mode 2: gates that are empty, skipped or left out pass. A run is refused if the evasion is found before anything is
touched; else its release is rejected. ``python -m pytest tests/plugins/test_evasions.py -q`` counts the evasions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent, indent

import pytest

from plugins.integrity.assertions import recorded_environment
from plugins.integrity.process_guard import refuse_debugger_without_terminal
from plugins.options import selections
from tests.plugins.project import ASKS, PROMOTED, REFUSED, REJECTED, ROOT, Outcome, Project
from tests.soak import sample

BAD = "def test_bad(client): assert client.get('/health').status_code == 500\n"


def conftest(project: Project, source: str, gate: str = "endpoints") -> None:
    """Write a conftest in a gate's folder, beside the project's own."""
    (project.path / "suites" / gate / "conftest.py").write_text(f"import pytest\n{source}")


def hook(name: str, body: str, options: str = "") -> str:
    """Return the source of a hook's implementation."""
    decorator = f"@pytest.hookimpl({options})\n" if options else ""
    name = name if "(" in name else f"{name}()"
    return f"{decorator}def {name}:\n{indent(body, '    ')}\n"


def refused(run: Outcome) -> bool:
    """Assert that the run was refused and touched nothing; return whether the report has a reason."""
    assert run.result == REFUSED, run.output
    assert run.calls == [], run.output
    return bool(run.report["reason"])


OPTIONS = [
    ("--setup-plan",),
    ("-o", "python_functions=check_*"),
    ("-m", "not soak"),
    ("--reruns=2",),
    ("--pyargs", "suites.health"),
    ("suites/health", "suites/load"),
    ("-n2", "-k", "not bad"),
    *(
        pytest.param(one, marks=pytest.mark.soak)
        for one in (
            ("--sw-skip",),
            ("--stepwise",),
            ("--last-failed", "--last-failed-no-failures=none"),
            ("-o", "python_files=nothing.py"),
            ("--override-ini=addopts=",),
        )
    ),
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_options(project: Project, options: tuple[str, ...]) -> None:
    project.add("endpoints", BAD)
    if "--reruns=2" in options:
        project.plugin("def pytest_addoption(parser): parser.addoption('--reruns', type=int)")
    assert refused(project.run(*options))


def test_options_that_make_pytest_stricter_or_repeat_its_settings_leave_nothing_out(project: Project) -> None:
    options = ("--strict-markers", "--strict-config", "--strict", "-o", "xfail_strict=True", "-o", "testpaths=suites")
    config = project.pytester.parseconfig(*options, "-o", "python_files=test_*.py")
    assert selections(config, project.path / "suites") == []
    config = project.pytester.parseconfig("--strict-markers", "-o", "strict_xfail=no", "-o", "python_files=x_*.py")
    assert selections(config, project.path / "suites") == ["-o strict_xfail", "-o python_files"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            "-ojunit_logging=all",
            "-o junit_logging changes a setting of pytest.ini, but a deployment must run with those",
        ),
        ("-khealth", "-k leaves checks out, but a deployment must run all checks"),
    ],
)
def test_reason_says_what_an_option_does(project: Project, option: str, words: str) -> None:
    run = project.run(option)
    assert refused(run)
    assert words in run.report["reason"]


@pytest.mark.soak
def test_strict_markers_on_the_command_line_is_accepted(project: Project) -> None:
    assert project.run("--strict-markers").result == PROMOTED


@pytest.mark.parametrize("options", sample([("--plan",), (), ("--plan", "-n2"), ("-n2",)], (), ("--plan", "-n2")))
def test_trace_without_a_terminal_is_refused_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: "-n2" in options)  # a worker never has a terminal
    run = project.run("--trace", *options)
    assert (run.code, run.calls) == (4, []), run.output
    assert "--trace opens the debugger in each check" in run.output


def test_trace_in_a_terminal_is_accepted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    refuse_debugger_without_terminal(project.pytester.parseconfig("--trace"))


@pytest.mark.parametrize(
    "words",
    sample(
        ["-k health", "--deselect=suites/endpoints", "--ignore=suites/endpoints", "-o python_functions=x"],
        "-k health",
        "-o python_functions=x",
    ),
)
def test_environment_variable(project: Project, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    project.add("endpoints", BAD)
    monkeypatch.setenv("PYTEST_ADDOPTS", words)
    assert refused(project.run())


def test_other_configuration(project: Project) -> None:
    project.add("endpoints", BAD)
    (project.path / "other.ini").write_text(
        (project.path / "pytest.ini").read_text() + "\npython_functions = test_asks*\n"
    )
    assert refused(project.run("-c", "other.ini"))


@pytest.mark.parametrize("target", ["green", pytest.param(None, marks=pytest.mark.soak)], ids=["deploy", "verify"])
@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"PYTHONOPTIMIZE": "1"}, ()),
        pytest.param({"PYTHONOPTIMIZE": "2", "PYTEST_ADDOPTS": "--assert=plain -W ignore"}, (), marks=pytest.mark.soak),
        pytest.param(
            {"PYTEST_ADDOPTS": "--assert=plain"}, (), marks=pytest.mark.soak
        ),  # the option alone: in the next test
        pytest.param({}, ("--assert=plain", "-n2"), marks=pytest.mark.soak),
        ({}, ("-d", f"--tx=popen//python={sys.executable} -O")),
        pytest.param({}, ("-d", "--tx=popen", f"--tx=popen//python={sys.executable} -O"), marks=pytest.mark.soak),
    ],
    ids=["optimize", "optimize and plain", "plain by variable", "plain by option", "a worker", "one of two workers"],
)
def test_disabled_assertions(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: tuple[str, ...],
    target: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = project.run_outside(*options, target=target)
    assert (run.code, run.report["verdict"]) == (4, "refused"), run.output
    assert run.calls == [], run.output
    other_interpreter = any("--tx=popen//" in option for option in options)
    assert ("only popen is accepted" if other_interpreter else "a failing check would pass") in run.output
    opened = next(line for line in run.journal if line["kind"] == "opened")
    assert variables.items() <= opened["variables"].items()


def test_plan_refuses_disabled_assertions_too(project: Project) -> None:
    run = project.run("--plan", "--assert=plain")
    assert run.code == 4, run.output
    assert "a failing check would pass" in run.output


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_interpreter_without_assertions_has_a_problem(option: str) -> None:
    asks = (
        "from types import SimpleNamespace\nfrom plugins.integrity.assertions import assertion_problem\n"
        "print(assertion_problem(SimpleNamespace(getoption=lambda name: 'rewrite')))"
    )
    command = [sys.executable, option, "-c", asks]
    assert "without assertions" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_worker_without_assertions_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conftest can set the variable after this process has begun; its workers read it."""
    monkeypatch.delenv("PYTHONOPTIMIZE", raising=False)
    project.plugin("if 'PYTEST_XDIST_WORKER' not in os.environ: pytest.MonkeyPatch().setenv('PYTHONOPTIMIZE', '1')\n")
    run = project.run_outside("-n1")
    assert refused(run)
    assert "(PYTHONOPTIMIZE or -O) on a worker, so a failing check would pass" in run.report["reason"]


def test_variables_that_change_how_checks_run_are_recorded() -> None:
    variables = {"PYTEST_ADDOPTS": "-W ignore", "PYTEST_PLUGINS": "a,b", "PYTHONPATH": "x", "PYTHONOPTIMIZE": "1"}
    others = {"PATH": "/bin", "IPYTHONDIR": "y", "PYTEST_CURRENT_TEST": "z"}
    assert recorded_environment({**others, **variables}) == variables


@pytest.mark.parametrize("name", sample(["PYTHONHASHSEED", "PYTEST_PLUGINS"], "PYTHONHASHSEED"))
def test_variables_of_a_worker_are_in_the_journal(project: Project, name: str) -> None:
    """The run is refused, so that the test is fast; workers have collected by then."""
    project.add("endpoints", ASKS + ASKS)
    project.plugin(f"if 'PYTEST_XDIST_WORKER' in os.environ: os.environ['{name}'] = 'of_a_worker'\n")
    run = project.run("-n1")
    assert refused(run)
    recorded = {line["kind"]: line["variables"] for line in run.journal if "variables" in line}
    assert recorded["workers"][name] == "of_a_worker"
    assert recorded["opened"].get(name) != "of_a_worker"


COLLECTION = {
    "collect_ignore": "collect_ignore = ['test_endpoints_more.py']",
    "collect_ignore_glob": "collect_ignore_glob = ['*more*']",
    "ignores": hook(
        "pytest_ignore_collect(collection_path)", "return True if 'more' in collection_path.name else None"
    ),
    "makes no item": hook("pytest_pycollect_makeitem(name)", "return [] if 'bad' in name else None", "tryfirst=True"),
    "empties the items": hook(
        "pytest_collection_modifyitems(items)", "items[:] = [i for i in items if 'bad' not in i.name]"
    ),
    "another function": hook("pytest_collection_modifyitems(items)", "for i in items:\n    i.obj = lambda: None"),
    "another runtest": hook("pytest_collection_modifyitems(items)", "for i in items:\n    i.runtest = lambda: None"),
    "another function as it is made": hook("pytest_itemcollected(item)", "item.runtest = lambda: None"),
    "another function in its setup": hook("pytest_runtest_setup(item)", "item.obj = lambda **_: None"),
    "another report": hook("pytest_runtest_logreport(report)", "report.outcome = 'passed'", "tryfirst=True"),
    "a report's wrapper": hook(
        "pytest_runtest_logreport(report)", "report.outcome = 'passed'\nyield", "wrapper=True, tryfirst=True"
    ),
    "makes the report": hook(
        "pytest_runtest_makereport", "report = yield\nreport.outcome = 'passed'\nreturn report", "wrapper=True"
    ),
    "runs it itself": hook("pytest_pyfunc_call", "return True"),
    "a protocol of its own": hook("pytest_runtest_protocol", "return True"),
    "a loop of its own": hook("pytest_runtestloop", "return True", "tryfirst=True"),
    "fixtures of its own": hook("pytest_fixture_setup(fixturedef)", "return None"),
}


# One of each kind of hook: ignores a file, changes the items, changes a check, changes a report, runs a check.
FOR_MAKE_TEST = (
    "ignores",
    "empties the items",
    "another function in its setup",
    "a report's wrapper",
    "runs it itself",
)


@pytest.mark.parametrize("workers", sample(["-n0", "-n2"], "-n0"))
@pytest.mark.parametrize("way", sample(COLLECTION, *FOR_MAKE_TEST))
def test_conftest_of_a_gate(project: Project, way: str, workers: str) -> None:
    project.add("endpoints", BAD)
    conftest(project, COLLECTION[way])
    assert refused(project.run(workers))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param("__test__ = False\n" + BAD, REFUSED, id="module's __test__"),
        pytest.param("class TestIt:\n    __test__ = False\n    def test_bad(self, client): assert False\n", REFUSED, id="class's __test__", marks=pytest.mark.soak),
        pytest.param(BAD + ASKS.replace("test_asks", "test_bad"), REFUSED, id="one name twice", marks=pytest.mark.soak),
        pytest.param("class TestIt:\n    def test_it(self): assert False\nclass TestIt:\n    def test_it(self): pass\n", REFUSED, id="one class twice"),
        pytest.param(BAD + "del test_bad\n", REFUSED, id="deleted"),
        pytest.param("import pytest\npytest.skip('not today', allow_module_level=True)\n" + BAD, REFUSED, id="skipped module", marks=pytest.mark.soak),
        pytest.param("import pytest\npytestmark = pytest.mark.skip\n" + BAD, REJECTED, id="pytestmark"),
        pytest.param("import pytest\n@pytest.fixture(autouse=True)\ndef _skip(): pytest.skip('no')\n" + BAD, REJECTED, id="autouse skip"),
        pytest.param("import pytest\n@pytest.fixture(autouse=True)\ndef _fails(): pytest.xfail('no')\n" + BAD, REJECTED, id="autouse xfail", marks=pytest.mark.soak),
        pytest.param("import pytest\n@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.skip)])\ndef test_it(x): pass", REJECTED, id="skipped parameter", marks=pytest.mark.soak),
        pytest.param("import unittest\nclass Bad(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_bad(self): assert False\n", REJECTED, id="unittest's expectedFailure", marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_file(project: Project, how: str, expected: tuple[object, ...]) -> None:
    project.add("endpoints", how)
    assert project.run().result == expected


def test_a_plugin_by_its_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin whose module name resembles a known plugin's is not mistaken for it."""
    project.add("endpoints", BAD)
    (project.path / "locusts.py").write_text("import pytest\n" + hook("pytest_pyfunc_call", "return True"))
    monkeypatch.syspath_prepend(project.path)
    assert refused(project.run("-p", "locusts"))


@pytest.mark.parametrize(
    "off",
    sample(
        [
            "plugins.run",
            "plugins.fixtures",
            "plugins.reports",
            "plugins.declarative",
            "xdist",
            "python",
            "html",
            "junitxml",
        ],
        "plugins.run",
        "plugins.declarative",
        "python",
        "html",
    ),
)
def test_a_plugin_switched_off(project: Project, off: str) -> None:
    """The run is refused, or it works without the plugin; a usage error of pytest touches nothing."""
    project.add("endpoints", BAD)
    run = project.run("-p", f"no:{off}")
    assert run.code in (1, 4, 5), run.output
    assert run.calls == [] if run.code != 1 else run.result == REJECTED


@pytest.mark.parametrize(
    "source",
    [
        hook("pytest_sessionfinish(session)", "yield\nsession.exitstatus = 0", "wrapper=True, tryfirst=True"),
        pytest.param(
            hook("pytest_sessionfinish(session)", "session.exitstatus = 0", "trylast=True"), marks=pytest.mark.soak
        ),
        hook("pytest_unconfigure(config)", "import sys\nsys.exitstatus = 0"),
    ],
    ids=["a wrapper", "the last", "the very last"],
)
def test_exit_code(project: Project, source: str) -> None:
    """A pipeline sees the verdict's exit code, even if a plugin sets another one."""
    project.add("endpoints", BAD)
    conftest(project, source)
    run = project.run()
    assert run.code in (1, 4), run.output


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.fixture\ndef base_url(live): return live.url",
        pytest.param("@pytest.fixture\ndef client(live_client): return live_client", marks=pytest.mark.soak),
        "@pytest.fixture\ndef client():\n    import httpx\n    return httpx.Client(base_url={live!r})",
    ],
    ids=["another address", "another client", "a client of its own"],
)
def test_gate_that_does_not_ask_the_candidate(project: Project, source: str) -> None:
    """The live colour's answers prove nothing about the candidate; a client that is never closed changes no other check."""
    project.add("redis", "import gc\ndef test_collects(client):\n    gc.collect()\n    client.get('/health')\n")
    conftest(project, source.replace("{live!r}", repr(project.facts.read("urls")["live"])))
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: its checks sent the release no recorded request"), run.output
    assert run.gate("redis")["outcome"] == "passed", run.output


FIVE = "import httpx, pytest\n@pytest.mark.samples('consecutive')\ndef test_five(client, limits, measure):\n"
FEWER = {
    "ends early": "for _ in range(4): assert client.get('/health').is_success",
    "claims that it took them": "client.get('/health')\nmeasure('answers', 5, limit=5, samples=limits['consecutive'])",
    "without an answer": """
        for _ in range(4): assert client.get("/health").is_success
        try: client.get("http://127.0.0.1:1/health")
        except httpx.TransportError: pass
    """,
}


@pytest.mark.parametrize("way", sample(FEWER, "claims that it took them", "without an answer"))
def test_fewer_samples_than_a_gate_declares(project: Project, way: str) -> None:
    """Failure mode 4: a check's claim about its samples does not count, only the answers that the framework saw."""
    project.settings("[gates.redis]\nconsecutive = 5")
    project.add("redis", FIVE + indent(dedent(FEWER[way]), "    "))
    conftest(project, hook("pytest_collection_modifyitems(items)", "for i in items: i.own_markers.clear()"), "redis")
    run = project.run()
    assert run.result == REJECTED, run.output
    taken = 1 if way == "claims that it took them" else 4
    assert (
        run.report["reason"] == f"redis: test_five: it took {taken} samples, but declares 5: too few to prove anything"
    )


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.soak)])
def test_as_many_samples_as_a_gate_declares(project: Project, workers: str) -> None:
    project.settings("[gates.redis]\nconsecutive = 5")
    project.add("redis", FIVE + "    for _ in range(limits['consecutive']): client.get('/health')")
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    manifest = next(line for line in run.journal if line["kind"] == "manifest")
    assert (manifest["samples"]["redis"], manifest["samples"]["auth"]) == (5, 0)


@pytest.mark.parametrize("declared", sample(["'consecutiv'", "0", "", "'required'"], "'consecutiv'", "0"))
def test_invalid_samples_declaration_is_refused(project: Project, declared: str) -> None:
    """A declaration without a usable number of samples would silently require nothing."""
    project.settings("[gates.redis]\nconsecutive = 5\nrequired = true")
    project.add("redis", FIVE.replace("'consecutive'", declared) + "    client.get('/health')")
    run = project.run()
    assert refused(run)
    assert "test_five declares its samples by" in run.report["reason"], run.report["reason"]


@pytest.mark.parametrize("gate", [pytest.param("health", marks=pytest.mark.soak), "live"])
def test_a_check_that_ends_the_process(project: Project, gate: str) -> None:
    """Without a report the exit code is not 0; `recover` handles the rest."""
    project.add(gate, "import os\ndef test_bad(client): os._exit(0)")
    run = project.run_outside()
    assert (run.code, run.report) == (3, {}), run.output


def test_harmless_conftest_is_accepted(project: Project) -> None:
    """Fixtures, markers, another order of checks and terminal output do not change the verdict."""
    conftest(
        project,
        "@pytest.fixture\ndef consult(client): return client.get('/consults/c-1').json()\n"
        + hook("pytest_collection_modifyitems(items)", "items.reverse()\nfor i in items: i.add_marker('usefixtures')")
        + hook("pytest_terminal_summary(terminalreporter)", "terminalreporter.write_line('done')"),
    )
    run = project.run()
    assert run.result == PROMOTED, run.output

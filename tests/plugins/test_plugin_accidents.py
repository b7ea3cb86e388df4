"""Failures around checks: exits, interrupts, lost workers, internal errors. None leaves a promotion in place."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from deployment.clock import SystemClock
from deployment.evidence.journal import Journal
from tests.plugins.project import PROMOTED, REJECTED, ROLLED_BACK, Project


def result_of(code: int, gate: str) -> tuple[int, str, int, int, int]:
    """Return the result of a run that ends with this exit code in this gate: rolled back after the switch, else rejected."""
    return (code, "rolled_back", 1, 1, 1) if gate == "live" else (code, "rejected", 1, 0, 0)


EXITS, INTERRUPTS = "pytest.exit('enough')", "raise KeyboardInterrupt"


@pytest.mark.parametrize(
    ("gate", "how"),
    [
        ("health", EXITS),
        ("live", INTERRUPTS),
        pytest.param("endpoints", INTERRUPTS, marks=pytest.mark.soak),
        pytest.param("live", EXITS, marks=pytest.mark.soak),
        pytest.param("health", INTERRUPTS, marks=pytest.mark.soak),
        pytest.param("endpoints", EXITS, marks=pytest.mark.soak),
    ],
)
def test_a_check_that_ends_the_run(project: Project, gate: str, how: str) -> None:
    project.add(gate, f"import pytest\ndef test_it(client): {how}")
    run = project.run()
    assert run.result == result_of(2, gate), run.output


@pytest.mark.parametrize(
    ("gate", "how"),
    [
        pytest.param("endpoints", "raise KeyboardInterrupt", marks=pytest.mark.soak),
        pytest.param("live", "pytest.exit('enough')", marks=pytest.mark.soak),
    ],
)
def test_a_check_that_ends_its_worker(project: Project, gate: str, how: str) -> None:
    project.add(gate, f"import pytest\ndef test_it(client): {how}")
    run = project.run("-n2")
    assert run.result == result_of(2, gate), run.output


@pytest.mark.parametrize(
    ("gate", "expected", "how"),
    [
        pytest.param("database", REJECTED, "os._exit(0)", marks=pytest.mark.soak),
        ("live", ROLLED_BACK, "os.kill(os.getpid(), 9)"),
    ],
    ids=["exit", "kill"],
)
def test_a_worker_that_is_lost(project: Project, gate: str, expected: tuple[object, ...], how: str) -> None:
    project.add(gate, f"import os\ndef test_it(client): {how}")
    run = project.run("-n2")
    assert run.result == expected, run.output
    assert run.gate(gate)["outcome"] == "error", "the run went on without the result"
    assert run.report["reason"].startswith((f"{gate}: test_it", "verify: worker gw", "live: worker gw"))


def test_a_check_that_saw_the_way_back_has_no_result(project: Project) -> None:
    """A lost worker ends the promotion while another worker's check runs: that check's failure says nothing of the release."""
    begun = project.path / "begun"
    project.add(
        "live",
        f"""
        import os, pathlib, time
        BEGUN = pathlib.Path({str(begun)!r})
        def wait_for(condition):
            deadline = time.monotonic() + 20
            while not condition() and time.monotonic() < deadline:
                time.sleep(0.02)
        def test_is_lost(client):
            wait_for(BEGUN.exists)
            os.kill(os.getpid(), 9)
        def test_sees_the_way_back(client, promoted):
            BEGUN.touch()
            wait_for(lambda: client.get("/health").json()["version"] != promoted.version)
            assert client.get("/health").json()["version"] == promoted.version
        """,
    )
    run = project.run("-n2")
    assert run.result == ROLLED_BACK, run.output
    assert begun.exists(), run.output
    assert run.gate("live")["outcome"] == "error"
    assert "FAILED suites/live/test_live_more.py::test_sees_the_way_back" not in run.output
    assert "test_sees_the_way_back" not in json.dumps(run.report)


@pytest.mark.soak
def test_all_workers_are_lost(project: Project) -> None:
    project.add("health", "\n".join(f"import os\ndef test_{n}(client): os._exit(1)" for n in range(4)))
    run = project.run("-n2", "--max-worker-restart=0")
    assert run.result == REJECTED, run.output


def test_workers_that_die_before_they_have_collected(project: Project) -> None:
    project.plugin("""
        import os, pytest
        @pytest.hookimpl(tryfirst=True)  # before what was collected is sent
        def pytest_collection_finish(session):
            if hasattr(session.config, "workerinput"):
                os._exit(1)
    """)
    run = project.run("-n2", "--max-worker-restart=0")
    assert run.code not in (0, 10), run.output
    assert run.calls == [], run.output
    assert run.report["exit_code"] == run.code


HOOKS = {
    "logreport": """
        def pytest_runtest_logreport(report):
            if report.when == "call" and "/{gate}/" in report.nodeid:
                raise RuntimeError("a plugin's own defect")
    """,
    "logfinish": """
        def pytest_runtest_logfinish(nodeid):
            if "/{gate}/" in nodeid:
                raise RuntimeError("a plugin's own defect")
    """,
    "in a worker": """
        workers = []
        def pytest_configure(config):
            workers[:] = [config] if hasattr(config, "workerinput") else []
        def pytest_runtest_logfinish(nodeid):
            if workers and "/{gate}/" in nodeid:
                raise RuntimeError("a plugin's own defect")
    """,
}


@pytest.mark.parametrize(
    ("gate", "hook", "workers"),
    [
        ("auth", "logreport", "-n0"),
        ("live", "logfinish", "-n0"),
        pytest.param("auth", "logfinish", "-n0", marks=pytest.mark.soak),
        pytest.param("live", "logreport", "-n0", marks=pytest.mark.soak),
        pytest.param("live", "logreport", "-n2", marks=pytest.mark.soak),
    ],
)
def test_a_plugin_that_raises(project: Project, gate: str, hook: str, workers: str) -> None:
    project.plugin(HOOKS[hook].format(gate=gate))
    run = project.run(workers)
    assert run.result == result_of(3, gate), run.output


@pytest.mark.soak
def test_a_plugin_that_raises_in_a_worker(project: Project) -> None:
    project.plugin(HOOKS["in a worker"].format(gate="live"))
    run = project.run("-n2")
    assert run.code in (3, 10), run.output
    assert run.result[1:] == ROLLED_BACK[1:], run.output


@pytest.mark.parametrize("order", [pytest.param("tryfirst", marks=pytest.mark.soak), "trylast"])
def test_a_plugin_that_raises_at_the_end(project: Project, order: str) -> None:
    project.plugin(f"""
        @pytest.hookimpl({order}=True)
        def pytest_sessionfinish():
            raise RuntimeError("a plugin's own defect")
    """)
    run = project.run_outside()
    assert run.result == result_of(3, "live"), run.output
    assert "a plugin's own defect" in run.output


LEAKS = """
    import socket
    def test_leaks(client):
        assert client.get("/health").status_code == 200
        held = lambda: held  # refers to itself: only the garbage collector ends it
        held.socket = socket.socket()
"""
BREAKS = """
    class Broken:
        def __init__(self):
            self.me = self
        def __del__(self):
            raise RuntimeError("at its end")
    def test_breaks(client):
        Broken()
        assert client.get("/health").status_code == 200
"""
COLLECTS = """
    import gc
    def test_collects(client):
        gc.collect()
        assert client.get("/health").status_code == 200
"""


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("source", "expected"),
    [(LEAKS, "ResourceWarning: unclosed <socket"), (BREAKS, "PytestUnraisableExceptionWarning")],
    ids=["a socket", "an exception"],
)
def test_garbage_of_a_check_is_reported_and_fails_no_check(
    project: Project, source: str, expected: str, workers: str
) -> None:
    """The garbage is found while another gate's check runs and is reported; neither check fails because of it."""
    project.add("redis", source)
    project.add("endpoints", COLLECTS)
    run = project.run(workers, "-Werror::ResourceWarning", "-Werror::pytest.PytestUnraisableExceptionWarning")
    assert run.result == PROMOTED, run.output
    assert expected in run.output


@pytest.mark.soak
def test_garbage_of_the_last_check_does_not_change_the_exit_code(project: Project) -> None:
    """Nothing changes the exit code after the verdict, pytest's own final garbage collection included."""
    project.add("live", LEAKS.replace("(client)", "(client, baked)"))
    run = project.run_outside()
    assert run.result == PROMOTED, run.output


def test_failed_thread_is_not_a_pass(project: Project) -> None:
    """The thread's assertion failed outside the check, so the check must not count as passed."""
    project.add(
        "endpoints",
        """
        import threading
        def ask(client):
            assert client.get("/health").status_code == 500
        def test_from_a_thread(client):
            thread = threading.Thread(target=ask, args=(client,))
            thread.start()
            thread.join()
        """,
    )
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_from_a_thread"), run.report["reason"]


def test_next_run_completes_the_report_of_a_dead_run(project: Project) -> None:
    dead = project.path / "reports" / "20200101-000000-green-dead01"
    journal = Journal(dead / "audit.jsonl", "operator", SystemClock())
    journal.append("opened", environment="test", mode="deploy", host=socket.gethostname(), pid=2**22 + 1)
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert json.loads((dead / "verification.json").read_text())["verdict"] == "rejected"
    assert "PROMOTED" not in (dead / "report.html").read_text()
    assert "died before it touched anything: rejected" in run.output
    assert run.folder.resolve() != dead, "`latest` must be this run's report"


@pytest.mark.soak
@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "workers"])
def test_temporary_files_of_other_runs_are_kept(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """pytest would remove the folders of the user's earlier runs before a promotion is made final: a minute on a busy host."""
    others = tmp_path / f"pytest-of-{getpass.getuser()}"
    others.mkdir(mode=0o700)
    for number in range(6):
        (others / f"pytest-{number}").mkdir()
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    project.add(
        "health",
        "def test_it(tmp_path, client):\n    (tmp_path / 'x').touch()\n    assert 'deployment-' in str(tmp_path)\n"
        "    assert client.get('/health').status_code == 200",
    )
    run = project.run_outside(*options)
    assert run.result == PROMOTED, run.output
    assert sorted(path.name for path in others.iterdir()) == [f"pytest-{number}" for number in range(6)]

"""The benchmarks run: each is a script of its own that no other test starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from benchmarks import gates
from tests.e2e.sandbox import ROOT, CommandResult, wait_until
from tests.page import browser
from tests.recorded.recordings import FOLDER, Recording

SMALLEST = {
    "checks.py": ("--checks", "2", "3", "--without-tavern"),
    "deployment.py": ("--runs", "1"),
    "detection.py": ("--repeats", "1", "--fault", "errors"),
    "embedded_up.py": ("1",),
    "estate_cost.py": (),
    "gates.py": ("--good", "1", "--busy", "0", "--results", "{folder}/gates.jsonl"),
    "history.py": ("5", "3"),
    "latency_false_alarms.py": ("--histories", "2"),
    "page.py": (),
    "random_kills.py": ("--runs", "1", "--results", "{folder}/kills.jsonl"),
    "watch_false_alarms.py": ("--histories", "3"),
}
"""The arguments of each benchmark's shortest run."""
NO_SCRIPTS = {"busy.py", "ending.py"}


def test_every_benchmark_is_run() -> None:
    assert {path.name for path in (ROOT / "benchmarks").glob("*.py")} == SMALLEST.keys() | NO_SCRIPTS


@pytest.mark.soak
@pytest.mark.parametrize("script", SMALLEST)
def test_benchmark_runs_with_its_smallest_input(script: str, tmp_path: Path) -> None:
    if script == "page.py" and (problem := browser.missing()):
        pytest.skip(problem)
    arguments = [one.format(folder=tmp_path) for one in SMALLEST[script]]
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script.removesuffix('.py')}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip()


@pytest.mark.soak
def test_sigterm_stops_the_environment_of_a_benchmark() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user passes through
        benchmark = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gates", "--good=1", "--busy=1", f"--results={folder / 'gates.jsonl'}"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: "postgres" in _processes_in(folder), "an environment", timeout_s=120)
        finally:
            benchmark.terminate()
            code = benchmark.wait(120)
        assert code == 128 + signal.SIGTERM
        assert not _processes_in(folder)
        assert not list(folder.glob("e2e-*"))


def _processes_in(folder: Path) -> list[str]:
    """Return the names of the processes with the folder in their arguments."""
    running = psutil.process_iter(["name", "cmdline"])
    return [one.info["name"] for one in running if any(str(folder) in word for word in one.info["cmdline"] or ())]


@pytest.mark.parametrize("kind", ["promoted", "rejected", "rolled_back"])
def test_line_of_a_deployment_holds_its_verdict_and_when_it_was_reached(kind: str, tmp_path: Path) -> None:
    recording = Recording.unpack(next(FOLDER.glob(f"*/{kind}.tar.xz")), tmp_path)
    folder = recording.finished("reports")[-1]
    report = json.loads((folder / "verification.json").read_text())
    line = gates.facts(CommandResult(0, "", 1.0, report, folder))
    steps = {step["name"]: step["duration_s"] for step in report["steps"]}
    assert line["verdict"] == kind
    assert steps["verify"] < line["verdict_s"] <= sum(steps.values()) + 60

"""The benchmarks run: each is a script of its own that no other test starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gates
from tests.e2e.sandbox import ROOT, CommandResult
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
NO_SCRIPTS = {"busy.py"}


def test_every_benchmark_is_run() -> None:
    assert {path.name for path in (ROOT / "benchmarks").glob("*.py")} == SMALLEST.keys() | NO_SCRIPTS


@pytest.mark.soak
@pytest.mark.parametrize("script", SMALLEST)
def test_benchmark_runs_with_its_smallest_input(script: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("kind", ["promoted", "rejected", "rolled_back"])
def test_line_of_a_deployment_holds_its_verdict_and_when_it_was_reached(kind: str, tmp_path: Path) -> None:
    recording = Recording.unpack(next(FOLDER.glob(f"*/{kind}.tar.xz")), tmp_path)
    folder = recording.finished("reports")[-1]
    report = json.loads((folder / "verification.json").read_text())
    line = gates.facts(CommandResult(0, "", 1.0, report, folder))
    steps = {step["name"]: step["duration_s"] for step in report["steps"]}
    assert line["verdict"] == kind
    assert steps["verify"] < line["verdict_s"] <= sum(steps.values()) + 60

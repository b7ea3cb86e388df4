"""Whole deployments on the embedded environment: the time of each part, and the effect on users of the live domain.

    python benchmarks/deployment.py [--runs 5] [--workers 0 2]

Each run has its own environment. Prints minimum, median and maximum; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent


def deploy(workers: int) -> tuple[float, dict[str, object]]:
    """Run one deployment; return its wall time in seconds, and its report."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        environment = {**os.environ, "EMBEDDED_STATE": f"{folder}/state"}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--target=green",
            "-q",
            f"--reports={folder}/reports",
            "-n",
            str(workers),
        ]
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        seconds = time.monotonic() - began
        report = json.loads(Path(folder, "reports", "latest", "verification.json").read_text(encoding="utf-8"))
        if done.returncode != 0:
            raise SystemExit(f"a good release was not promoted: {report['reason']}\n{done.stdout.decode()[-2000:]}")
        return seconds, report


def figures(seconds: float, report: dict[str, object]) -> dict[str, float]:
    """Return the figures that are compared between runs, by name."""
    found = {"whole run (s)": seconds}
    for step in report["steps"]:  # type: ignore[attr-defined]  # the report's fields are those of docs/read-a-report.md
        found[f"step {step['name']} (s)"] = step["duration_s"]
    for gate in report["gates"]:  # type: ignore[attr-defined]  # likewise
        found[f"gate {gate['name']} (s)"] = gate["duration_s"]
    promotion: dict[str, float] = report["promotion"]  # type: ignore[assignment]  # likewise
    return found | {
        "users' requests": promotion["requests"],
        "users' failed requests": promotion["failed"],
        "longest gap (ms)": promotion["longest_gap_ms"],
        "switch (s)": promotion["switch_s"],
    }


def main() -> None:
    """Run the deployments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for workers in options.workers:
        values: dict[str, list[float]] = defaultdict(list)
        for _ in range(options.runs):
            for name, value in figures(*deploy(workers)).items():
                values[name].append(value)
        print(f"{options.runs} deployments, {workers} workers: minimum / median / maximum")
        for name, numbers in values.items():
            print(f"  {name:<28} {min(numbers):>9.3f} {median(numbers):>9.3f} {max(numbers):>9.3f}")


if __name__ == "__main__":
    main()

"""How long the history of a thousand deployments takes: the page's file, and the page in Chromium.

    python benchmarks/history.py [DEPLOYMENTS] [CHECKS]

The reports have DEPLOYMENTS (default: 1000) runs of CHECKS (default: 250) checks each, with the history of every check in them.
The first writing reads every report and makes the cache of the checks' history; the later ones, one after each run, are usual.
The command is `deploy.py history` as a user types it, with the start of Python. Each takes at most 2 s on a quiet machine.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deployment.evidence.verdict import LIVE, ORDER
from plugins.page.history import INDEX_FILE, page
from tests.page import browser
from verification.history import FILE as CACHE

CHECKOUT = Path(__file__).resolve().parents[1]
ROUNDS = 3
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def report(folder: Path, number: int, checks: int, chance: random.Random) -> None:
    """Write the report of one run: every fifth is rejected, every twentieth rolled back."""
    started = BEGIN + timedelta(hours=16 * number)
    verdict = "rolled_back" if number % 20 == 7 else "rejected" if number % 5 == 3 else "promoted"
    name = f"{started:%Y%m%d-%H%M%S}-{'green' if number % 2 else 'blue'}-{number:06x}"
    names = [
        f"suites/{ORDER[one % 7]}/test_{ORDER[one % 7]}.py::test_answers_as_documented[{one}]" for one in range(checks)
    ]
    gates = [
        {"name": gate, "required": True, "outcome": "passed", "checks": checks // 8, "ran": checks // 8, "failed": 0,
         "duration_s": round(chance.uniform(0.5, 30), 3), "waived": None}
        for gate in (*ORDER, LIVE)
    ]  # fmt: skip
    steps = (
        "lease",
        "provision",
        "verify",
        "promote",
        *(["rollback"] if verdict == "rolled_back" else ["live", "bake"]),
    )
    document = {
        "schema_version": 2, "framework_version": "1.1.0", "deployment_id": name, "environment": ("production", "staging")[number % 2],
        "target": "green", "image": f"telehealth-api:1.{number}.0", "digest": f"sha256:{number // 2:064x}", "version": f"1.{number}.0",
        "actor": "arn:aws:sts::123456789012:assumed-role/deployer/maria", "started_at": started.isoformat(),
        "finished_at": (started + timedelta(seconds=240)).isoformat(), "exit_code": 0, "recovered": False, "partial": False,
        "verdict": verdict, "reason": None if verdict == "promoted" else "latency: budgets (listConsults): p95 612.4 ms, limit 500 ms",
        "live_harmed": False, "gates": gates, "promotion": None, "rollback": None, "preflight": [], "checklist": [],
        "steps": [
            {"name": step, "outcome": "passed", "started_at": (started + timedelta(seconds=9 * n)).isoformat(), "duration_s": 9.0}
            for n, step in enumerate(steps)
        ],
        "history": [
            {"check": one, "runs": number, "passed": number, "median_s": 0.12, "chance": {"failed": 0, "runs": number, "low": 0.0, "high": 0.1}}
            for one in names
        ],
    }  # fmt: skip
    cases = []
    for one in names:
        path, _, rest = one.partition("::")
        failure = "<failure/>" if one.endswith("7]") and chance.random() < 0.02 else ""
        cases.append(
            f'<testcase classname="{path[:-3].replace("/", ".")}" name="{rest}" time="0.120">{failure}</testcase>'
        )
    (folder / name).mkdir()
    (folder / name / "verification.json").write_text(json.dumps(document, indent=2))
    (folder / name / "junit.xml").write_text(
        f'<testsuites><testsuite name="pytest">{"".join(cases)}</testsuite></testsuites>'
    )
    (folder / name / "report.html").touch()


def command(folder: Path, *, cached: bool) -> str:
    """Run ``deploy.py history`` over the folder, with or without the cache; return its time."""
    if not cached:
        (folder / CACHE).unlink()
    wall, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, str(CHECKOUT / "scripts" / "deploy.py"), "history", "--reports", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{time.monotonic() - wall:.2f} s ({cpu:.2f} s of CPU)"


def main(deployments: int = 1000, checks: int = 250) -> int:
    """Print the times; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder, chance = Path(name), random.Random(4)  # noqa: S311 - no secret
        for number in range(deployments):
            report(folder, number, checks, chance)
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        print(f"{deployments} runs of {checks} checks, {size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")
        for number in range(ROUNDS):
            wall, cpu = time.monotonic(), time.process_time()
            text = page(folder)
            spent = f"{time.monotonic() - wall:.2f} s ({time.process_time() - cpu:.2f} s of CPU)"
            print(f"{'first' if number == 0 else 'later'} writing: {spent}, {len(text) / 1e6:.1f} MB")
        for cached in (False, True):
            print(f"the command, {'later' if cached else 'first'}: {command(folder, cached=cached)}")
        if problem := browser.missing():
            print(f"not opened: {problem}")
            return 0
        looks = [browser.Look(str(n), (folder / INDEX_FILE).as_uri(), axe=False) for n in range(ROUNDS)]
        for found in browser.look(*looks).values():
            print(f"loaded after {found['loaded_ms']:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

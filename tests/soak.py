"""`make soak`: what passed at this commit is not run again, and what came of it is kept in a file.

``python -m tests.soak`` prints that file: each file of tests with the commit and the date that its results are of. What is under way lies in ``.soak/COMMIT.jsonl``, one line a test. With
``--soak-seconds N`` no test begins later than that; the next call goes on.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
STATE = ROOT / ".soak"
TESTED = (".", ":!benchmarks/results")
PASSED, FAILED = "passed", "failed"
WORKERINPUT = "soak"


def tree() -> str:
    """The last commit of what is tested, and a hash of what was changed since; results of soaks are no change."""
    commit = _git("log", "-1", "--format=%h", "--abbrev=10", "--", *TESTED).strip() or "no-commit"
    changed = _git("diff", "HEAD", "--", *TESTED)
    return f"{commit}+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


class Soak:
    """Leaves out what has passed already, and writes down what comes of the rest; on workers it only leaves out."""

    def __init__(self, config: pytest.Config) -> None:
        self._worker = hasattr(config, "workerinput")
        self._tree = "" if self._worker else tree()
        self._state = STATE / f"{self._tree}.jsonl"
        known = _read(self._state) if not self._worker else {}
        self._passed = sorted(name for name, line in known.items() if line["outcome"] == PASSED)
        self._until = time.time() + config.getoption("--soak-seconds")
        if self._worker:
            self._passed, self._until = config.workerinput[WORKERINPUT]  # type: ignore[attr-defined]  # xdist's
        self._open: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Every worker leaves out the same, also one that replaces another."""
        node.workerinput[WORKERINPUT] = self._passed, self._until

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """What has passed at this commit is not run again."""
        done = set(self._passed)
        again = [item for item in items if item.nodeid in done]
        items[:] = [item for item in items if item.nodeid not in done]
        config.hook.pytest_deselected(items=again)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """When the time is over nothing begins any more; what there is of fixtures is torn down as ever."""
        if time.time() < self._until:
            return None
        item.session._setupstate.teardown_exact(nextitem)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has passed when none of its parts failed; one that was skipped has not."""
        line = self._open.setdefault(report.nodeid, {"test": report.nodeid, "outcome": PASSED, "seconds": 0.0})
        line["seconds"] += report.duration
        line["soak"] = "soak" in report.keywords
        if not report.passed:
            line["outcome"] = FAILED if report.failed else report.outcome
        if report.when == "teardown" and not self._worker:
            line["seconds"] = round(line["seconds"], 3)
            self._state.parent.mkdir(exist_ok=True)
            with self._state.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._open.pop(report.nodeid)) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """The whole of what is known of this commit becomes the file that is committed."""
        if not self._worker and (lines := _read(self._state)):
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            both = dict(sorted((kept | summed(self._tree, lines.values())).items()))
            RESULTS.write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """The newest line of each test."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {line["test"]: line for line in map(json.loads, text.splitlines())}


def summed(commit: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Results by file: how many tests passed, of those that `make test` leaves out and of the others, and which did not."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    files: dict[str, dict[str, Any]] = {}
    for line in sorted(lines, key=lambda line: str(line["test"])):
        blank = {"commit": commit, "date": date, "soak": 0, "others": 0, "seconds": 0.0, "not_passed": []}
        file = files.setdefault(line["test"].partition("::")[0], blank)
        file["seconds"] = round(file["seconds"] + line["seconds"], 1)
        if line["outcome"] == PASSED:
            file["soak" if line["soak"] else "others"] += 1
        else:
            file["not_passed"].append(f"{line['test']}: {line['outcome']}")
    return files


def table(files: Mapping[str, Any]) -> str:
    """For people: the files that have tests of a soak, and those whose tests did not pass."""
    rows = [f"  {'soak':>5} {'others':>6} {'seconds':>8}  {'commit':<20} {'date':<10}  file"]
    rows += [
        f"  {one['soak']:>5} {one['others']:>6} {one['seconds']:>8.1f}  {one['commit']:<20} {one['date']:<10}  {name}"
        for name, one in files.items()
        if one["soak"] or one["not_passed"]
    ]
    total = {key: sum(one[key] for one in files.values()) for key in ("soak", "others", "seconds")}
    rows.append(f"  {total['soak']:>5} {total['others']:>6} {total['seconds']:>8.1f}  passed in all")
    return "\n".join([*rows, *(f"  NOT PASSED: {name}" for one in files.values() for name in one["not_passed"])])


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else "nobody has run `make soak`")

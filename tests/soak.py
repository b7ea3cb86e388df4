"""`make soak`: tests that passed at this commit are not run again, and the results are kept in a file.

A commit that differs only in documents counts as the same one, except for tests that read documents.

``python -m tests.soak`` prints that file: for each test file, its results with their commit and date. The results of an
unfinished soak are in ``.soak/COMMIT.jsonl``, one line for each test. With ``--soak-seconds N`` no test begins after N seconds;
the next call continues.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
STATE = ROOT / ".soak"
DOCUMENTS = ("docs", ":(glob)*.md")
TESTED = (".", ":!benchmarks/results", ":!docs", ":(exclude,glob)*.md")
PASSED, FAILED = "passed", "failed"
WORKERINPUT = "soak"


def sample(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the cases of one kind as a test's parameters: `make test` runs the kept ones, `make soak` all of them.

    Raises ValueError if a kept case does not exist.
    """
    every = list(cases)
    if missing := [one for one in kept if one not in every]:
        raise ValueError(f"no such case: {missing}")
    return [pytest.param(one, marks=() if one in kept else pytest.mark.soak) for one in every]


def tree() -> str:
    """Return the last commit of the tested files, with a hash of uncommitted changes; results and documents do not count."""
    commit = _git("log", "-1", "--format=%h", "--abbrev=10", "--", *TESTED).strip() or "no-commit"
    changed = _git("diff", "HEAD", "--", *TESTED)
    return f"{commit}+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else commit


def documents() -> str:
    """Return a hash of the documents."""
    known = _git("ls-files", "-s", "--", *DOCUMENTS) + _git("diff", "HEAD", "--", *DOCUMENTS)
    return hashlib.sha256(known.encode()).hexdigest()[:8]


@cache
def reads_documents(file: str) -> bool:
    """Return whether a test file, by its path below the root, may read documents: it names one or their folder, or is in tests/docs."""
    text = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
    return file.startswith("tests/docs/") or any(word in text for word in ('.md"', "docs"))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


class Soak:
    """Deselects tests that have passed already and records the results of the others; on workers it only deselects."""

    def __init__(self, config: pytest.Config) -> None:
        self._worker = hasattr(config, "workerinput")
        self._tree = "" if self._worker else tree()
        self._state = STATE / f"{self._tree}.jsonl"
        self._documents = "" if self._worker else documents()
        known = _read(self._state) if not self._worker else {}
        self._passed = still_passed(known.values(), self._documents)
        self._until = time.time() + config.getoption("--soak-seconds")
        if self._worker:
            self._passed, self._until = config.workerinput[WORKERINPUT]  # type: ignore[attr-defined]  # xdist's
        self._open: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every worker, also a replacement, the tests that have passed and the end of the time."""
        node.workerinput[WORKERINPUT] = self._passed, self._until

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect tests that have passed at this commit."""
        done = set(self._passed)
        again = [item for item in items if item.nodeid in done]
        items[:] = [item for item in items if item.nodeid not in done]
        config.hook.pytest_deselected(items=again)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Begin no test once the time is over; fixtures are still torn down."""
        if time.time() < self._until:
            return None
        item.session._setupstate.teardown_exact(nextitem)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test's outcome: it passed if setup, call and teardown passed; a skipped test did not pass."""
        line = self._open.setdefault(report.nodeid, {"test": report.nodeid, "outcome": PASSED, "seconds": 0.0})
        line["seconds"] += report.duration
        line["soak"] = "soak" in report.keywords
        if not report.passed:
            line["outcome"] = FAILED if report.failed else report.outcome
        if report.when == "teardown" and not self._worker:
            line["seconds"] = round(line["seconds"], 3)
            line["documents"] = self._documents
            self._state.parent.mkdir(exist_ok=True)
            with self._state.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._open.pop(report.nodeid)) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write all results of this commit to the file that is committed."""
        if not self._worker and (lines := _read(self._state)):
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            both = dict(sorted((kept | summed(self._tree, lines.values())).items()))
            RESULTS.write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")


def still_passed(lines: Iterable[Mapping[str, Any]], documents: str) -> list[str]:
    """Return the tests that passed, without those that read documents and passed with other ones."""
    return sorted(
        line["test"]
        for line in lines
        if line["outcome"] == PASSED
        and (line.get("documents") == documents or not reads_documents(line["test"].partition("::")[0]))
    )


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the newest line of each test."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {line["test"]: line for line in map(json.loads, text.splitlines())}


def summed(commit: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return results by file: how many soak tests and how many other tests passed, and which tests did not."""
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
    """Return a table of the files that have soak tests or tests that did not pass."""
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
    print(
        table(json.loads(RESULTS.read_text(encoding="utf-8")))
        if RESULTS.exists()
        else "no results yet: run `make soak`"
    )

"""The history of every check, in one SQLite file: a cache that is rebuilt from the reports and may be deleted at any time."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

FILE = ".history.sqlite"
_VERSION = 1
_TABLES = """
CREATE TABLE runs (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT, started_at TEXT);
CREATE TABLE results (run TEXT NOT NULL, name TEXT NOT NULL, passed INTEGER NOT NULL, seconds REAL NOT NULL);
CREATE INDEX by_name ON results (name);
"""


@dataclass(frozen=True)
class History:
    """What the reports say of one check.

    ``last`` is the result in the newest run with it (``passed``, ``failed``), ``seconds`` the median duration. ``releases`` maps a
    digest to the passed and to all results; ``flaky`` counts the releases for which the check has both passed and failed.
    """

    last: str
    last_run: str
    runs: int
    passed: int
    seconds: float
    releases: Mapping[str, tuple[int, int]]

    @property
    def flaky(self) -> int:
        """The number of releases for which the check has both passed and failed."""
        return sum(0 < passed < every for passed, every in self.releases.values())


def name_of(node: str) -> str:
    """Return a check's name in JUnit files, by its id in pytest: ``suites.health.test_up::test_name``."""
    path, bracket, parameters = node.partition("[")
    parts = path.split("::")
    parts[0] = parts[0].replace("/", ".").removesuffix(".py")
    return f"{'.'.join(parts[:-1])}::{parts[-1]}{bracket}{parameters}"


def read(reports: Path) -> Mapping[str, History]:
    """Return the history of each check by its name in JUnit files; the cache is brought up to date first.

    A cache that is damaged, of another version, or not writable costs time and nothing else.
    """
    try:
        with contextlib.closing(_opened(reports / FILE)) as database:
            return _read(database, reports)
    except sqlite3.Error:
        with contextlib.suppress(OSError):
            (reports / FILE).unlink(missing_ok=True)
    with contextlib.closing(_opened(None)) as database:
        return _read(database, reports)


def _opened(file: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:" if file is None else file, timeout=5)
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != _VERSION:
        if version or database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            database.close()
            raise sqlite3.DatabaseError("a cache of another version")
        database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    return database


def _read(database: sqlite3.Connection, reports: Path) -> Mapping[str, History]:
    with database:
        _update(database, reports)
    return {name: _history(database, name) for (name,) in database.execute("SELECT DISTINCT name FROM results")}


def _update(database: sqlite3.Connection, reports: Path) -> None:
    """Read the reports that are new or have changed, and forget those that are gone."""
    known = dict(database.execute("SELECT id, stamp FROM runs"))
    there = {folder.name: _stamp(folder) for folder in reports.glob("*") if folder.is_dir() and not folder.is_symlink()}
    for run in known.keys() | there.keys():
        stamp = there.get(run)
        if stamp == known.get(run):
            continue
        database.execute("DELETE FROM results WHERE run = ?", (run,))
        database.execute("DELETE FROM runs WHERE id = ?", (run,))
        if stamp is None:
            continue
        digest, started, results = _report(reports / run)
        database.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", (run, stamp, digest, started))
        database.executemany("INSERT INTO results VALUES (?, ?, ?, ?)", [(run, *one) for one in results])


def _stamp(folder: Path) -> str:
    """Return what changes with the report's files."""
    with contextlib.suppress(OSError):
        found = [(folder / name).stat() for name in ("verification.json", "junit.xml")]
        return " ".join(f"{one.st_size}:{one.st_mtime_ns}" for one in found)
    return "incomplete"


def _report(folder: Path) -> tuple[str | None, str | None, list[tuple[str, int, float]]]:
    """Return digest, start and results of a report; nothing of one that is incomplete or cannot be read."""
    try:
        document = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
        results = list(_results(folder / "junit.xml"))
        return document.get("digest"), document.get("started_at"), results
    except (OSError, ValueError, AttributeError, ElementTree.ParseError):
        return None, None, []


def _results(file: Path) -> Iterator[tuple[str, int, float]]:
    for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - a report of this project's own runs
        outcomes = {one.tag for one in case}
        if case.get("classname") != "deployment" and "skipped" not in outcomes:
            passed = not outcomes & {"failure", "error"}
            yield f"{case.get('classname')}::{case.get('name')}", int(passed), float(case.get("time", 0))


def _history(database: sqlite3.Connection, name: str) -> History:
    rows = database.execute(
        "SELECT results.passed, results.seconds, runs.digest, runs.id FROM results JOIN runs ON runs.id = results.run "
        "WHERE results.name = ? ORDER BY runs.started_at, runs.id",
        (name,),
    ).fetchall()
    releases: dict[str, tuple[int, int]] = {}
    for passed, _, digest, _ in rows:
        if digest is not None:
            before = releases.get(digest, (0, 0))
            releases[digest] = (before[0] + passed, before[1] + 1)
    durations = sorted(seconds for _, seconds, _, _ in rows)
    last = rows[-1]
    return History(
        "passed" if last[0] else "failed",
        last[3],
        len(rows),
        sum(row[0] for row in rows),
        durations[len(durations) // 2],
        releases,
    )

"""The history of every check, in one SQLite file: a cache that is rebuilt from the reports and may be deleted at any time.

It is never the truth: no verdict and no exit code depends on it. A report that cannot be read is left out and named.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import stat
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

from verification.statistics import Bounds, failure_bounds

FILE = ".history.sqlite"
REPORT, RESULTS = "verification.json", "junit.xml"
LARGEST = 100_000_000
"""The size of the largest file of a report that is read, in bytes."""
CONFIDENCE = 0.95
_VERSION = 3
_TABLES = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, stamp TEXT NOT NULL, digest TEXT, started_at TEXT, problem TEXT,
    numbers BLOB NOT NULL, failed BLOB NOT NULL, seconds BLOB NOT NULL
);
CREATE TABLE checks (name TEXT UNIQUE NOT NULL, number INTEGER PRIMARY KEY);
"""
_NOT_PASSED = frozenset(("failure", "error", "skipped"))
_OUTCOME = "\n"
"""The key under which a test case's attributes hold what it contains; no attribute has this name."""
_NUMBERS: Final = "I"
_SECONDS: Final = "d"
"""The types of the arrays in a run's row: the numbers of its checks, the places of those that failed, and their seconds. A row
for each result would take three times as long to write and to read."""
Seen = tuple[os.stat_result, Mapping[str, Any]]
"""A report's file before the caller read it, and its fields ``digest`` and ``started_at``."""
_Results = tuple[list[str], list[int], list[float]]
"""The names of a run's checks, the places of those that failed, and their seconds."""
_Row = tuple[int, int, float]
"""The place of a run among all runs, whether the check passed, and its seconds."""
_Run = tuple[str | None, str, bytes, bytes, bytes]
"""A run's digest and id, and its three arrays."""


@dataclass(frozen=True)
class History:
    """What the reports say of one check.

    ``last`` is the result in the newest run with it (``passed``, ``failed``), ``seconds`` the median duration. ``releases`` maps a
    digest to the passed and to all results; ``flaky`` counts the releases for which the check has both passed and failed.

    ``chance_failures`` of ``chance_runs`` results failed by chance: the results of those releases whose newest result is a pass,
    so that each failure among them was followed by a pass of the same release.
    """

    last: str
    last_run: str
    runs: int
    passed: int
    seconds: float
    releases: Mapping[str, tuple[int, int]]
    chance_failures: int = 0
    chance_runs: int = 0

    @property
    def flaky(self) -> int:
        """The number of releases for which the check has both passed and failed."""
        return sum(0 < passed < every for passed, every in self.releases.values())

    @property
    def chance(self) -> Bounds:
        """The share of runs in which the check fails by chance, with its Clopper-Pearson bounds at 95 %."""
        return failure_bounds(self.chance_failures, self.chance_runs, CONFIDENCE)

    @property
    def odds(self) -> str:
        """How often the check fails by chance, in words."""
        if not self.chance_runs:
            return "by chance: unknown"
        found = self.chance
        return f"by chance {found.ratio:.1%} ({found.low:.1%} to {found.high:.1%})"

    def chance_data(self) -> dict[str, int | float] | None:
        """Return how often the check fails by chance, as JSON values; None if no result can say."""
        if not self.chance_runs:
            return None
        bounds = {"low": round(self.chance.low, 4), "high": round(self.chance.high, 4)}
        return {"failed": self.chance_failures, "runs": self.chance_runs, **bounds}


@dataclass(frozen=True)
class Histories:
    """The history of each check by its name in JUnit files, and why a report was left out, by the name of its folder."""

    checks: Mapping[str, History] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: str) -> History | None:
        """Return the history of a check by its id in pytest; None if no report has it."""
        return self.checks.get(name_of(node))


def flakiest(known: Histories, most: int) -> list[tuple[str, History]]:
    """Return the checks that failed by chance, by the share of their runs; at most ``most``, the worst first."""
    found = [(name, one) for name, one in known.checks.items() if one.chance_failures]
    return sorted(found, key=lambda one: (-one[1].chance_failures / one[1].chance_runs, one[0]))[:most]


class BrokenReport(ValueError):
    """A report that cannot be used; the text names the file and says why."""


def name_of(node: str) -> str:
    """Return a check's name in JUnit files, by its id in pytest: ``suites.health.test_up::test_name``."""
    path, bracket, parameters = node.partition("[")
    parts = path.split("::")
    parts[0] = parts[0].replace("/", ".").removesuffix(".py")
    return f"{'.'.join(parts[:-1])}::{parts[-1]}{bracket}{parameters}"


def read(
    reports: Path, besides: str | None = None, *, flaky: bool = False, seen: Mapping[str, Seen] | None = None
) -> Histories:
    """Return the histories from a folder of reports; the cache in it is brought up to date first.

    ``besides``: the report of the running process; if the folder has no other one, nothing is written. ``flaky``: only the
    checks that have both passed and failed for a release; of a thousand runs this takes a fifth of the time. ``seen``: reports that the caller has read, by the name of
    their folder; one whose file has changed since is read again.

    A cache that is damaged, in use, of another version, or not writable costs time and nothing else. Raises OSError if the
    folder cannot be listed.
    """
    folders = [
        folder for folder in _listed(reports) if folder.name != besides and not folder.is_symlink() and folder.is_dir()
    ]
    if besides is not None and not folders:
        return Histories()
    try:
        with contextlib.closing(_opened(reports / FILE)) as database:
            return _read(database, folders, flaky, seen or {})
    except sqlite3.DatabaseError as error:
        if not isinstance(error, sqlite3.OperationalError):  # that is a file which another process uses, or a full disk
            with contextlib.suppress(OSError):
                (reports / FILE).unlink(missing_ok=True)
    with contextlib.closing(_opened(None)) as database:
        return _read(database, folders, flaky, seen or {})


def _listed(reports: Path) -> list[Path]:
    return list(reports.iterdir()) if reports.is_dir() else []


def _opened(file: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:" if file is None else file, timeout=1)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            if version or database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("a cache of another version")
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _read(database: sqlite3.Connection, folders: Iterable[Path], flaky: bool, seen: Mapping[str, Seen]) -> Histories:
    with database:
        _update(database, folders, seen)
    runs = database.execute("SELECT digest, id, numbers, failed, seconds FROM runs ORDER BY started_at, id").fetchall()
    rows = _rows(runs, flaky)
    names = database.execute("SELECT name, number FROM checks")
    checks = {name: _history(sorted(rows[number]), runs) for name, number in names if number in rows}
    broken = database.execute("SELECT id, problem FROM runs WHERE problem IS NOT NULL ORDER BY id")
    return Histories(checks, dict(broken.fetchall()))


def _rows(runs: list[_Run], flaky: bool) -> dict[int, list[_Row]]:
    """Return the results by the number of their check, oldest first. ``runs`` are oldest first, too."""
    wanted = _flaky(runs) if flaky else None
    rows: dict[int, list[_Row]] = {}
    for place, (_, _, *packed) in enumerate(runs):
        numbers, failed, seconds = _unpacked(*packed)
        for at, number in enumerate(numbers):
            if wanted is None or number in wanted:
                rows.setdefault(number, []).append((place, int(at not in failed), seconds[at]))
    return rows


def _flaky(runs: list[_Run]) -> set[int]:
    """Return the numbers of the checks that have both passed and failed for a release."""
    broken = {digest for digest, _, _, failed, _ in runs if failed and digest is not None}
    good: dict[str, set[int]] = {}
    bad: dict[str, set[int]] = {}
    for digest, _, *packed in runs:
        if digest is not None and digest in broken:
            numbers, failed, _ = _unpacked(*packed)
            good.setdefault(digest, set()).update(one for at, one in enumerate(numbers) if at not in failed)
            bad.setdefault(digest, set()).update(numbers[at] for at in failed)
    return {number for digest in broken for number in good[digest] & bad[digest]}


def _packed(results: _Results, numbers: Mapping[str, int]) -> tuple[bytes, bytes, bytes]:
    """Return a run's results as the three arrays of its row."""
    names, failed, seconds = results
    return (
        array(_NUMBERS, [numbers[name] for name in names]).tobytes(),
        array(_NUMBERS, failed).tobytes(),
        array(_SECONDS, seconds).tobytes(),
    )


def _unpacked(numbers: bytes, failed: bytes, seconds: bytes) -> tuple[array[int], frozenset[int], array[float]]:
    """Return the three arrays of a run's row. Raises sqlite3.DatabaseError if they do not fit together."""
    try:
        of, places, times = array(_NUMBERS, numbers), array(_NUMBERS, failed), array(_SECONDS, seconds)
    except (TypeError, ValueError):
        raise sqlite3.DatabaseError("a damaged row") from None
    if len(of) != len(times) or any(at >= len(of) for at in places):
        raise sqlite3.DatabaseError("a damaged row")
    return of, frozenset(places), times


def _update(database: sqlite3.Connection, folders: Iterable[Path], seen: Mapping[str, Seen]) -> None:
    """Read the reports that are new or have changed, and forget those that are gone."""
    known = dict(database.execute("SELECT id, stamp FROM runs"))
    numbers = dict(database.execute("SELECT name, number FROM checks"))
    there = {_spelt(folder.name): folder for folder in folders}
    gone = [(run,) for run in known.keys() - there.keys()]
    database.executemany("DELETE FROM runs WHERE id = ?", gone)
    for run, folder in there.items():
        stamp = _stamp(folder)
        if stamp == known.get(run):
            continue
        if run in known:
            database.execute("DELETE FROM runs WHERE id = ?", (run,))
        digest = started = problem = None
        results: _Results = [], [], []
        try:
            if stamp:
                digest, started, results = _report(folder, _head(seen.get(folder.name), stamp))
        except BrokenReport as error:
            problem = str(error)
        new = {name: len(numbers) + more for more, name in enumerate(set(results[0]) - numbers.keys())}
        numbers |= new
        database.executemany("INSERT INTO checks VALUES (?, ?)", new.items())
        database.execute(
            "INSERT INTO runs (id, stamp, digest, started_at, problem, numbers, failed, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (run, stamp, digest, started, problem, *_packed(results, numbers)),
        )


def _spelt(name: str) -> str:
    """Return a folder's name with characters that no text can have replaced."""
    return name.encode(errors="backslashreplace").decode()


# -- one report ------------------------------------------------------------------------------------------------------------


def _stamp(folder: Path) -> str:
    """Return what changes with the report's files; empty if one is missing: of a run that has not ended, or that had no checks."""
    try:
        found = [(folder / name).stat() for name in (REPORT, RESULTS)]
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return " ".join(map(_state, found))


def _state(file: os.stat_result) -> str:
    return f"{file.st_mode}:{file.st_size}:{file.st_mtime_ns}"


def _head(seen: Seen | None, stamp: str) -> Mapping[str, Any] | None:
    """Return the fields of a report that the caller has read, None if its file has changed since."""
    return seen[1] if seen is not None and stamp.split(" ")[0] == _state(seen[0]) else None


def _report(folder: Path, head: Mapping[str, Any] | None = None) -> tuple[str | None, str, _Results]:
    """Return digest, start and results of a report, whose fields ``head`` may be known. Raise BrokenReport."""
    try:
        document = json.loads(_content(folder / REPORT)) if head is None else head
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, BrokenReport) else BrokenReport(f"{REPORT} is not JSON") from None
    if not isinstance(document, Mapping):
        raise BrokenReport(f"{REPORT} is not an object")
    digest, started = (_text(document, key) for key in ("digest", "started_at"))
    if started is None:
        raise BrokenReport(f"{REPORT}: started_at is missing")
    try:
        return digest, started, _results(_content(folder / RESULTS))
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise error if isinstance(error, BrokenReport) else BrokenReport(f"{RESULTS} is not XML") from None


def _content(file: Path) -> bytes:
    """Return a file's content; a pipe or a device is not opened. Raise BrokenReport."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise BrokenReport(f"{file.name} is not a file")
        if found.st_size > LARGEST:
            raise BrokenReport(f"{file.name} has {found.st_size:,} bytes; the limit is {LARGEST:,}")
        return file.read_bytes()
    except OSError as error:
        raise BrokenReport(f"{file.name} cannot be read: {error.strerror}") from None


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isascii():
        raise BrokenReport(f"{REPORT}: {key} is not a text")
    return value


def _results(content: bytes) -> _Results:
    """Return the results of a JUnit file without the run's steps. Raises BrokenReport, expat.ExpatError, LookupError, ValueError.

    The names, outcomes and times of all cases are made one column after the other: a thousand runs have 250,000 of them.
    """
    cases: list[dict[str, str]] = []

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag == "testcase":
            cases.append(attributes)
        elif tag in _NOT_PASSED and cases and cases[-1].get(_OUTCOME) != "skipped":
            cases[-1][_OUTCOME] = tag

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.Parse(content, True)
    ran = [case for case in cases if case.get("classname") != "deployment" and case.get(_OUTCOME) != "skipped"]
    names = [f"{case.get('classname')}::{case.get('name')}" for case in ran]
    return names, [at for at, case in enumerate(ran) if _OUTCOME in case], _seconds(ran, names)


def _seconds(cases: list[dict[str, str]], names: list[str]) -> list[float]:
    try:
        seconds = [float(case.get("time", 0)) for case in cases]
    except ValueError:
        seconds = [math.nan]
    if not seconds or (min(seconds) >= 0 and math.isfinite(sum(seconds))):
        return seconds
    wrong = next(name for name, case in zip(names, cases, strict=True) if not _is_time(case.get("time", "0")))
    raise BrokenReport(f"{RESULTS}: the time of {wrong[:100]} is not a number of seconds")


def _is_time(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False


def _history(rows: list[_Row], runs: list[_Run]) -> History:
    """Return the history of a check from its results, oldest first; each names its place in ``runs``."""
    results: dict[str, list[int]] = {}
    for place, passed, _ in rows:
        digest = runs[place][0]
        if digest is not None:
            results.setdefault(digest, []).append(passed)
    good = [found for found in results.values() if found[-1]]
    durations = sorted(seconds for _, _, seconds in rows)
    return History(
        "passed" if rows[-1][1] else "failed",
        runs[rows[-1][0]][1],
        len(rows),
        sum(row[1] for row in rows),
        durations[len(durations) // 2],
        {digest: (sum(found), len(found)) for digest, found in results.items()},
        sum(len(found) - sum(found) for found in good),
        sum(len(found) for found in good),
    )

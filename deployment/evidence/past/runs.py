"""The runs of a folder of reports, each read from its ``verification.json`` alone."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from deployment.errors import first_line
from deployment.evidence.report import REPORT_FILE
from deployment.evidence.sentence import INTERRUPTED, unfinished

LARGEST = 100_000_000
"""The size of the largest report that is read, in bytes."""
KINDS = ("rollback", "verify")
NO_REPORT = ("retire", "unlock")
"""The kinds of runs that write only a journal."""
UNDOES = re.compile(r"\brollback of (\d{8}-\d{6}-\S+)")
"""The promotion that the command ``rollback`` undoes, in the reason of its report."""
MOVED = ("promoted", "rolled_back", "rollback_failed")
"""The verdicts of deployments that sent users to the new release."""


Seen = tuple[os.stat_result, Mapping[str, Any]]
"""A report's file before it was read, and its fields ``HEAD``."""
HEAD = ("digest", "started_at")
NOT_A_REPORT = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
"""The errors of ``parse``."""


@dataclass(frozen=True)
class Run:
    """One run. ``kind`` is ``deploy``, ``verify`` or ``rollback``; times are in UTC, durations in seconds."""

    id: str
    kind: str
    environment: str
    verdict: str
    reason: str | None
    release: str | None
    digest: str | None
    actor: str | None
    started_at: datetime
    finished_at: datetime | None
    moved_at: datetime | None
    """The end of the promotion."""
    restored_at: datetime | None
    """The end of a rollback that succeeded."""
    committed_at: datetime | None
    gates: Mapping[str, float]
    undoes: str | None = None
    reason_given: str | None = None
    """The operator's reason, of `rollback --reason` and `recover --reason`."""
    interrupted: bool = False
    """Whether a signal or the death of its process ended the run, and not a fault of its release."""

    @property
    def seconds(self) -> float | None:
        """How long the run took; None if its end is unknown."""
        return None if self.finished_at is None else max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def promotes(self) -> bool:
        """Whether the run is a deployment that sent users to its release."""
        return self.kind == "deploy" and self.verdict in MOVED


@dataclass(frozen=True)
class Past:
    """All runs, oldest first, and the folders that were left out, each with the reason.

    ``seen`` has every report that was read, by the name of its folder: no other reader has to read it again.
    """

    runs: Sequence[Run]
    left_out: Sequence[tuple[str, str]]
    seen: Mapping[str, Seen] = field(default_factory=dict)


def read(reports: Path, environment: str | None = None, since: datetime | None = None) -> Past:
    """Return the runs of a folder of reports: of one environment, and those that started at ``since`` or later.

    A rollback also belongs to the environment of the promotion that it undoes: two environments can be the same cloud. A folder without a readable report is left out, and named.
    """
    runs, left_out = [], []
    seen: dict[str, Seen] = {}
    for folder in sorted(reports.iterdir() if reports.is_dir() else ()):
        if folder.is_symlink() or folder.name.startswith(".") or not folder.is_dir() or _word(folder.name) in NO_REPORT:
            continue
        try:
            found, content = _content(folder / REPORT_FILE)
            report = _loads(content)
            runs.append(_run(folder.name, report))
            seen[folder.name] = found, {name: report.get(name) for name in HEAD}
        except FileNotFoundError:
            left_out.append(
                (folder.name, f"it has no {REPORT_FILE}: the run is not finished, or was killed (run `recover`)")
            )
        except OSError as error:
            left_out.append((folder.name, f"{REPORT_FILE}: {error.strerror}"))
        except NOT_A_REPORT as error:
            left_out.append((folder.name, f"{REPORT_FILE} is not a report: {first_line(error)}"))
    homes = environments(runs)
    chosen = [
        run
        for run in runs
        if (environment is None or environment in (run.environment, homes[run.id]))
        and (since is None or run.started_at >= since)
    ]
    return Past(sorted(chosen, key=lambda run: (run.started_at, run.id)), left_out, seen)


def environments(runs: Collection[Run]) -> dict[str, str]:
    """Return the environment of each run by its id; of a rollback, that of the promotion that it undoes, if it is one of ``runs``."""
    own = {run.id: run.environment for run in runs}
    return {run.id: own.get(run.undoes or "", run.environment) for run in runs}


def _content(path: Path) -> tuple[os.stat_result, bytes]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
        raise ValueError("it is not a file of usual size")
    return found, path.read_bytes()


def parse(name: str, content: bytes) -> Run:
    """Return the run of a report's file. Raises one of ``NOT_A_REPORT`` if it is not the report of the run ``name``."""
    return _run(name, _loads(content))


def _loads(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:  # it is strict: Python's own writer and reader know lone surrogates and NaN
        return json.loads(content)


def _run(name: str, report: Any) -> Run:
    if report["deployment_id"] != name:
        raise ValueError("it is the report of another run")
    if not isinstance(report["verdict"], str):
        raise ValueError("it has no verdict")
    steps = {step["name"]: step for step in report["steps"]}
    word, verdict = _word(name), report["verdict"]
    verified = verdict in ("verified", "failed")
    rollback = report.get("rollback") or {}
    undoes = UNDOES.search(str(rollback.get("reason") or report.get("reason"))) if word == "rollback" else None
    return Run(
        name,
        word if word in KINDS else "verify" if verified else "deploy",
        _text(report["environment"]) or "",
        verdict,
        _text(report["reason"]),
        _text(report["image"]) or _text(report.get("version")),
        _text(report["digest"]),
        _text(report["actor"]),
        _required(report["started_at"]),
        _time(report["finished_at"]),
        _end_of(steps.get("promote")),
        _end_of(steps.get("rollback")) if verdict == "rolled_back" else None,
        _time(report.get("committed_at")),
        {_name(gate): _seconds(gate["duration_s"]) for gate in report["gates"] if gate["outcome"] == "passed"},
        None if undoes is None else undoes[1],
        _text(report.get("reason_given")),
        unfinished({"exit_code": None} | report) == INTERRUPTED,
    )


def _word(name: str) -> str:
    """Return the third part of a run's id: its colour, or the name of its command."""
    parts = name.split("-")
    return parts[2] if len(parts) > 2 else ""


def _name(gate: Any) -> str:
    if not isinstance(gate["name"], str):
        raise ValueError("the name of a gate is not a text")
    return str(gate["name"])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _time(value: Any) -> datetime | None:
    return None if value is None else _required(value)


def _required(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("a duration is not a number")
    return seconds


def _end_of(step: Any) -> datetime | None:
    if step is None or step["outcome"] != "passed":
        return None
    return _required(step["started_at"]) + timedelta(seconds=_seconds(step["duration_s"]))

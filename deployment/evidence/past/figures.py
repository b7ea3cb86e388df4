"""Figures about deployments: DORA's five for each environment, and the gates that take the longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from deployment.evidence.past.marks import FALSE_ALARM, REWORK, Mark
from deployment.evidence.past.runs import Run, environments

DAY_S, WEEK_S = 86_400.0, 604_800.0
GATES_SHOWN = 10
Marks = Mapping[str, Mapping[str, Mark]]

COUNTED = {
    "deployment frequency": "The deployments that sent users to their release, divided by the weeks from the first to the last run. "
    "Runs of less than a day in all have no frequency.",
    "change failure rate": "The deployments that sent users to their release and were rolled back, by the run itself or by the command "
    "`rollback`, also if that failed, divided by all that sent users to their release. A release that was rejected before is no failure, nor is one "
    "whose run was interrupted and went back, or that a person marked as a false alarm.",
    "time to restore": "The median time from the end of the promotion to the end of the rollback; after a rollback that failed, to the next "
    "promotion or rollback that succeeded.",
    "lead time": "The median time from the commit to the end of the promotion, of the deployments whose image carries the "
    "commit's time and that sent users to their release; the number of these stands beside the number of all.",
    "rework rate": "The deployments that a person marked as rework, divided by all that sent users to their release.",
}
"""How each figure was counted."""


@dataclass(frozen=True)
class Figures:
    """The figures of one environment; None if a figure is unknown. Times are in seconds.

    ``restored`` and ``leads`` are how many deployments the medians are of.
    """

    environment: str
    runs: int
    promotions: int
    per_week: float | None
    failed: int
    failure_rate: float | None
    restore_s: float | None
    restored: int
    lead_s: float | None
    leads: int
    rework: int
    rework_rate: float | None
    false_alarms: int


@dataclass(frozen=True)
class GateTime:
    """How long a gate that passed took in one environment, in seconds."""

    environment: str
    gate: str
    runs: int
    median_s: float
    longest_s: float


def figures(runs: Sequence[Run], marks: Marks) -> list[Figures]:
    """Return the figures of each environment, by name. ``runs`` are oldest first.

    A rollback counts for the environment of the promotion that it undoes.
    """
    homes = environments(runs)
    return [_of(name, [run for run in runs if homes[run.id] == name], marks) for name in sorted(set(homes.values()))]


def failures(runs: Sequence[Run], marks: Marks) -> dict[str, datetime | None]:
    """Return the deployments of one environment that failed for users: when users were well again, None if that is unknown.

    ``runs`` are oldest first.
    """
    found: dict[str, datetime | None] = {}
    promoted: list[Run] = []
    broken: list[str] = []
    for run in runs:
        ended = run.restored_at if run.verdict == "rolled_back" else run.moved_at if run.verdict == "promoted" else None
        if ended is not None:
            found.update(dict.fromkeys(broken, ended))
            broken.clear()
        if run.promotes and run.interrupted and run.verdict == "rolled_back":
            continue  # a signal or the death of its process ended it: that says nothing about its release
        if run.promotes and run.verdict != "promoted":
            found[run.id] = run.restored_at
            if run.verdict == "rollback_failed":
                broken.append(run.id)
        elif run.promotes:
            promoted.append(run)
        elif run.kind == "rollback" and run.verdict in ("rolled_back", "rollback_failed"):
            undone = next((one for one in reversed(promoted) if run.undoes in (None, one.id)), None)
            if undone is not None:
                found[undone.id] = run.restored_at
                promoted.remove(undone)
                if run.verdict == "rollback_failed":
                    broken.append(undone.id)
    return {run_id: ended for run_id, ended in found.items() if FALSE_ALARM not in marks.get(run_id, {})}


def _of(environment: str, runs: Sequence[Run], marks: Marks) -> Figures:
    moved = {run.id: run for run in runs if run.promotes}
    failed = failures(runs, marks)
    restores = [
        max(0.0, (ended - began).total_seconds())
        for run_id, ended in failed.items()
        if ended is not None and (began := moved[run_id].moved_at) is not None
    ]
    leads = [
        (run.moved_at - run.committed_at).total_seconds()
        for run in moved.values()
        if run.committed_at is not None and run.moved_at is not None and run.committed_at <= run.moved_at
    ]
    rework = sum(REWORK in marks.get(run_id, {}) for run_id in moved)
    period = (runs[-1].started_at - runs[0].started_at).total_seconds()
    return Figures(
        environment,
        len(runs),
        len(moved),
        len(moved) / (period / WEEK_S) if period >= DAY_S else None,
        len(failed),
        len(failed) / len(moved) if moved else None,
        median(restores) if restores else None,
        len(restores),
        median(leads) if leads else None,
        len(leads),
        rework,
        rework / len(moved) if moved and rework else None,
        sum(FALSE_ALARM in marks.get(run.id, {}) for run in runs),
    )


def slowest(runs: Sequence[Run]) -> list[GateTime]:
    """Return the gates that took the longest, by their median, longest first."""
    times: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for gate, seconds in run.gates.items():
            times.setdefault((run.environment, gate), []).append(seconds)
    found = [GateTime(*key, len(values), median(values), max(values)) for key, values in times.items()]
    return sorted(found, key=lambda one: (-one.median_s, one.environment, one.gate))[:GATES_SHOWN]

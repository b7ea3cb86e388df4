"""The journal as sentences, one for each line that a reader wants to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployment.model import Reason, Removal


def timeline(journal: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the time (UTC) and the sentence of each line of a journal that has one."""
    return [
        {"time": str(record["time"])[11:23], "text": sentence(record["data"])}
        for record in journal
        if (sentence := _SENTENCES.get(record["kind"])) is not None
    ]


def _verdict(data: Mapping[str, Any]) -> str:
    words = str(data["verdict"]).replace("_", " ")
    return f"{words} (interrupted)" if Reason.parse(str(data.get("reason"))).cut_short else words


def _because(data: Mapping[str, Any]) -> str:
    return f"; reason: {data['reason']}" if data.get("reason") else ""


def _leftovers(data: Mapping[str, Any]) -> str:
    return str(Removal(data["removed"], data["gone"], tuple(data["left"])))


def _read_back(data: Mapping[str, Any]) -> str:
    good = sum(one["outcome"] == "readable" for one in data["reads"])
    return f"after the rollback {good} of {len(data['reads'])} requests read the data written after the promotion"


def _compared(data: Mapping[str, Any]) -> str:
    """Return with which promotion the checks were compared."""
    if data["checks"] is None:
        return "no earlier promotion is recorded, so the checks were compared with nothing"
    return (
        f"the checks were compared with the {data['checks']} that promotion {data['promotion'] or 'before'} had to pass"
    )


def _gap(data: Mapping[str, Any]) -> str:
    """Return whether the lines of a gap were written later."""
    return "these lines were written later" if data["restored"] else f"{data['lines']} lines are lost"


def _unchecked(data: Mapping[str, Any]) -> str:
    return f"; not checked: {data['unchecked']}" if data.get("unchecked") else ""


def _broken(data: Mapping[str, Any]) -> str:
    return "; ".join(f"{lock['deployment_id']} by {lock['by']}: {lock['reason']}" for lock in data["locks"])


def _share(data: Mapping[str, Any]) -> str:
    """Return the share of the traffic in brackets; empty for 100 %."""
    weight = data.get("weight", 100)
    return "" if weight == 100 else f" ({weight} %)"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "opened": lambda d: f"run opened by {d.get('by')} on {d.get('host')}, pid {d.get('pid')}",
    "planned": lambda d: f"{d.get('image')} ({d.get('digest')}) for {d.get('target')}" + _because(d),
    "intent": lambda d: f"{d['step']}: about to {d.get('what')}",
    "outcome": lambda d: f"{d['step']}: {d['outcome']}" + (f" — {d['detail']}" if d.get("detail") else ""),
    "phase": lambda d: f"phase {d['before']} → {d['after']}",
    "writing": lambda d: f"routes: {d['colour']}{_share(d)}, generation {d['generation']}",
    "fault": lambda d: f"fault: {d['what']}",
    "decided": lambda d: f"decided: {d['reason']}",
    "admitted": lambda d: f"{d['by']} may {' and '.join(d['duties'])}" + _unchecked(d),
    "broken_locks": lambda d: f"locks broken by hand since the last deployment: {_broken(d)}",
    "approval_awaited": lambda d: f"waiting for another principal's approval until {d['until']}",
    "approved": lambda d: f"approved by {d['by']}: {d.get('reason') or 'no reason given'}",
    "approval_refused": lambda d: f"approval by {d['by']} refused: {d['reason']}",
    "recovering": lambda d: (
        f"{d['by']} recovers the deployment, whose run died"
        + (f" in phase {d['phase']}" if d.get("phase") else "")
        + (f": {d['reason']}" if d.get("reason") else "")
    ),
    "frozen": lambda d: f"frozen: the migration of {d['image']} is irreversible",
    "unrecorded": lambda d: (
        f"{d['image']} stays live on {d['colour']}, but the promotion is not recorded: {d['error']}"
    ),
    "irreversible": lambda d: f"{d.get('by')} allowed an irreversible migration: {d.get('reason')}",
    "kept": lambda d: f"{d['by']} kept {d['live']} live: {d['reason']}",
    "switched": lambda d: f"traffic was sent to {d['colour']}{_share(d)}, generation {d['generation']}",
    "shifted": lambda d: f"{d['weight']} % held for {d['seconds']} s: {d['requests']} requests, {d['failed']} failed",
    "alarms": lambda d: f"alarms of {d['colour']}: {', '.join(f'{k} {v}' for k, v in d['states'].items())}",
    "alarms_unread": lambda d: f"the alarms could not be read: {d['error']}",
    "waived": lambda d: f"{d.get('gate') or d.get('check')} was waived: {d['reason']}",
    "exempt": lambda d: f"{len(d['checks'])} checks do not count for their gates",
    "compared": lambda d: _compared(d),
    "warning": lambda d: f"warning of {d['gate']}: {d['text']}",
    "gone": lambda d: f"{len(d['checks'])} checks of the last promotion are gone",
    "notifying": lambda d: f"about to notify the team: {d['event']}",
    "notified": lambda d: f"the team was notified: {d['event']}",
    "not_notified": lambda d: f"the team was not notified ({d['event']}): {d['error']}",
    "unsigned": lambda d: f"the report is not signed: {d['reason']}",
    "retire_failed": lambda d: f"{d['colour']} was not stopped: {d['error']}",
    "undersized": lambda d: f"{d['colour']} may be too small for all traffic: {d['missing']}",
    "note_failed": lambda d: f"the lock's note was not written: {d['error']}",
    "check_failed": lambda d: f"not checked: {d['error']}",
    "logs_failed": lambda d: f"the logs of {d['colour']} were not read: {d['error']}",
    "not_stored": lambda d: f"the journal was not copied to the audit store: {d['error']}",
    "sick": lambda d: f"the live colour {d['colour']} was unhealthy, which {d['by']} allowed: {d['reason']}",
    "gap": lambda d: f"the journal could not be written when it was due ({d['error']}): {_gap(d)}",
    "leftovers": lambda d: _leftovers(d),
    "read_back": lambda d: _read_back(d),
    "closed": lambda d: f"closed: {_verdict(d)}" + _because(d),
    "settled": lambda d: f"recovered the interrupted run {d['deployment_id']}: {d['verdict']}",
}
"""The sentence of a journal's line by its kind, made of the line's data."""

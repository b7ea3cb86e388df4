"""The page of a report: verdict, who, what, when, gates, values and timeline, from the journal.

A run of checks puts it on top of pytest-html's page; for ``rollback`` and ``recover`` it is the whole page.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from deployment.evidence import report
from deployment.evidence.journal import Record, last_data
from deployment.evidence.sentence import advisories, next_step, sentence

TEMPLATES = Path(__file__).with_name("templates")


def summary(
    records: Sequence[Record],
    reasons: Mapping[str, str | None] | None = None,
    measured: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the summary as escaped HTML, from a complete journal.

    ``reasons``: why each gate did not pass (default: the reasons in the journal, noted before the switch).
    ``measured``: a row for each value, with gate, check, value and passed.
    """
    facts, reasons = report.build(records), _reasons(records) if reasons is None else reasons
    planned, opened = last_data(records, "planned"), last_data(records, "opened")
    undoes = planned.get("undoes")
    gates = [{**gate, "reason": reasons.get(gate["name"])} for gate in facts["gates"]]
    return _template().render(
        report=facts,
        sentence=undo_sentence(facts, undoes) if undoes else sentence(facts),
        good=facts["exit_code"] == 0,
        gates=[] if undoes else gates,
        advisories=[] if undoes else advisories(gates),
        remedies=[one for one in (last_data(records, "closed").get("remedy"), next_step(facts)) if one],
        asked=asked_for(opened),
        steps=facts["steps"],
        timeline=_timeline(records),
        measured=measured,
        coverage=_coverage(last_data(records, "coverage")),
        warnings=[record.data for record in records if record.kind == "warning"],
        gone=last_data(records, "gone").get("checks", ()),
        logs=[record.data for record in records if record.kind == "logs"],
        requested_by=planned.get("requested_by"),
        undoes=undoes,
        host=opened.get("host"),
        framework=opened.get("framework"),
        recovered_by=next((r.actor for r in reversed(records) if r.kind == "recovering"), None),
    )


def asked_for(opened: Mapping[str, Any]) -> str | None:
    """Return the release that the caller of a deployment asked for, for runs that ended before they chose one."""
    if opened.get("mode") != "deploy" or "image_tag" not in opened:
        return None
    tag = opened["image_tag"]
    return "the highest version was asked for" if tag is None else f"tag {tag} was asked for"


@functools.cache
def _template() -> jinja2.Template:
    """Return the compiled template; a run writes its page twice."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("summary.html")


BEGIN, END = "<!-- the deployment's summary -->", "<!-- the end of the deployment's summary -->"


def mark(text: str) -> str:
    """Return the summary with the markers by which ``replace_summary`` finds it in a page."""
    return f"{BEGIN}{text}{END}"


def replace_summary(page: str, text: str) -> str:
    """Return the page with another summary. Raises ValueError if the page has no summary."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no summary")
    return before + mark(text) + after


def undo_sentence(facts: Mapping[str, Any], undoes: str) -> str:
    """Return the verdict of ``rollback`` in one sentence."""
    release = f"{facts['image'] or 'the previous release'} on {facts['target']}"
    return {
        "rolled_back": f"ROLLED BACK: the promotion {undoes} was undone; {release} is live again and verified.",
        "rejected": f"NOT ROLLED BACK: the promotion {undoes} stands; traffic was not moved back to {release}.",
    }.get(str(facts["verdict"]), sentence(facts))


def standalone(records: Sequence[Record]) -> str:
    """Return a complete page that needs no other file."""
    title = html.escape(f"Deployment report {last_data(records, 'opened').get('deployment_id')}")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body style="margin: 1rem 2rem">\n<h1 style="font: 600 24px system-ui, sans-serif">{title}</h1>\n'
        f"{summary(records)}\n</body>\n</html>\n"
    )


def _reasons(records: Sequence[Record]) -> dict[str, str | None]:
    """Return the reasons that the run noted before the switch; empty if it did not come that far."""
    return {gate["name"]: gate.get("reason") for gate in last_data(records, "verified").get("gates", ())}


def _coverage(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each answer that the contract documents, with the names of the checks that met it."""
    met = data.get("met", {})
    return [
        {"answer": answer, "checks": [check.removeprefix("suites/") for check in met.get(answer, ())]}
        for answer in data.get("documented", ())
    ]


def _timeline(records: Sequence[Record]) -> list[dict[str, str]]:
    """Return the journal as readable lines."""
    rows = []
    for record in records:
        data = record.data
        text = {
            "opened": lambda d=data: f"run opened by {d.get('by')} on {d.get('host')}, pid {d.get('pid')}",
            "planned": lambda d=data: f"{d.get('image')} ({d.get('digest')}) for {d.get('target')}",
            "intent": lambda d=data: f"{d['step']}: about to {d.get('what')}",
            "outcome": lambda d=data: f"{d['step']}: {d['outcome']} — {d.get('detail')}",
            "phase": lambda d=data: f"phase {d['before']} → {d['after']}",
            "writing": lambda d=data: f"routes: {d['colour']}{_share(d)}, generation {d['generation']}",
            "fault": lambda d=data: f"fault: {d['what']}",
            "decided": lambda d=data: f"decided: {d['reason']}",
            "admitted": lambda d=data: f"{d['by']} may {' and '.join(d['duties'])}" + _unchecked(d),
            "broken_locks": lambda d=data: f"locks broken by hand since the last deployment: {_broken(d)}",
            "approval_awaited": lambda d=data: f"waiting for another principal's approval until {d['until']}",
            "approved": lambda d=data: f"approved by {d['by']}: {d.get('reason') or 'no reason given'}",
            "approval_refused": lambda d=data: f"approval by {d['by']} refused: {d['reason']}",
            "recovering": lambda d=data: f"{d['by']} recovers the deployment, whose run died in phase {d['phase']}",
            "switched": lambda d=data: f"traffic was sent to {d['colour']}{_share(d)}, generation {d['generation']}",
            "shifted": lambda d=data: (
                f"{d['weight']} % held for {d['seconds']} s: {d['requests']} requests, {d['failed']} failed"
            ),
            "alarms": lambda d=data: (
                f"alarms of {d['colour']}: {', '.join(f'{k} {v}' for k, v in d['states'].items())}"
            ),
            "alarms_unread": lambda d=data: f"the alarms could not be read: {d['error']}",
            "waived": lambda d=data: f"{d['gate']} was waived: {d['reason']}",
            "warning": lambda d=data: f"warning of {d['gate']}: {d['text']}",
            "gone": lambda d=data: f"{len(d['checks'])} checks of the last promotion are gone",
            "notifying": lambda d=data: f"about to notify the team: {d['event']}",
            "notified": lambda d=data: f"the team was notified: {d['event']}",
            "not_notified": lambda d=data: f"the team was not notified ({d['event']}): {d['error']}",
            "unsigned": lambda d=data: f"the report is not signed: {d['reason']}",
            "retire_failed": lambda d=data: f"{d['colour']} was not stopped: {d['error']}",
            "note_failed": lambda d=data: f"the lock's note was not written: {d['error']}",
            "check_failed": lambda d=data: f"the lock could not be checked: {d['error']}",
            "gap": lambda d=data: f"the journal could not be written when it was due ({d['error']}): {_gap(d)}",
            "settled": lambda d=data: f"recovered the interrupted run {d['deployment_id']}: {d['verdict']}",
        }.get(record.kind)
        if text is not None:
            rows.append({"time": record.time[11:23], "text": text()})
    return rows


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

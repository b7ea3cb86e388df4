"""``data.json``: everything that a report's page shows. The page is rendered from it alone, also years later.

It is derived from the journal and from the run's details. ``audit render`` reads it again, so a change of its shape needs
a new ``SCHEMA`` and a reader for the old one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deployment.evidence import report
from deployment.evidence.data import details as detail_lines
from deployment.evidence.journal import Record, last_data
from deployment.evidence.sentence import (
    advisories,
    live_after,
    live_before,
    live_words,
    next_step,
    sentence,
    undo_sentence,
)
from deployment.files import replace_file

DATA_FILE = "data.json"
SCHEMA = 1
NO_RESULT = ("not_run", "not_asked")
"""The outcomes of checks that reported nothing."""


def build(records: Sequence[Record], details: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the data of a closed journal and of the run's details.

    ``report`` is ``verification.json``. ``checks`` are in the order of their results, and those that never reported
    come last, with the outcome ``not_run``. ``series`` are by name; a later line of a name replaces the earlier one.
    """
    facts = report.build(records)
    planned, opened, closed = (last_data(records, kind) for kind in ("planned", "opened", "closed"))
    undoes = planned.get("undoes")
    lines, before = list(details), live_before(records)
    live = live_after(facts, before, undoes, records)
    reasons = _reasons(records) | next(
        (detail_lines.reasons_of(one) for one in lines if one["kind"] == detail_lines.REASONS), {}
    )
    gates = [] if undoes else [{**gate, "reason": reasons.get(gate["name"])} for gate in facts["gates"]]
    return {
        "schema_version": SCHEMA,
        "report": facts,
        "sentence": undo_sentence(facts, undoes) if undoes else sentence(facts, live, records),
        "before": _with_problem(before),
        "live": live,
        "gates": gates,
        "advisories": advisories(gates),
        "remedies": [one for one in (closed.get("remedy"), next_step(facts, records)) if one],
        "asked": _asked_for(opened),
        "undoes": undoes,
        "reason_given": facts.get("reason_given") or planned.get("reason"),
        "requested_by": planned.get("requested_by"),
        "recovered_by": next(
            (one.data.get("by", one.actor) for one in reversed(records) if one.kind == "recovering"), None
        ),
        "host": opened.get("host"),
        "command": opened.get("argv"),
        "versions": {
            **({"framework": opened["framework"]} if "framework" in opened else {}),
            **opened.get("versions", {}),
        },
        "checks": _checks(records, lines),
        "series": {one["name"]: one["data"] for one in lines if one["kind"] == detail_lines.SERIES},
        "coverage": last_data(records, "coverage"),
        "not_asked": last_data(records, "not_asked").get("checks", []),
        "journal": [asdict(record) for record in records],
    }


def to_json(data: Mapping[str, Any]) -> str:
    """Return the file's text: one line for each part, so that a large file can be read and compared."""
    parts = ",\n".join(f"{json.dumps(key)}:{_part(value)}" for key, value in data.items())
    return f"{{\n{parts}\n}}\n"


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the file. Raises OSError."""
    replace_file(folder / DATA_FILE, to_json(data))


def details_of(folder: Path) -> list[Mapping[str, Any]]:
    """Return the details of a run: of its file, or, if the run was closed before, of the data that it wrote then."""
    path = folder / detail_lines.DETAILS_FILE
    if path.exists():
        return list(detail_lines.read(path))
    try:
        known = read(folder)
    except (OSError, ValueError):
        return []
    checks = [{"kind": detail_lines.CHECK, **one} for one in known["checks"] if one["outcome"] not in NO_RESULT]
    series = [{"kind": detail_lines.SERIES, "name": name, "data": one} for name, one in known["series"].items()]
    reasons = {gate["name"]: gate["reason"] for gate in known["gates"]}
    return [*checks, *series, {"kind": detail_lines.REASONS, **detail_lines.reasons_line(reasons)}]


def read(folder: Path) -> dict[str, Any]:
    """Return the data of a report's folder. Raises OSError without the file, ValueError if it is not such data."""
    return parse((folder / DATA_FILE).read_bytes())


def parse(content: bytes) -> dict[str, Any]:
    """Return the data of the file's content. Raises ValueError if it is not such data."""
    try:
        data = json.loads(content.decode())
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{DATA_FILE} is not JSON") from None
    if not isinstance(data, dict) or not isinstance(data.get("report"), dict):
        raise ValueError(f"{DATA_FILE} is not the data of a report")
    if data.get("schema_version") != SCHEMA:
        raise ValueError(f"{DATA_FILE} has schema version {data.get('schema_version')}; this version reads {SCHEMA}")
    return data


def _part(value: Any) -> str:
    """Return a value as JSON; a list has one line for each entry."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in value) + "\n]"
    return json.dumps(value, separators=(",", ":"))


def _reasons(records: Sequence[Record]) -> dict[str, str | None]:
    """Return the reasons that the run noted before the switch; empty if it did not come that far."""
    return {gate["name"]: gate.get("reason") for gate in last_data(records, "verified").get("gates", ())}


def _checks(records: Sequence[Record], lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each check; the rows of one check (its setup, call and teardown) are already one line."""
    found = {
        one["id"]: {key: value for key, value in one.items() if key != "kind"}
        for one in lines
        if one["kind"] == "check"
    }
    left_out = {one["check"]: one for one in last_data(records, "not_asked").get("checks", ())}
    for name in last_data(records, "checks").get("names", ()):
        if name in left_out:
            one = left_out[name]
            found[name] = {"id": name, "gate": one["gate"], "outcome": "not_asked", "message": one["reason"]}
        elif name not in found:
            found[name] = {"id": name, "gate": gate_of(name), "outcome": "not_run"}
    return list(found.values())


def gate_of(check: str) -> str:
    """Return the gate that a check's id names: of its folder, or, for a check of the description, of its second part."""
    parts = check.split("::")
    folders = parts[0].split("/")
    return parts[1] if len(folders) < 3 and len(parts) > 2 else folders[1] if len(folders) > 2 else ""


def _asked_for(opened: Mapping[str, Any]) -> str | None:
    """Return the release that the caller of a deployment asked for, for runs that ended before they chose one."""
    if opened.get("mode") != "deploy" or "image_tag" not in opened:
        return None
    tag = opened["image_tag"]
    return "the highest version was asked for" if tag is None else f"tag {tag} was asked for"


def _with_problem(before: Mapping[str, Any]) -> str | None:
    """Return what was live before the run, with its problem if it was unhealthy."""
    problem = f", unhealthy: {before['problem']}" if before.get("problem") else ""
    words = live_words(before)
    return words and words + problem

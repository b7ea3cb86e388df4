"""``verification.json``: derived from the journal alone, so that a run and a ``recover`` of it say the same.

The line ``opened`` gives the schema's version, so a journal of an older version yields the same bytes as it did then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployment.evidence import checklist
from deployment.evidence.journal import Record, last_data, last_gates, made_of_lines
from deployment.evidence.opening import FIRST_SCHEMA, schema_of
from deployment.evidence.verdict import GateOutcome, GateResult, in_report_order, names_of
from deployment.files import replace_file
from deployment.phases import Phase

REPORT_FILE = "verification.json"

LATER_FIELDS = ("preflight", "checklist")
"""Fields that some reports of the first schema do not have; each has the name of the journal line that it follows from."""

LATER_GATE_FIELDS = ("ran",)
"""Fields of a gate that reports of the first schema do not have."""

VERDICTS = {
    Phase.SUCCEEDED: "promoted",
    Phase.REJECTED: "rejected",
    Phase.ROLLED_BACK: "rolled_back",
    Phase.HALTED: "rollback_failed",
    Phase.REFUSED: "refused",
}

GOOD = (VERDICTS[Phase.SUCCEEDED], "verified")
"""The verdicts of a run that succeeded."""


@made_of_lines("a report")
def build(records: Sequence[Record]) -> dict[str, Any]:
    """Return the public report (contract: docs/read-a-report.md) of a journal that was opened and closed.

    Raises JournalBroken if its lines do not have the fields of which a report is made.
    """
    opened = last_data(records, "opened")
    planned = last_data(records, "planned")
    traffic = last_data(records, "traffic")
    closed = last_data(records, "closed")
    schema = schema_of(records)
    return {
        "schema_version": schema,
        **({} if schema == FIRST_SCHEMA else {"framework_version": opened.get("framework")}),
        "deployment_id": opened.get("deployment_id"),
        "environment": opened.get("environment"),
        "target": planned.get("target") or opened.get("target"),
        "image": planned.get("image"),
        "digest": planned.get("digest"),
        "version": planned.get("version"),
        "actor": planned.get("by") or opened.get("by"),
        "started_at": opened.get("started_at"),
        "finished_at": closed.get("finished_at"),
        "exit_code": closed.get("exit_code"),
        "recovered": bool(closed.get("recovered", False)),
        "partial": bool(closed.get("partial", False)),
        "verdict": closed.get("verdict"),
        "reason": closed.get("reason"),
        "live_harmed": bool(closed.get("live_harmed", False)),
        "gates": [dict(gate) for gate in last_data(records, "gates").get("gates") or _noted(records)]
        or _blank(schema, ()),
        # A refused run touched nothing, so it reports no step, even if it had begun one.
        "steps": [] if closed.get("verdict") == VERDICTS[Phase.REFUSED] else _steps(records),
        "promotion": traffic.get("promotion"),
        "rollback": traffic.get("rollback"),
        "preflight": last_data(records, "preflight").get("items", []),
        "checklist": checklist.evaluate(records),
        **({"committed_at": planned["committed_at"]} if planned.get("committed_at") else {}),
        **_reason_given(records),
        **_of_an_address(records),
        **_of_journeys(records),
        **_exempt(records),
    }


def build_like(records: Sequence[Record], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as the version that wrote ``written`` built it.

    In the first schema, a later field is left out if neither ``written`` nor the journal has it.
    """
    built, known = build(records), {record.kind for record in records}
    if built["schema_version"] != FIRST_SCHEMA:
        return built
    return {name: value for name, value in built.items() if name not in LATER_FIELDS or name in {*written, *known}}


def _reason_given(records: Sequence[Record]) -> dict[str, str]:
    """Return the operator's reason of a rollback by hand, or of the newest recovery that has one; nothing without one."""
    given = [one.data.get("reason") for one in records if one.kind in ("opened", "recovering")]
    found = next((str(reason) for reason in reversed(given) if reason), None)
    return {} if found is None else {"reason_given": found}


def _of_an_address(records: Sequence[Record]) -> dict[str, Any]:
    """Return the fields that only a verification of an address has: the caller's claims, and the checks that it could not ask."""
    claimed, not_asked = last_data(records, "claimed"), last_data(records, "not_asked").get("checks")
    fields: dict[str, Any] = {"claimed": {name: claimed.get(name) for name in ("digest", "by")}} if claimed else {}
    if not_asked:
        fields["not_asked"] = not_asked
    return fields


def _of_journeys(records: Sequence[Record]) -> dict[str, Any]:
    """Return the fields about data of journeys: read again after a rollback, and removed for a run that died."""
    reads, removed = last_data(records, "read_back").get("reads"), last_data(records, "leftovers")
    fields: dict[str, Any] = {"read_back": reads} if reads else {}
    if removed:
        fields["leftovers"] = {name: removed.get(name) for name in ("removed", "gone", "left")}
    return fields


def _exempt(records: Sequence[Record]) -> dict[str, Any]:
    """Return the fields about checks that do not count for their gates, the promotion with which the checks were compared, and
    the history of each check.

    A field is missing if the journal has nothing about it.
    """
    waived = {
        str(one.data["check"]): one.data["reason"] for one in records if one.kind == "waived" and "check" in one.data
    }
    results = {one["check"]: one for one in last_data(records, "advised").get("checks", ())}
    fields: dict[str, Any] = {}
    if exempt := last_data(records, "exempt").get("checks"):
        fields["exempt"] = [
            {
                **one,
                "outcome": results.get(one["check"], {}).get("outcome", "not_run"),
                "message": results.get(one["check"], {}).get("message"),
                "waived": next((waived[name] for name in names_of(one["check"]) if name in waived), None),
            }
            for one in exempt
        ]
    if history := last_data(records, "history").get("checks"):
        fields["history"] = history
    if compared := last_data(records, "compared"):
        fields["compared_with"] = {name: compared.get(name) for name in ("promotion", "checks")}
    return fields


def no_gates(names: Sequence[str]) -> list[GateResult]:
    """Return the gates of a run that ran none."""
    return [GateResult(name, True, GateOutcome.NOT_RUN, 0, 0, 0.0) for name in in_report_order(names)]


def _blank(schema: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the gates of a run that ran none, with the fields of that schema."""
    left_out = LATER_GATE_FIELDS if schema == FIRST_SCHEMA else ()
    gates = [gate.as_report() for gate in no_gates(names)]
    return [{key: value for key, value in gate.items() if key not in left_out} for gate in gates]


def _noted(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the gates of a run that died, as its journal noted them last; empty if it died before the first one."""
    known = {gate["name"]: gate for gate in last_gates(records)}
    blank = _blank(schema_of(records), list(known)) if known else []
    return [{key: known.get(gate["name"], gate)[key] for key in gate} for gate in blank]


def _steps(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the steps that began, in order.

    A step without an outcome is ``failed``; a repeated step counts once, with its last outcome.
    """
    steps: dict[str, dict[str, Any]] = {}
    for record in records:
        name = str(record.data.get("step"))
        if record.kind == "intent":
            steps[name] = {"name": name, "outcome": "failed", "started_at": record.time, "duration_s": 0.0}
        elif record.kind == "outcome" and name in steps:
            steps[name] |= {key: record.data[key] for key in ("outcome", "started_at", "duration_s")}
    return list(steps.values())


def to_json(report: Mapping[str, Any]) -> str:
    """Return the report in the only valid spelling of ``verification.json``."""
    return json.dumps(report, indent=2) + "\n"


def write(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write ``verification.json``, then move the link ``latest`` to this folder, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    replace_file(path, to_json(report))
    link = folder.parent / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    os.replace(link, folder.parent / "latest")
    return path

"""The evaluation of a checklist for reports of schema version 1.

An audit evaluates the journals of older runs again and compares every byte with their reports, so nothing here must change.
"""

from __future__ import annotations

from collections.abc import Sequence

from deployment.evidence.journal import Record, last_data

PROVEN, OPEN, FAILED = "proven", "open", "failed"


def prove(proofs: Sequence[str], records: Sequence[Record]) -> tuple[str, str]:
    """Return the state of an item and its evidence, from its proofs."""
    if not proofs:
        return OPEN, "nobody attested it"
    found = [_one(*proof.partition(" ")[::2], records) for proof in proofs]
    states = [state for state, _ in found]
    worst = next((state for state in (FAILED, OPEN) if state in states), PROVEN)
    return worst, "; ".join(evidence for state, evidence in found if state == worst)


def _one(kind: str, name: str, records: Sequence[Record]) -> tuple[str, str]:
    """Return the state and the evidence of one proof."""
    if kind == "preflight":
        items = last_data(records, "preflight").get("items", ())
        item = next((one for one in items if one["name"] == name), None)
        if item is None:
            return OPEN, f"preflight did not look at {name}"
        return {"ok": PROVEN, "not_checked": OPEN}.get(item["outcome"], FAILED), f"preflight {name}: {item['found']}"
    if kind == "gate":
        gates = last_data(records, "gates").get("gates") or last_data(records, "verified").get("gates", ())
        gate = next((one for one in gates if one["name"] == name), None)
        if gate is None or gate["outcome"] == "not_run":
            return OPEN, f"gate {name} was not run"
        passed = gate["outcome"] == "passed"
        return PROVEN if passed else FAILED, f"gate {name}: {gate['checks']} checks, {gate['failed']} failed"
    if kind == "step":
        ends = [record.data for record in records if record.kind == "outcome" and record.data.get("step") == name]
        if not ends:
            return OPEN, f"step {name} did not come to its end"
        passed = ends[-1]["outcome"] == "passed"
        return PROVEN if passed else FAILED, f"step {name}: {ends[-1].get('detail')}"
    notified = [str(record.data["event"]) for record in records if record.kind == "notified"]
    if notified:
        return PROVEN, f"told: {', '.join(notified)}"
    failed = [str(record.data["error"]) for record in records if record.kind == "not_notified"]
    return (FAILED, failed[0]) if failed else (OPEN, "nobody was told: the environment names no topic")

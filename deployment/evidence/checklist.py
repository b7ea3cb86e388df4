"""A run's checklist, evaluated from its journal alone: each item is proven by the run, attested by a person, or open.

The evidence texts are part of the report's format: an audit evaluates the journals of older runs again and compares
every byte with their reports, so these texts must not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deployment.evidence.journal import Record, last_data


class State(StrEnum):
    """The state of an item."""

    PROVEN = "proven"
    ATTESTED = "attested"
    OPEN = "open"
    FAILED = "failed"


@dataclass(frozen=True)
class Attestation:
    """A person's statement about an item: ``who`` made it, and ``what`` it says.

    ``by`` and ``at`` say who recorded it before the run, and when (UTC).
    """

    who: str
    what: str
    by: str | None = None
    at: str | None = None

    def __str__(self) -> str:
        return f"{self.who}: {self.what}" + (f" (recorded by {self.by} at {self.at})" if self.by else "")


def evaluate(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return each item with its outcome and its evidence, from the journal alone; empty if the run had no checklist."""
    line = last_data(records, "checklist")
    attested = line.get("attested", {})
    results = []
    for one in line.get("items", ()):
        state, evidence = _proven(one["proof"], records)
        attestation = attested.get(one["name"])
        if state is State.OPEN and attestation:
            state, evidence = State.ATTESTED, str(Attestation(**attestation))
        results.append({key: one[key] for key in ("phase", "name", "item", "required")})
        results[-1] |= {"outcome": state.value, "evidence": evidence}
    return results


def _proven(proofs: Sequence[str], records: Sequence[Record]) -> tuple[State, str]:
    if not proofs:
        return State.OPEN, "nobody attested it"
    found = [_one(*proof.partition(" ")[::2], records) for proof in proofs]
    states = [state for state, _ in found]
    worst = next((state for state in (State.FAILED, State.OPEN) if state in states), State.PROVEN)
    return worst, "; ".join(evidence for state, evidence in found if state is worst)


def _one(kind: str, name: str, records: Sequence[Record]) -> tuple[State, str]:
    """Return the state and the evidence of one proof."""
    if kind == "preflight":
        items = last_data(records, "preflight").get("items", ())
        item = next((one for one in items if one["name"] == name), None)
        if item is None:
            return State.OPEN, f"preflight did not look at {name}"
        state = {"ok": State.PROVEN, "not_checked": State.OPEN}.get(item["outcome"], State.FAILED)
        return state, f"preflight {name}: {item['found']}"
    if kind == "gate":
        gates = last_data(records, "gates").get("gates") or last_data(records, "verified").get("gates", ())
        gate = next((one for one in gates if one["name"] == name), None)
        if gate is None or gate["outcome"] == "not_run":
            return State.OPEN, f"gate {name} was not run"
        passed = gate["outcome"] == "passed"
        return (
            State.PROVEN if passed else State.FAILED,
            f"gate {name}: {gate['checks']} checks, {gate['failed']} failed",
        )
    if kind == "step":
        ends = [record.data for record in records if record.kind == "outcome" and record.data.get("step") == name]
        if not ends:
            return State.OPEN, f"step {name} did not come to its end"
        passed = ends[-1]["outcome"] == "passed"
        return State.PROVEN if passed else State.FAILED, f"step {name}: {ends[-1].get('detail')}"
    notified = [str(record.data["event"]) for record in records if record.kind == "notified"]
    if notified:
        return State.PROVEN, f"told: {', '.join(notified)}"
    failed = [str(record.data["error"]) for record in records if record.kind == "not_notified"]
    return (State.FAILED, failed[0]) if failed else (State.OPEN, "nobody was told: the environment names no topic")

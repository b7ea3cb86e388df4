"""A run's checklist, evaluated from its journal alone: each item is proven by the run, attested by a person, or open.

The texts are part of the report's schema: an audit evaluates the journal again and compares every byte with the report.
A change of a text needs a new version of the schema; ``checklist_v1`` keeps the texts of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deployment.evidence import checklist_v1
from deployment.evidence.journal import Record, last_data, last_gates
from deployment.evidence.opening import (
    FIRST_CHECKLIST_TEXTS,
    FIRST_SCHEMA,
    SECOND_CHECKLIST_TEXTS,
    checklist_texts_of,
    schema_of,
)
from deployment.phases import Phase

Finding = tuple["State", str]
"""The state of an item or of one proof, and its evidence."""

SECONDS = {"s": 1, "m": 60, "h": 3600}
"""The units of a time in a proof, such as ``watched 30m``."""

AFTERWARDS = "post"
"""The phase whose items a person can fulfil only when the deployment has ended."""


WITHOUT_MESSAGE = frozenset({Phase.LEASED, Phase.REFUSED})
"""The phases that a run can reach without sending a message to the team."""


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
    find = _find_v1 if schema_of(records) == FIRST_SCHEMA else _find
    results = []
    for one in line.get("items", ()):
        given = line.get("attested", {}).get(one["name"])
        state, evidence = find(one, Attestation(**given) if given else None, records)
        results.append({key: one[key] for key in ("phase", "name", "item", "required")})
        results[-1] |= {"outcome": state.value, "evidence": evidence}
    return results


def _find_v1(one: Mapping[str, Any], attestation: Attestation | None, records: Sequence[Record]) -> Finding:
    state, evidence = checklist_v1.prove(one["proof"], records)
    if state == State.OPEN and attestation:
        return State.ATTESTED, str(attestation)
    return State(state), evidence


def _find(one: Mapping[str, Any], attestation: Attestation | None, records: Sequence[Record]) -> Finding:
    """Return state and evidence of an item. An attestation replaces a proof that is missing, never one that failed."""
    proofs = one["proof"]
    measured = "; ".join(_prove(proof, records)[1] for proof in one.get("measured", ()))
    measured = measured and f"; measured by the run: {measured}"
    state, evidence = _prove_all(proofs, records) if proofs else (State.OPEN, f"no person has attested it{measured}")
    if state is not State.OPEN or attestation is None:
        return state, evidence
    early = " (stated before the deployment)" if one["phase"] == AFTERWARDS else ""
    return State.ATTESTED, f"{attestation}{early}" + (f"; not proven by the run: {evidence}" if proofs else measured)


def _prove_all(proofs: Sequence[str], records: Sequence[Record]) -> Finding:
    """Return the worst state of the proofs, with the evidence of those that have it."""
    found = [_prove(proof, records) for proof in proofs]
    states = [state for state, _ in found]
    worst = next((state for state in (State.FAILED, State.OPEN) if state in states), State.PROVEN)
    return worst, "; ".join(evidence for state, evidence in found if state is worst)


def _prove(proof: str, records: Sequence[Record]) -> Finding:
    """Return the state and the evidence of one proof."""
    kind, _, name = proof.partition(" ")
    return PROOFS[kind](name, records)


def _preflight(name: str, records: Sequence[Record]) -> Finding:
    items = last_data(records, "preflight").get("items", ())
    item = next((one for one in items if one["name"] == name), None)
    if item is None:
        return State.OPEN, f"preflight did not check {name}"
    state = {"ok": State.PROVEN, "not_checked": State.OPEN}.get(item["outcome"], State.FAILED)
    return state, f"preflight {name}: {item['found']}"


def _gate(name: str, records: Sequence[Record]) -> Finding:
    gate = next((one for one in last_gates(records) if one["name"] == name), {"outcome": "not_run"})
    match gate["outcome"]:
        case "passed":
            return State.PROVEN, f"gate {name}: {gate['checks']} checks passed"
        case "not_run":
            return State.OPEN, f"gate {name} did not run"
        case "absent":
            return State.OPEN, f"gate {name} is absent: the service declares that it has no such part"
        case "incomplete":
            ran = f"{gate['ran']} of {gate['checks']} checks ran, and passed; the others did not run"
            return State.OPEN, f"gate {name} is incomplete: {ran}"
    if not gate["failed"]:
        return State.FAILED, f"gate {name}: {gate['outcome']}, although none of its checks failed"
    return State.FAILED, f"gate {name}: {gate['outcome']}, {gate['failed']} of {gate['checks']} checks did not pass"


def _last_end(step: str, records: Sequence[Record]) -> Mapping[str, Any] | None:
    ends = (record.data for record in reversed(records) if record.kind == "outcome" and record.data.get("step") == step)
    return next(ends, None)


def _step(name: str, records: Sequence[Record]) -> Finding:
    end = _last_end(name, records)
    if end is None:
        return State.OPEN, f"step {name} did not begin, or did not complete"
    return State.PROVEN if end["outcome"] == "passed" else State.FAILED, f"step {name}: {end.get('detail')}"


def _watched(asked: str, records: Sequence[Record]) -> Finding:
    """Compare the time that the bake watched the release with the time that the item asks for."""
    state, evidence = _step("bake", records)
    if state is not State.PROVEN:
        return state, evidence
    wanted, seen = int(asked[:-1]) * SECONDS[asked[-1]], float((_last_end("bake", records) or {}).get("watched_s") or 0)
    times = f"{_span(wanted)} were asked for; the bake watched {_span(seen)} without harm"
    return State.PROVEN if seen >= wanted else State.OPEN, times


def _span(seconds: float) -> str:
    """Return a time in minutes and whole seconds, rounded down: it must not claim more than there was."""
    minutes, rest = divmod(int(seconds), 60)
    return " ".join(
        part for part in (f"{minutes} min" * bool(minutes), f"{rest} s" * bool(rest or not minutes)) if part
    )


def _reversible(_: str, records: Sequence[Record]) -> Finding:
    """Return open if the migration is irreversible. A person can then attest another plan, such as the restore of a backup."""
    if all(record.kind != "irreversible" for record in records):
        return State.PROVEN, "the image declares no irreversible migration"
    reason = last_data(records, "irreversible").get("reason")
    return State.OPEN, f"no rollback is possible after the switch: the migration is irreversible (allowed: {reason})"


def _migration(_: str, records: Sequence[Record]) -> Finding:
    declared = last_data(records, "planned").get("migration")
    if declared is None:
        return State.OPEN, "the image does not declare a migration, so the run does not know whether it tested one"
    return State.PROVEN, f"the image declares its migration {declared}"


def _notified(_: str, records: Sequence[Record]) -> Finding:
    if checklist_texts_of(records) > SECOND_CHECKLIST_TEXTS:
        missing = _missing_messages(records)
        if missing is not None:
            return missing
    notified = [str(record.data["event"]) for record in records if record.kind == "notified"]
    if notified:
        return State.PROVEN, f"the team was notified: {', '.join(notified)}"
    failed = [str(record.data["error"]) for record in records if record.kind == "not_notified"]
    if failed:
        return State.FAILED, f"the team was not notified: {failed[0]}"
    phases = {str(record.data["after"]) for record in records if record.kind == "phase"}
    if checklist_texts_of(records) > FIRST_CHECKLIST_TEXTS and phases <= WITHOUT_MESSAGE:
        return State.OPEN, "the team was not notified: the run ended before its first message"
    return State.OPEN, "the team was not notified: the environment has no notifications_topic"


def _missing_messages(records: Sequence[Record]) -> Finding | None:
    """Return the messages that did not reach the team; None if each did. A message that was sent again counts as it ended."""
    ends = {
        str(record.data["event"]): record
        for record in records
        if record.kind in ("notifying", "notified", "not_notified")
    }
    failed = [f"{event}: {one.data['error']}" for event, one in ends.items() if one.kind == "not_notified"]
    if failed:
        return State.FAILED, f"the team was not notified: {'; '.join(failed)}"
    unknown = [event for event, one in ends.items() if one.kind == "notifying"]
    return (
        (State.OPEN, f"the run does not know whether the team was notified: {', '.join(unknown)}") if unknown else None
    )


PROOFS: Mapping[str, Callable[[str, Sequence[Record]], Finding]] = {
    "preflight": _preflight,
    "gate": _gate,
    "step": _step,
    "watched": _watched,
    "notified": _notified,
    "reversible": _reversible,
    "migration": _migration,
}
"""The kinds of proofs: each function takes the name after the kind and the journal."""

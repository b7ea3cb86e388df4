"""The checklist: each item proven by the run itself, or attested by a person; what is open is said.

``checklist.toml`` lists the items; the journal holds them as they were for a run, and a report evaluates them from it alone.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema

from deployment.errors import Refused, SettingsError
from deployment.evidence.journal import Record

FILE = Path(__file__).resolve().parents[2] / "checklist.toml"
SCHEMA_FILE = Path(__file__).with_name("checklist.schema.json")
PHASES = ("pre", "during", "post")
REQUIRED = "required"


class State(StrEnum):
    """What is known about an item."""

    PROVEN = "proven"
    ATTESTED = "attested"
    OPEN = "open"
    FAILED = "failed"


UNDONE = frozenset({State.OPEN, State.FAILED})


@dataclass(frozen=True)
class Entry:
    """One item; ``proof`` is empty where a person attests it."""

    phase: str
    name: str
    item: str
    proof: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Attestation:
    """Somebody's word for an item: whose, and on what; ``by`` and ``at`` say who recorded it before the run, and when (UTC)."""

    who: str
    what: str
    by: str | None = None
    at: str | None = None

    def __str__(self) -> str:
        return f"{self.who}: {self.what}" + (f" (recorded by {self.by} at {self.at})" if self.by else "")


def load(path: Path = FILE) -> Sequence[Entry]:
    """The items in order. Raises SettingsError where the file is not what it should be."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path.name} is not TOML: {error}") from None
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if problem is not None:
        where = ".".join(map(str, problem.absolute_path)) or "top level"
        raise SettingsError(f"{path.name}: {where}: {problem.message}", hint="Its head says what an item holds.")
    entries = [
        Entry(phase, one["name"], one["item"], tuple(one.get("proof", ())), one.get("required", True))
        for phase in PHASES
        for one in document.get(phase, ())
    ]
    names = [entry.name for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{path.name}: {min(twice)} is there twice")
    return entries


def parse(given: Sequence[str], entries: Sequence[Entry]) -> Mapping[str, Attestation]:
    """``ITEM=WHO/WHAT``, once an item. Raises Refused."""
    known = [entry.name for entry in entries]
    found: dict[str, Attestation] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        who, slash, what = (part.strip() for part in rest.partition("/"))
        if not (name and equals and slash and who and what):
            raise Refused(f"--attest {text!r} says not who attests what", hint="Write --attest ITEM=WHO/WHAT.")
        if name not in known:
            raise Refused(f"--attest {name}: the checklist has no such item", hint=f"It has: {', '.join(known)}.")
        if name in found:
            raise Refused(f"--attest {name} was given twice")
        found[name] = Attestation(who, what)
    return found


def as_data(entries: Sequence[Entry], attested: Mapping[str, Attestation], mode: str) -> dict[str, Any]:
    """For the journal's line ``checklist``."""
    return {
        "mode": mode,
        "items": [{**asdict(entry), "proof": list(entry.proof)} for entry in entries],
        "attested": {name: asdict(one) for name, one in attested.items()},
    }


def demand(records: Sequence[Record]) -> None:
    """Raises Refused where the journal's checklist is required and an item of ``pre`` that is required is open."""
    line = _last(records, "checklist")
    if line.get("mode") != REQUIRED:
        return
    undone = [
        one for one in evaluate(records) if one["phase"] == "pre" and one["required"] and one["outcome"] in UNDONE
    ]
    if undone:
        raise Refused(
            "checklist: " + "; ".join(f"{one['name']}: {one['evidence']}" for one in undone),
            hint=f"Attest what is true: --attest {undone[0]['name']}=WHO/WHAT, one for each.",
        )


def evaluate(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each item with its outcome and its evidence, from the journal alone; empty where the run had no checklist."""
    line = _last(records, "checklist")
    attested = line.get("attested", {})
    results = []
    for one in line.get("items", ()):
        state, evidence = _proven(one["proof"], records)
        given = attested.get(one["name"])
        if state is State.OPEN and given:
            state, evidence = State.ATTESTED, str(Attestation(**given))
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
    """What one proof came to."""
    if kind == "preflight":
        items = _last(records, "preflight").get("items", ())
        item = next((one for one in items if one["name"] == name), None)
        if item is None:
            return State.OPEN, f"preflight did not look at {name}"
        state = {"ok": State.PROVEN, "not_checked": State.OPEN}.get(item["outcome"], State.FAILED)
        return state, f"preflight {name}: {item['found']}"
    if kind == "gate":
        gates = _last(records, "gates").get("gates") or _last(records, "verified").get("gates", ())
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
    told = [str(record.data["event"]) for record in records if record.kind == "notified"]
    if told:
        return State.PROVEN, f"told: {', '.join(told)}"
    failed = [str(record.data["error"]) for record in records if record.kind == "not_notified"]
    return (State.FAILED, failed[0]) if failed else (State.OPEN, "nobody was told: the environment names no topic")


def _last(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    return next((record.data for record in reversed(records) if record.kind == kind), {})

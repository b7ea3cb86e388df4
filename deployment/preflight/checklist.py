"""The checklist: each item is proven by the run itself or attested by a person; open items are reported.

``checklist.toml`` lists the items; a run's journal holds them as they were then, and a report evaluates them from it
alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jsonschema

from deployment.errors import Refused, SettingsError, abridged
from deployment.evidence.checklist import Attestation, State, evaluate
from deployment.evidence.journal import Record, last_data
from deployment.files import read_toml

SCHEMA_FILE = Path(__file__).with_name("checklist.schema.json")
PHASES = ("pre", "during", "post")
REQUIRED = "required"


UNMET = frozenset({State.OPEN, State.FAILED})


@dataclass(frozen=True)
class Entry:
    """One item; ``proof`` is empty if a person attests it, and ``measured`` is what the run can add to that."""

    phase: str
    name: str
    item: str
    proof: tuple[str, ...] = ()
    required: bool = True
    measured: tuple[str, ...] = ()


def load(path: Path) -> Sequence[Entry]:
    """Return the items in order. Raises SettingsError if the file is missing or invalid."""
    try:
        document = read_toml(path)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}",
            hint="The checklist stands beside deployment.toml; copy the framework's checklist.toml there.",
        ) from None
    except ValueError as error:
        raise SettingsError(f"{path.name} is not TOML: {error}") from None
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if problem is not None:
        where = ".".join(map(str, problem.absolute_path)) or "top level"
        raise SettingsError(
            abridged(f"{path.name}: {where}: {problem.message}"),
            hint="The comment at its top describes the fields of an item.",
        )
    entries = [
        Entry(
            phase,
            one["name"],
            one["item"],
            tuple(one.get("proof", ())),
            one.get("required", True),
            tuple(one.get("measured", ())),
        )
        for phase in PHASES
        for one in document.get(phase, ())
    ]
    names = [entry.name for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{path.name}: item {min(twice)} is defined twice")
    return entries


def parse(texts: Sequence[str], entries: Sequence[Entry]) -> Mapping[str, Attestation]:
    """Parse ``ITEM=WHO/WHAT`` texts, at most one for each item. Raises Refused."""
    known = [entry.name for entry in entries]
    found: dict[str, Attestation] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        who, slash, what = (part.strip() for part in rest.partition("/"))
        if not (name and equals and slash and who and what):
            raise Refused(f"--attest {text!r} does not say who attests what", hint="Write --attest ITEM=WHO/WHAT.")
        if name not in known:
            raise Refused(
                f"--attest {name}: the checklist has no such item", hint=f"Choose one of its items: {', '.join(known)}."
            )
        if name in found:
            raise Refused(f"--attest {name} was given twice")
        found[name] = Attestation(who, what)
    return found


def as_data(entries: Sequence[Entry], attested: Mapping[str, Attestation], mode: str) -> dict[str, Any]:
    """Return the data of the journal line ``checklist``."""
    return {
        "mode": mode,
        "items": [{**asdict(entry), "proof": list(entry.proof), "measured": list(entry.measured)} for entry in entries],
        "attested": {name: asdict(one) for name, one in attested.items()},
    }


def demand(records: Sequence[Record]) -> None:
    """Raise Refused if the checklist is required and a required item of ``pre`` is open or failed."""
    line = last_data(records, "checklist")
    if line.get("mode") != REQUIRED:
        return
    unmet = [one for one in evaluate(records) if one["phase"] == "pre" and one["required"] and one["outcome"] in UNMET]
    if unmet:
        raise Refused(
            "checklist: " + "; ".join(f"{one['name']}: {one['evidence']}" for one in unmet),
            hint=f"Attest each item that is true: --attest {unmet[0]['name']}=WHO/WHAT.",
        )

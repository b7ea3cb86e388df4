"""Weighted records as routes, and the batch that changes them: pure functions, so that a test of a rule takes one line."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import SwitchFailed
from deployment.model import Colour, Routes
from infrastructure.aws.routes import Stamp, percentages

STAMP_LABEL = "_deployment-routes"
"""The stamp is a TXT record with this label under the weighted records' name."""

ALIAS_TTL_S = 60
"""The TTL in seconds of an alias for a load balancer: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-alias-common.html"""

PROPAGATION_S = 60
"""Seconds until all of Route 53's servers have a change: https://aws.amazon.com/route53/faqs/"""

_STAMP_TTL_S = 60

RecordSet = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """The zone as read: each colour's records (one for each type), the stamp's record (None: never stamped), the routes."""

    records: Mapping[Colour, Sequence[RecordSet]]
    stamp: RecordSet | None
    routes: Routes

    @property
    def ttl_s(self) -> int:
        """How long a cache may keep an answer, in seconds."""
        return _ttl_s(self.records)


def reading(
    sets: Sequence[RecordSet], stamp: RecordSet | None, identifiers: Mapping[Colour, str], name: str
) -> Reading:
    """Return the record sets of one name as routes. Raises SwitchFailed if they do not say where traffic goes."""
    weighted = [one for one in sets if "SetIdentifier" in one]
    strangers = sorted({str(one["SetIdentifier"]) for one in weighted} - set(identifiers.values()))
    if strangers:
        raise SwitchFailed(f"{name} has a record {strangers[0]!r}, which is neither colour's")
    records = {
        colour: [one for one in weighted if one["SetIdentifier"] == identifier]
        for colour, identifier in identifiers.items()
    }
    weights = percentages({colour: _weight(records[colour], identifiers[colour], name) for colour in Colour}, name)
    said = Stamp.parse(_text(stamp), f"the TXT record of {name}") if stamp is not None else None
    live = max(Colour, key=lambda colour: (weights[colour], said is not None and colour is said.live))
    revision = hashlib.sha256(json.dumps([weighted, stamp], sort_keys=True).encode()).hexdigest()
    generation, fence = (said.generation, said.fence) if said else (0, 0)
    return Reading(records, stamp, Routes(live, weights, generation, revision, fence, PROPAGATION_S + _ttl_s(records)))


def _ttl_s(records: Mapping[Colour, Sequence[RecordSet]]) -> int:
    return max(int(one.get("TTL", ALIAS_TTL_S)) for sets in records.values() for one in sets)


def batch(now: Reading, goal: Routes, name: str) -> Sequence[Mapping[str, Any]]:
    """Return the changes that lead to ``goal``; Route 53 applies all of them or none.

    Deleting the stamp requires its exact text: if another run wrote since, Route 53 refuses the whole batch. This is
    Route 53's only compare-and-set.
    """
    changes: list[Mapping[str, Any]] = []
    if now.stamp is not None:
        changes.append({"Action": "DELETE", "ResourceRecordSet": now.stamp})
    changes.append({"Action": "CREATE", "ResourceRecordSet": stamp_record(Stamp.of(goal), name)})
    for colour, records in now.records.items():
        for record in records:
            changed = {**copy.deepcopy(dict(record)), "Weight": goal.weights[colour]}
            changes.append({"Action": "UPSERT", "ResourceRecordSet": changed})
    return changes


def stamp_record(stamp: Stamp, name: str) -> RecordSet:
    """Return the TXT record that holds a stamp."""
    return {
        "Name": f"{STAMP_LABEL}.{name}.",
        "Type": "TXT",
        "TTL": _STAMP_TTL_S,
        "ResourceRecords": [{"Value": f'"{stamp}"'}],
    }


def targets(records: Sequence[RecordSet]) -> Sequence[tuple[str, str | None, frozenset[str]]]:
    """Return the targets of a colour's records: (A or AAAA, the name that they stand for or None, their own addresses)."""
    found: list[tuple[str, str | None, frozenset[str]]] = []
    for one in records:
        kind = "A" if one["Type"] == "CNAME" else str(one["Type"])
        values = [str(value["Value"]) for value in one.get("ResourceRecords", ())]
        if "AliasTarget" in one:
            found.append((kind, str(one["AliasTarget"]["DNSName"]), frozenset()))
        elif one["Type"] == "CNAME":
            found.append((kind, values[0], frozenset()))
        else:
            found.append((kind, None, frozenset(values)))
    return found


def _weight(records: Sequence[RecordSet], identifier: str, name: str) -> int:
    if not records:
        raise SwitchFailed(f"{name} has no record with the set identifier {identifier!r}")
    weights = {one.get("Weight") for one in records}
    if len(weights) != 1 or None in weights:
        raise SwitchFailed(
            f"{name}: the records {identifier!r} have different weights, or none: {sorted(map(str, weights))}"
        )
    return int(weights.pop())  # type: ignore[arg-type]  # None was excluded above


def _text(stamp: RecordSet) -> str:
    values = [str(one["Value"]) for one in stamp.get("ResourceRecords", ())]
    return values[0].strip('"') if len(values) == 1 else " ".join(values)

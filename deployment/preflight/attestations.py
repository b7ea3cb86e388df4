"""Attestations recorded before a run: notes beside the lock, for one digest, with the principal who recorded them.

The people and the deployer of an environment share the lock's table, on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from deployment.access import Access, Duty, demand_any
from deployment.errors import CloudError
from deployment.evidence.checklist import Attestation
from deployment.model import Caller
from deployment.plan import Ports, note_object
from deployment.ports import Lease

NOTE = "attestations"
ATTESTING = (Duty.APPROVE, Duty.DEPLOY)
"""The duties of which one is enough to attest."""
DIGESTS_KEPT = 20
_FIELDS = {one.name for one in fields(Attestation)}
_NEEDED = {"who", "what"}
TRIES = 5


def record(
    ports: Ports, access: Access, caller: Caller, digest: str, attested: Mapping[str, Attestation]
) -> Mapping[str, Attestation]:
    """Record attestations; a later one replaces an earlier one for the same item. Returns them as recorded.

    Raises NotPermitted or CloudError.
    """
    demand_any(access, ATTESTING, caller)
    at = ports.clock.now().isoformat(timespec="seconds")
    noted = {name: replace(one, by=caller.arn, at=at) for name, one in attested.items()}
    for _ in range(TRIES):
        seen = ports.lease.notes().get(NOTE)
        kept = note_object(seen)
        own = _own(kept.pop(digest, None)) | {name: asdict(one) for name, one in noted.items()}
        newest = dict([*kept.items(), (digest, own)][-DIGESTS_KEPT:])
        if ports.lease.swap_note(NOTE, seen, json.dumps(newest)):
            return noted
    raise CloudError("the attestations could not be noted beside the lock: other users kept changing that note")


def recorded(lease: Lease, digest: str) -> Mapping[str, Attestation]:
    """Return the attestations recorded for a digest. Raises CloudError."""
    own = _own(note_object(lease.notes().get(NOTE)).get(digest))
    return {name: Attestation(**one) for name, one in own.items()}


def _own(noted: Any) -> dict[str, dict[str, Any]]:
    """Return the attestations of one digest as they were noted, without those that are not complete."""
    own = noted if isinstance(noted, dict) else {}
    return {name: one for name, one in own.items() if isinstance(one, dict) and _NEEDED <= one.keys() <= _FIELDS}

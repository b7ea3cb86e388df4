"""Attestations recorded before a run: notes beside the lock, for one digest, with the principal who recorded them.

The people and the deployer of an environment share the lock's table, on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from deployment.access import Access, Duty, demand_any
from deployment.errors import CloudError
from deployment.evidence.checklist import Attestation
from deployment.model import Caller
from deployment.plan import Ports
from deployment.ports import Lease

NOTE = "attestations"
ATTESTING = (Duty.APPROVE, Duty.DEPLOY)
"""The duties of which one is enough to attest."""
DIGESTS_KEPT = 20
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
        kept: dict[str, dict[str, Any]] = json.loads(seen) if seen else {}
        own = kept.pop(digest, {}) | {name: asdict(one) for name, one in noted.items()}
        newest = dict([*kept.items(), (digest, own)][-DIGESTS_KEPT:])
        if ports.lease.swap_note(NOTE, seen, json.dumps(newest)):
            return noted
    raise CloudError("the attestations could not be noted beside the lock: other users kept changing that note")


def recorded(lease: Lease, digest: str) -> Mapping[str, Attestation]:
    """Return the attestations recorded for a digest. Raises CloudError."""
    text = lease.notes().get(NOTE)
    own = json.loads(text).get(digest, {}) if text else {}
    return {name: Attestation(**one) for name, one in own.items()}

"""Waivers: a required gate may fail and yet not stop a promotion, by name, with a reason, and on the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE

# Without them nobody knows whether there is a release at all, or whether users reach it.
NEVER = ("health", LIVE)
HINT = 'Give it as --waive GATE=REASON, for instance --waive latency="known slow disk, ticket 4711".'


def parse(given: Sequence[str], gates: Collection[str]) -> Mapping[str, str]:
    """Gate to reason. Raises Refused where a gate is unknown, may not be waived, is named twice, or has no reason."""
    waivers: dict[str, str] = {}
    for one in given:
        gate, _, reason = one.partition("=")
        gate, reason = gate.strip(), reason.strip()
        if not reason:
            raise Refused(f"--waive {one} gives no reason", hint=HINT)
        if gate in NEVER:
            raise Refused(f"gate {gate} cannot be waived", where=gate)
        if gate not in gates:
            raise Refused(f"--waive {one}: there is no gate {gate!r}", hint=f"gates: {', '.join(sorted(gates))}")
        if gate in waivers:
            raise Refused(f"gate {gate} is waived twice", hint="Once, with one reason.", where=gate)
        waivers[gate] = reason
    return waivers

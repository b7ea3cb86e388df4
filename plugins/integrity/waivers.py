"""Waivers: a named required gate may fail without stopping the promotion; the journal keeps the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE

# Without these gates a promotion would not know whether the release runs, or whether users reach it.
NEVER_WAIVED = ("health", LIVE)
HINT = 'Give it as --waive GATE=REASON, for instance --waive latency="known slow disk, ticket 4711".'


def parse(given: Sequence[str], gates: Collection[str]) -> Mapping[str, str]:
    """Return the reason for each waived gate.

    Raises Refused if a gate is unknown, must not be waived or is named twice, or if the reason is missing.
    """
    waivers: dict[str, str] = {}
    for one in given:
        gate, _, reason = one.partition("=")
        gate, reason = gate.strip(), reason.strip()
        if not reason:
            raise Refused(f"--waive {one} needs a reason", hint=HINT)
        if gate in NEVER_WAIVED:
            raise Refused(f"gate {gate} cannot be waived", where=gate)
        if gate not in gates:
            raise Refused(f"--waive {one}: unknown gate {gate!r}", hint=f"Use one of: {', '.join(sorted(gates))}")
        if gate in waivers:
            raise Refused(f"gate {gate} is waived twice", hint="Waive it once, with one reason.", where=gate)
        waivers[gate] = reason
    return waivers

"""The controls that this evidence serves, and which runs and files serve each of them; docs/audit.md explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHANGES = ("deploy", "rollback")
EVERY = ("deploy", "rollback", "verify")


@dataclass(frozen=True)
class Control:
    """One control: its standard and its subject, the kinds of runs that serve it, and what serves it in each file."""

    standard: str
    subject: str
    kinds: tuple[str, ...]
    serves: Mapping[str, str]


CONTROLS = {
    "CC8.1": Control(
        "SOC 2",
        "changes are authorized, tested, approved and implemented",
        CHANGES,
        {
            "verification.json": "actor, digest, gates and waivers, checklist, verdict",
            "audit.jsonl": "approved, verified, switched: who approved, what was tested, when users moved",
        },
    ),
    "164.312(b)": Control(
        "HIPAA",
        "audit controls record and examine activity",
        EVERY,
        {"audit.jsonl": "every act with its time and actor, chained by hashes"},
    ),
    "CM-3": Control(
        "NIST SP 800-53",
        "configuration change control",
        CHANGES,
        {
            "verification.json": "what was changed, by whom, and the decision",
            "audit.jsonl": "planned, approved, switched, closed: the change, its approval and its result",
        },
    ),
    "CM-4": Control(
        "NIST SP 800-53",
        "impact analyses before a change",
        EVERY,
        {
            "data.json": "each check with its values beside the limits",
            "verification.json": "gates, preflight, live_harmed",
        },
    ),
    "AU-10": Control(
        "NIST SP 800-53",
        "non-repudiation",
        EVERY,
        {"evidence.dsse.json": "the signature over every file", "audit.jsonl": "the caller as the cloud knows it"},
    ),
}
"""Each control by its name."""

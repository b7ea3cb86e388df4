"""Which gates a service has no part for, by its own declaration."""

from __future__ import annotations

from verification.journeys.model import Service

PARTS = {"database": "no database", "redis": "no Redis"}


def absent_gates(service: Service) -> dict[str, str]:
    """Return the gates that are absent, each with a sentence that says what the service declares not to have."""
    absent = {
        gate: f"{service.name} declares that it has {what}"
        for gate, what in PARTS.items()
        if service.dependencies.get(gate) is None
    }
    if service.signed_in is None:
        absent["auth"] = f"{service.name} declares that its users do not sign in"
    return absent

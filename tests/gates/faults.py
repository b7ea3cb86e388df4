"""A broken release (1.1.0 with one small patch) and the gates that must find its fault."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.images import Fault


@dataclass(frozen=True)
class GateFault:
    """A fault and how it is found: one of ``gates`` must fail, and ``words`` must occur in its failing checks' messages."""

    fault: Fault
    gates: tuple[str, ...]
    words: tuple[str, ...] = ()
    needs_load: bool = False  # found only with many requests: the gates latency and load run as well
    restarts: bool = False  # the process exits, and a platform would start it again
    migrates: bool = False  # the fault is its migration: it gets its own database
    direct: bool = False  # it concerns connections to the release itself; users behind a front door are not affected

    @property
    def name(self) -> str:
        """Return the release's name, for a test's id."""
        return self.fault.name


def gate_fault(
    gate: str,
    name: str,
    file: str,
    before: str,
    after: str,
    *words: str,
    more: tuple[tuple[str, str, str], ...] = (),
) -> GateFault:
    """Return a fault that a single gate must find; ``more`` holds its further patches as (file, before, after)."""
    return GateFault(Fault(name, file, before, after, more), (gate,), words)

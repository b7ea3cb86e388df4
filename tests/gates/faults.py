"""What a lie is: a release that is 1.1.0 with one small patch, and the gate that ought to refuse it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.images import Fault


@dataclass(frozen=True)
class GateFault:
    """``gates``: where it may be found (one of them must fail); ``says``: words of the failing check's message."""

    fault: Fault
    gates: tuple[str, ...]
    words: tuple[str, ...] = ()
    needs_load: bool = False  # seen only by who asks often enough
    restarts: bool = False  # a platform brings it up again
    migrates: bool = False  # its migration is the lie: it gets a database of its own
    direct: bool = (
        False  # about connections as the release sees them: a front door keeps its own, and its users meet none of it
    )

    @property
    def name(self) -> str:
        """The release's name in a test's id."""
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
    """One that a single gate must find; ``more``: the further patches that it takes."""
    return GateFault(Fault(name, file, before, after, more), (gate,), words)

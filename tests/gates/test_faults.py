"""Each fault is found by the gate that must find it, with a useful message; a good release passes."""

from __future__ import annotations

import pytest

from tests.gates import (
    faults_auth,
    faults_colours,
    faults_contract,
    faults_health,
    faults_speed,
    faults_stores,
)
from tests.gates.faults import GateFault
from tests.gates.verifying import FUNCTIONAL, Bench

FAULTS = (
    *faults_health.FAULTS,
    *faults_contract.FAULTS,
    *faults_auth.FAULTS,
    *faults_colours.FAULTS,
    *faults_stores.FAULTS,
    *faults_speed.FAULTS,
)
AGAIN = 20


def test_names_are_unique() -> None:
    names = [case.name for case in FAULTS]
    assert len(names) == len(set(names))


# In `make test` tests/e2e deploys one of the broken releases.
@pytest.mark.soak
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
def test_refused(bench: Bench, case: GateFault) -> None:
    own = bench.with_own_database(case.name) if case.migrates else bench
    with own.live() as live:
        seen = own.snapshot()
        if case.migrates:
            own.migrate(case.fault)
        with own.serving(case.fault, case.restarts) as service:
            gates = (*FUNCTIONAL, "latency", "load") if case.needs_load else FUNCTIONAL
            ran = own.verify(service, gates, *(["--load"] if case.needs_load else []), beside=live, seen=seen)
    failed = [gate for gate, outcome in ran.gates.items() if outcome in ("failed", "error")]
    messages = "\n".join(text for gate in case.gates for text in ran.failing(gate))
    print(f"{case.name}: {', '.join(failed) or 'PROMOTED'}\n{messages}")
    assert ran.code == 1, ran.output
    assert set(failed) & set(case.gates), f"found by {failed}"
    assert [word for word in case.words if word not in messages] == [], messages


# In `make test` the commands of README.md verify the good release, with the same checks.
@pytest.mark.soak
def test_good_release_passes(bench: Bench) -> None:
    with bench.live() as live:
        seen = bench.snapshot()
        with bench.serving(None) as service:
            ran = bench.verify(service, beside=live, seen=seen)
    assert (ran.code, ran.failures) == (0, {}), ran.output


@pytest.mark.soak
def test_good_release_passes_repeatedly(bench: Bench) -> None:
    """No false alarm in AGAIN verifications, also while other tests run on the machine."""
    alarms: list[str] = []
    with bench.live() as live:
        seen = bench.snapshot()
        with bench.serving(None) as service:
            for _ in range(AGAIN):
                alarms += bench.verify(service, beside=live, seen=seen).failures.values()
    print(f"{AGAIN} verifications of a good release, {len(alarms)} false alarms")
    assert alarms == []

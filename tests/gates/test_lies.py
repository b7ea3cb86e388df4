"""Each lie is found, by the gate that ought to find it, and said in words that help; the truth passes."""

from __future__ import annotations

import pytest

from tests.gates import (
    lies_of_auth,
    lies_of_colours,
    lies_of_health,
    lies_of_speed,
    lies_of_stores,
    lies_of_the_contract,
)
from tests.gates.lies import Lie
from tests.gates.verifying import FUNCTIONAL, Bench

LIES = (
    *lies_of_health.LIES,
    *lies_of_the_contract.LIES,
    *lies_of_auth.LIES,
    *lies_of_colours.LIES,
    *lies_of_stores.LIES,
    *lies_of_speed.LIES,
)
# One of each kind that tests/e2e deploys none of; the others wait for `make soak`.
SAMPLE = {
    "list-is-stale",
    "session-key-prefix",
    "renames-a-column",
    "pool-of-ninety",
}
AGAIN = 20


def _parameters() -> list[object]:
    return [pytest.param(lie, id=lie.name, marks=() if lie.name in SAMPLE else pytest.mark.soak) for lie in LIES]


def test_names_are_unique() -> None:
    names = [lie.name for lie in LIES]
    assert len(names) == len(set(names))
    assert set(names) >= SAMPLE


@pytest.mark.parametrize("lie", _parameters())
def test_refused(bench: Bench, lie: Lie) -> None:
    own = bench.apart(lie.name) if lie.migrates else bench
    with own.live() as live:
        seen = own.look()
        if lie.migrates:
            own.migrate(lie.fault)
        with own.serving(lie.fault, lie.restarts) as service:
            gates = (*FUNCTIONAL, "latency", "load") if lie.load else FUNCTIONAL
            ran = own.verify(service, gates, *(["--load"] if lie.load else []), beside=live, seen=seen)
    failed = [gate for gate, outcome in ran.gates.items() if outcome in ("failed", "error")]
    messages = "\n".join(text for gate in lie.gates for text in ran.failing(gate))
    print(f"{lie.name}: {', '.join(failed) or 'PROMOTED'}\n{messages}")
    assert ran.code == 1, ran.output
    assert set(failed) & set(lie.gates), f"found by {failed}"
    assert [word for word in lie.says if word not in messages] == [], messages


def test_the_truth_passes(bench: Bench) -> None:
    with bench.live() as live:
        seen = bench.look()
        with bench.serving(None) as service:
            ran = bench.verify(service, beside=live, seen=seen)
    assert (ran.code, ran.failures) == (0, {}), ran.output


@pytest.mark.soak
def test_the_truth_passes_again_and_again(bench: Bench) -> None:
    """Not one false alarm, whatever else the machine does meanwhile."""
    alarms: list[str] = []
    with bench.live() as live:
        seen = bench.look()
        with bench.serving(None) as service:
            for _ in range(AGAIN):
                alarms += bench.verify(service, beside=live, seen=seen).failures.values()
    print(f"{AGAIN} verifications of a good release, {len(alarms)} false alarms")
    assert alarms == []

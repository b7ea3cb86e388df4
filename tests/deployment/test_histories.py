"""Random histories of concurrent, failing, suspended and dying runs: after the recovery the invariants hold.

``HISTORIES=50000 python -m pytest tests/deployment/test_histories.py -s`` explores more than the default of 250.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deployment.flow.lease import LeaseKeeper
from tests.deployment.histories import run_history
from tests.deployment.history_plan import Command, Fault, History, Kind

HISTORIES = int(os.environ.get("HISTORIES", "250"))

faults = st.lists(st.tuples(st.integers(1, 75), st.sampled_from(Fault)), max_size=3).map(tuple)
commands = st.builds(
    Command,
    kind=st.sampled_from([Kind.DEPLOY, Kind.DEPLOY, Kind.DEPLOY, Kind.RECOVER, Kind.ROLLBACK]),
    here=st.booleans(),
    passes=st.sampled_from([True, True, True, False]),
    reckless=st.booleans(),
    sick=st.sampled_from([False, False, False, True]),
    harmed=st.sampled_from([False, False, False, True]),
    faults=faults,
)
histories = st.builds(
    History,
    commands=st.lists(commands, min_size=1, max_size=4).map(tuple),
    promoted=st.booleans(),
    turns=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 80)), max_size=8).map(tuple),
)


@pytest.fixture(autouse=True)
def _without_fsync_and_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not start the keeper, which renews in real time, and skip fsync, because the power does not fail here."""
    monkeypatch.setattr(LeaseKeeper, "start", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_histories_keep_the_invariants() -> None:
    """The invariants are in ``tests/deployment/histories.py``: see ``assert_invariants`` and ``Process._check_call``."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=HISTORIES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories)
    def explore(history: History) -> None:
        with tempfile.TemporaryDirectory() as folder:
            seen.update(run_history(history, Path(folder)).seen)
        seen["histories explored"] += 1

    explore()
    print()
    for event, count in sorted(seen.items()):
        print(f"{count:6} {event}")
    assert seen["histories explored"] >= HISTORIES
    ends = {"SUCCEEDED", "REJECTED", "ROLLED_BACK", "REFUSED", "killed"}
    assert {end for end in ends if not seen[f"{Kind.DEPLOY}: {end}"]} == set()
    assert {fault.name for fault in Fault if not seen[fault.name]} == set()

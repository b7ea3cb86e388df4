"""The table of transitions: every pair of phase and outcome."""

from __future__ import annotations

import itertools

import pytest

from deployment.phases import TERMINAL, TRANSITIONS, IllegalTransitionError, Outcome, Phase, advance

ALL = list(itertools.product(Phase, Outcome))
EXPECTED = {
    "PENDING": {"ok": "LEASED", "failed": "REJECTED", "refused": "REFUSED"},
    "LEASED": {"ok": "PROVISIONING", "failed": "REJECTED", "refused": "REFUSED"},
    "PROVISIONING": {"ok": "VERIFYING", "failed": "REJECTED"},
    "VERIFYING": {"ok": "PROMOTING", "held": "AWAITING_APPROVAL", "failed": "REJECTED"},
    "AWAITING_APPROVAL": {"ok": "PROMOTING", "failed": "REJECTED"},
    "PROMOTING": {"ok": "BAKING", "failed": "ROLLING_BACK", "frozen": "HALTED", "unmoved": "REJECTED"},
    "BAKING": {"ok": "SUCCEEDED", "failed": "ROLLING_BACK", "frozen": "HALTED"},
    "ROLLING_BACK": {"ok": "ROLLED_BACK", "failed": "HALTED", "unmoved": "REJECTED"},
}


@pytest.mark.parametrize(("phase", "outcome"), ALL, ids=lambda value: value.name)
def test_transition(phase: Phase, outcome: Outcome) -> None:
    after = EXPECTED.get(phase.value, {}).get(outcome.value)
    if after is None:
        with pytest.raises(IllegalTransitionError):
            advance(phase, outcome)
    else:
        assert advance(phase, outcome) is Phase[after]


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_left_or_terminal_and_can_be_reached(phase: Phase) -> None:
    assert (phase in TERMINAL) is not any(before is phase for before, _ in TRANSITIONS)
    assert phase is Phase.PENDING or phase in TRANSITIONS.values()


def test_only_the_bake_leads_to_succeeded() -> None:
    assert [before for (before, _), after in TRANSITIONS.items() if after is Phase.SUCCEEDED] == [Phase.BAKING]

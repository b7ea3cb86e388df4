"""The phases of a deployment, and the one table of transitions between them."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """The phases of a deployment. The values are shown to users in reports and in ``status``."""

    PENDING = "PENDING"  # settings are read, nothing is touched
    LEASED = "LEASED"  # this run alone may act; the live colour is being checked
    PROVISIONING = "PROVISIONING"  # the idle colour is being brought up with the release
    VERIFYING = "VERIFYING"  # the candidate runs, and its gates are being checked
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  # the candidate is verified, and another principal must approve
    PROMOTING = "PROMOTING"  # traffic is being moved to the candidate, or may have been
    BAKING = "BAKING"  # the candidate is live and is watched
    ROLLING_BACK = "ROLLING_BACK"  # traffic is being moved back
    SUCCEEDED = "SUCCEEDED"  # promoted, baked, verified on the live domain
    REJECTED = "REJECTED"  # traffic never moved; the candidate is stopped, its logs kept
    ROLLED_BACK = "ROLLED_BACK"  # the previous colour is live again, and verified
    REFUSED = "REFUSED"  # nothing was touched
    HALTED = "HALTED"  # the live state is unknown or wrong: a person must act


class Outcome(StrEnum):
    """How a phase ended."""

    OK = "ok"
    HELD = "held"  # verified, but it may not go on without an approval
    FAILED = "failed"
    REFUSED = "refused"  # it may not begin: another deployment holds the lock, or the target is live
    FROZEN = "frozen"  # traffic stays: the migration is irreversible, or the promotion cannot be recorded
    UNMOVED = "unmoved"  # a switch failed, or a rollback by hand would do harm: traffic never moved


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.REJECTED, Phase.ROLLED_BACK, Phase.REFUSED, Phase.HALTED})

EXIT_CODES: dict[Phase, int] = {
    Phase.SUCCEEDED: 0,
    Phase.REJECTED: 1,
    Phase.REFUSED: 4,
    Phase.ROLLED_BACK: 10,
    Phase.HALTED: 11,
}
"""The exit code of a deployment by its last phase."""
ROLLBACK_EXIT_CODES: dict[Phase, int] = {
    **{phase: code for phase, code in EXIT_CODES.items() if phase is not Phase.SUCCEEDED},
    Phase.ROLLED_BACK: 0,
}
"""The exit code of a rollback by hand, which succeeds if traffic is back on the previous colour."""

TRANSITIONS: dict[tuple[Phase, Outcome], Phase] = {
    (Phase.PENDING, Outcome.OK): Phase.LEASED,
    (Phase.PENDING, Outcome.FAILED): Phase.REJECTED,
    (Phase.PENDING, Outcome.REFUSED): Phase.REFUSED,
    (Phase.LEASED, Outcome.OK): Phase.PROVISIONING,
    (Phase.LEASED, Outcome.FAILED): Phase.REJECTED,
    (Phase.LEASED, Outcome.REFUSED): Phase.REFUSED,
    (Phase.PROVISIONING, Outcome.OK): Phase.VERIFYING,
    (Phase.PROVISIONING, Outcome.FAILED): Phase.REJECTED,
    (Phase.VERIFYING, Outcome.OK): Phase.PROMOTING,
    (Phase.VERIFYING, Outcome.HELD): Phase.AWAITING_APPROVAL,
    (Phase.VERIFYING, Outcome.FAILED): Phase.REJECTED,
    (Phase.AWAITING_APPROVAL, Outcome.OK): Phase.PROMOTING,
    (Phase.AWAITING_APPROVAL, Outcome.FAILED): Phase.REJECTED,
    (Phase.PROMOTING, Outcome.OK): Phase.BAKING,
    (Phase.PROMOTING, Outcome.UNMOVED): Phase.REJECTED,
    (Phase.PROMOTING, Outcome.FAILED): Phase.ROLLING_BACK,
    (Phase.PROMOTING, Outcome.FROZEN): Phase.HALTED,
    (Phase.BAKING, Outcome.OK): Phase.SUCCEEDED,
    (Phase.BAKING, Outcome.FAILED): Phase.ROLLING_BACK,
    (Phase.BAKING, Outcome.FROZEN): Phase.HALTED,
    (Phase.ROLLING_BACK, Outcome.OK): Phase.ROLLED_BACK,
    (Phase.ROLLING_BACK, Outcome.UNMOVED): Phase.REJECTED,
    (Phase.ROLLING_BACK, Outcome.FAILED): Phase.HALTED,
}


class IllegalTransitionError(AssertionError):
    """A phase ended with an outcome that the table does not have: a defect of this program, never of a release."""


def advance(phase: Phase, outcome: Outcome) -> Phase:
    """Return the next phase. Raises IllegalTransitionError if the table has none."""
    try:
        return TRANSITIONS[phase, outcome]
    except KeyError:
        raise IllegalTransitionError(f"{phase} cannot end as {outcome!r}") from None

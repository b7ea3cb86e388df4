"""Canary promotions through the real edge: traffic follows the weights, and only the candidate's share is harmed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import images
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

pytestmark = pytest.mark.soak


def test_canary_of_a_good_release(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User]) -> None:
    """Two steps and then all traffic; no request is lost, and each step gets about its share of the prober's requests."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        ran = up_sandbox.pytest("--target=green", f"--image-tag={images.NEW}", "--strategy=canary:20%,10s,50%,5s")
    assert ran.code == 0, ran.output
    assert [line["weight"] for line in ran.journal("writing")] == [20, 50, 100]
    shifted = ran.journal("shifted")
    assert [line["failed"] for line in shifted] == [0, 0]
    shares = [line["requests"] / line["seconds"] / 40 for line in shifted]
    print(f"shares by the prober: {[round(share, 2) for share in shares]}")
    assert 0.1 < shares[0] < 0.3 < shares[1] < 0.7
    assert user.seen.failures == []
    assert up_sandbox.undo("rollback").code == 0
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before


def test_canary_of_a_release_that_fails_later(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User]) -> None:
    """Traffic goes back from the canary's share; only green's answers fail."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        ran = up_sandbox.pytest("--target=green", f"--image-tag={images.FAILS_LATER.tag}", "--strategy=canary:10%,30s")
    assert ran.code == 10, ran.output
    assert ran.facts["reason"].startswith("promote: with 10 % of the traffic: "), ran.facts["reason"]
    assert ran.steps == ["lease", "provision", "verify", "promote", "rollback", "retire"]
    print(f"{ran.facts['reason']}\n{len(user.seen.failures)} of the user's {user.seen.requests} requests failed")
    assert {failure.colour for failure in user.seen.failures} <= {"green"}
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before

"""Releases that fail only once users reach them: traffic goes back at once and stays there.

Failure mode 10: rolled back, and the pipeline is green. The exit code is 10, the verdict `rolled_back`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e import images, killing
from tests.e2e.bookings import consults_left
from tests.e2e.images import Fault
from tests.e2e.sandbox import Sandbox, wait_until
from tests.e2e.user import User

# benchmarks/detection.py measures the harm; this limit only shows that the harm is shorter than the bake.
LONGEST_HARM_S = 9.0
BAKED = ["promote", "live", "bake", "rollback", "retire"]


class Case(NamedTuple):
    """A release, the step that fails because of it, and the run's steps; ``shipped``: with the shipped settings."""

    fault: Fault
    culprit: str
    steps: list[str]
    shipped: bool = True


@pytest.mark.parametrize(
    "case",
    [
        Case(images.FAILS_LATER, "bake", BAKED, shipped=False),
        pytest.param(Case(images.FAILS_LATER, "bake", BAKED), marks=pytest.mark.soak),
        pytest.param(
            Case(images.FAILS_WHEN_LIVE, "promote", ["promote", "rollback", "retire"]), marks=pytest.mark.soak
        ),
        pytest.param(Case(images.SOME_FAIL_LATER, "bake", BAKED), marks=pytest.mark.soak),
    ],
    ids=["fails-later", "fails-later-as-shipped", "fails-when-live", "some-fail-later"],
)
def test_rolled_back(
    either_sandbox: Sandbox, user_of: Callable[[Sandbox], User], long_bake_settings: Path, case: Case
) -> None:
    """Exit 10, blue live again; users' requests fail only between the release's failure and the rollback."""
    _, culprit, steps, shipped = case
    tag = f"--image-tag={case.fault.tag}"
    before = either_sandbox.running()
    with user_of(either_sandbox) as user:
        if shipped:
            ran = either_sandbox.pytest("--target=green", tag)
        else:
            ran = either_sandbox.wait(killing.deploy(either_sandbox, long_bake_settings, tag))
    assert ran.code == 10, ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"], ran.facts["live_harmed"]) == ("rolled_back", 10, False)
    assert ran.facts["reason"].startswith(f"{culprit}: "), ran.facts["reason"]
    assert ran.steps == ["lease", "provision", "verify", *steps]
    assert ran.gate("load")["outcome"] == "passed"
    assert ran.gate("live")["outcome"] != "passed"
    promotion, rollback = ran.facts["promotion"], ran.facts["rollback"]
    assert promotion["failed"] == 0
    assert rollback["failed"] > 0
    assert rollback["reason"] == ran.facts["reason"]
    if "bake" in steps:  # written before the release failed, and read again on blue
        assert "not_readable" not in {one["outcome"] for one in ran.facts["read_back"]}, ran.facts["read_back"]
        assert "after the promotion" in ran.output
    assert consults_left(either_sandbox) == []
    failures = user.seen.failures
    assert {failure.colour for failure in failures} == {None if either_sandbox.environment else "green"}
    harm = failures[-1].at - failures[0].at
    print(f"{ran.facts['reason']}\n{harm:.2f} s from the first failing answer to the last; {rollback}")
    assert harm < LONGEST_HARM_S
    either_sandbox.assert_live("blue", images.OLD)
    wait_until(
        lambda: either_sandbox.running() == before, "the run's processes to end"
    )  # a task of ECS ends later than the run


@pytest.mark.soak
def test_slow_release_is_rolled_back(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User]) -> None:
    """No answer fails and no budget is missed, but answers take five times as long as before and the old colour is not slower."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        ran = up_sandbox.pytest("--target=green", f"--image-tag={images.SLOW_LATER.tag}")
    assert ran.code == 10, ran.output
    assert ran.facts["reason"].startswith("bake: "), ran.facts["reason"]
    assert "times what they took before the switch" in ran.facts["reason"]
    assert ran.steps == ["lease", "provision", "verify", *BAKED]
    assert user.seen.failures == []
    print(ran.facts["reason"])
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before

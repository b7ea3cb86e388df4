"""A CloudWatch alarm that fires: before a deployment it rejects the release, during the bake traffic goes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.estate.aws_session import AwsSession
from tests.e2e import images
from tests.e2e.sandbox import Sandbox

REASON = "1 datapoint was greater than the threshold (1000.0)"


@contextmanager
def alarm(sandbox: Sandbox, name: str) -> Iterator[Any]:
    """Yield a function that sets the alarm's state; set it to OK afterwards."""
    outputs = cloud.outputs(sandbox.state)
    assert outputs is not None
    assert name in outputs.alarms
    client = AwsSession(outputs.credentials).client("cloudwatch", outputs.endpoints["default"])

    def set_state(state: str) -> None:
        client.set_alarm_state(AlarmName=name, StateValue=state, StateReason=REASON)

    try:
        yield set_state
    finally:
        set_state("OK")


@pytest.mark.soak
def test_firing_alarm_rejects_before_provisioning(up_sandbox: Sandbox) -> None:
    before = up_sandbox.running()
    with alarm(up_sandbox, "DeploymentHealthCheck") as set_state:
        set_state("ALARM")
        ran = up_sandbox.pytest("--target=green")
    assert ran.code == 1, ran.output
    reason = ran.facts["reason"]
    assert reason.startswith("lease: an alarm is already firing: DeploymentHealthCheck is ALARM since "), reason
    assert reason.endswith(REASON)
    assert (ran.steps, ran.facts["live_harmed"]) == (["lease"], False)
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before


@pytest.mark.parametrize(
    ("environment", "state", "words"),
    [
        pytest.param("quick", "ALARM", "DeploymentResponseTime is ALARM since ", marks=pytest.mark.soak),
        pytest.param("embedded", "ALARM", "an alarm fires: DeploymentResponseTime is ALARM", marks=pytest.mark.soak),
        pytest.param(
            "quick", "INSUFFICIENT_DATA", "only OK proves that the release is healthy", marks=pytest.mark.soak
        ),
    ],
)
def test_alarm_during_the_bake_rolls_back(up_sandbox: Sandbox, environment: str, state: str, words: str) -> None:
    before = up_sandbox.running()
    with alarm(up_sandbox, "DeploymentResponseTime") as set_state:
        running = up_sandbox.begin_pytest("--target=green", f"--image-tag={images.NEW}", f"--environment={environment}")
        running.wait_for("intent", "bake")
        set_state(state)
        ran = up_sandbox.wait(running)
    assert ran.code == 10, ran.output
    assert ran.facts["reason"].startswith("bake: "), ran.facts["reason"]
    assert words in ran.facts["reason"]
    assert REASON in ran.facts["reason"]
    assert ran.facts["promotion"]["failed"] == 0
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before

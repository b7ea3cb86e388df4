"""An alarm of CloudWatch's that fires: before a deployment nothing starts, while it bakes traffic goes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.estate.aws_session import AwsSession
from tests.e2e import images
from tests.e2e.desk import Desk

REASON = "1 datapoint was greater than the threshold (1000.0)"


@contextmanager
def alarm(desk: Desk, name: str) -> Iterator[Any]:
    """A function that sets the alarm's state; it is OK again afterwards."""
    outputs = cloud.outputs(desk.state)
    assert outputs is not None
    assert name in outputs.alarms
    client = AwsSession(outputs.credentials).client("cloudwatch", outputs.endpoints["default"])

    def say(state: str) -> None:
        client.set_alarm_state(AlarmName=name, StateValue=state, StateReason=REASON)

    try:
        yield say
    finally:
        say("OK")


def test_one_that_fires_before_stops_the_deployment(up_desk: Desk) -> None:
    before = up_desk.running()
    with alarm(up_desk, "DeploymentHealthCheck") as say:
        say("ALARM")
        ran = up_desk.pytest("--target=green")
    assert ran.code == 1, ran.output
    reason = ran.facts["reason"]
    assert reason.startswith("lease: an alarm is already firing: DeploymentHealthCheck is ALARM since "), reason
    assert reason.endswith(REASON)
    assert (ran.steps, ran.facts["live_harmed"]) == (["lease"], False)
    up_desk.assert_live("blue", images.OLD)
    assert up_desk.running() == before


@pytest.mark.parametrize(
    ("environment", "state", "says"),
    [
        pytest.param("quick", "ALARM", "DeploymentResponseTime is ALARM since ", marks=pytest.mark.soak),
        pytest.param("embedded", "ALARM", "an alarm fires: DeploymentResponseTime is ALARM", marks=pytest.mark.soak),
        pytest.param("quick", "INSUFFICIENT_DATA", "only OK proves that the release is well", marks=pytest.mark.soak),
    ],
)
def test_one_that_fires_while_it_bakes_rolls_back(up_desk: Desk, environment: str, state: str, says: str) -> None:
    before = up_desk.running()
    with alarm(up_desk, "DeploymentResponseTime") as say:
        running = up_desk.begin_pytest("--target=green", f"--image-tag={images.NEW}", f"--environment={environment}")
        running.wait_for("intent", "bake")
        say(state)
        ran = up_desk.wait(running)
    assert ran.code == 10, ran.output
    assert ran.facts["reason"].startswith("bake: "), ran.facts["reason"]
    assert says in ran.facts["reason"]
    assert REASON in ran.facts["reason"]
    assert ran.facts["promotion"]["failed"] == 0
    up_desk.assert_live("blue", images.OLD)
    assert up_desk.running() == before

"""What ECS leaves out of its answers: members that a service does not have, and deployments that it does not describe yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from deployment.model import Colour
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.ecs.service_deployments import NONE_BEFORE, ServiceDeployments
from infrastructure.aws.session import Clients
from tests.aws.cluster import GROUPS, NAMES, Cluster
from tests.aws.conftest import SteppedClock
from tests.aws.shapes import checked

BLUE, GREEN = Colour.BLUE, Colour.GREEN
URLS = {colour: f"https://{colour}.telehealth.example:8443" for colour in Colour}
DIGEST = f"sha256:{'a' * 64}"
TASK_SETS: Mapping[str, Any] = {"taskDefinition": None, "loadBalancers": None, "deployments": None}
"""The members that a service has in its task sets instead."""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({**TASK_SETS, "deploymentController": {"type": "EXTERNAL"}}, "EXTERNAL"),
        ({**TASK_SETS, "status": "DRAINING"}, "ECS is deleting it"),
        (TASK_SETS, "it runs no task definition yet"),
    ],
)
def test_a_service_without_a_task_definition_is_an_obstacle(
    settings: Mapping[str, Any], named: str, clock: SteppedClock
) -> None:
    cluster = Cluster(clock)
    for colour in Colour:
        cluster.create(colour, DIGEST)
    cluster.settings[NAMES[GREEN]] = dict(settings)
    platform = EcsPlatform(cast(Clients, cluster), "main", NAMES, GROUPS, URLS, DrainWindow(120.0, clock))
    found = platform.describe(GREEN)
    assert (named in (found.obstacle or ""), found.running, found.digest) == (True, False, None)
    assert platform.configured(GREEN) is None
    assert isinstance(platform.logs(GREEN, clock.now()), Sequence)


# -- the history of a service --------------------------------------------------------------------------------------------

PREFIX = "arn:aws:ecs:us-east-1:123456789012:service-deployment/main/api"
THEN = datetime(2026, 11, 1, tzinfo=UTC)


class History:
    """Lists deployments, the newest first as ECS does, and describes those that are not ``late``."""

    def __init__(self, *names: str, late: Sequence[str] = ()) -> None:
        self.late = late
        self.listed: list[dict[str, Any]] = [
            {
                "serviceDeploymentArn": f"{PREFIX}/{name}",
                "createdAt": THEN + timedelta(minutes=number),
                "status": "SUCCESSFUL",
            }
            for number, name in enumerate(names)
        ][::-1]

    def pages(self, service: str, operation: str, key: str, /, *, marker: str, **given: Any) -> list[Mapping[str, Any]]:
        assert marker == "nextToken"
        return list(checked(service, operation, given, {key: self.listed})[key])

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        late = {f"{PREFIX}/{name}" for name in self.late}
        known = [one for one in self.listed if one["serviceDeploymentArn"] in given["serviceDeploymentArns"]]
        answer = {
            "serviceDeployments": [one for one in known if one["serviceDeploymentArn"] not in late],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in sorted(late)],
        }
        return checked(service, operation, given, answer)


def named(found: Sequence[Mapping[str, Any]] | None) -> list[str] | None:
    return None if found is None else [str(one["serviceDeploymentArn"]).rpartition("/")[2] for one in found]


def history(cloud: History) -> ServiceDeployments:
    return ServiceDeployments(cast(Clients, cloud), "main")


def test_the_deployments_after_one_are_described_the_oldest_first() -> None:
    own = history(History("a", "b", "c"))
    assert named(own.since("api", f"{PREFIX}/a")) == ["b", "c"]
    assert named(own.since("api", NONE_BEFORE)) == ["a", "b", "c"]


@pytest.mark.parametrize("late", [["b"], ["c"], ["b", "c"]])
def test_a_deployment_that_is_listed_and_not_described_yet_makes_the_history_unknown(late: Sequence[str]) -> None:
    """Without this, the next deployment would be judged in its place: another user's, or a rollback."""
    assert history(History("a", "b", "c", late=late)).since("api", f"{PREFIX}/a") is None


def test_deployments_of_the_same_second_keep_the_order_of_ecs() -> None:
    cloud = History("a", "b", "c")
    for one in cloud.listed:
        one["createdAt"] = THEN
    assert history(cloud).newest("api") == f"{PREFIX}/c"
    assert named(history(cloud).since("api", f"{PREFIX}/a")) == ["b", "c"]


def test_a_deployment_without_a_time_is_the_newest() -> None:
    """The time is optional in AWS's model."""
    cloud = History("a", "b")
    del cloud.listed[0]["createdAt"]
    assert history(cloud).newest("api") == f"{PREFIX}/b"

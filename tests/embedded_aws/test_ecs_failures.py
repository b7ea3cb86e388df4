"""Releases that do not start on ECS: the circuit breaker, and the cause in a stopped task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded_aws.ecs_harness import BREAKER, CLUSTER, Cluster, awslogs
from tests.embedded_aws.harness import ACCOUNT, REGION, wait_for

ABSENT = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:absent-AbCdEf"


def test_the_circuit_breaker_rolls_back_to_the_last_good_deployment(cluster: Cluster) -> None:
    """After three failures the old task definition is primary again: COMPLETED, but not the requested one."""
    cluster.service("trips", cluster.endpoint.image("1"))
    good = cluster.deployed("trips")
    broken = cluster.definition("trips", cluster.endpoint.image("2"), variables={"EXIT": "3"})
    begun = cluster.update("trips", taskDefinition=broken)["deployments"][0]["id"]
    failed: dict[str, Any] = {}

    def rolled_back() -> bool:
        service = cluster.describe("trips")
        failed.update({one["id"]: one for one in service["deployments"] if one["rolloutState"] == "FAILED"})
        primary = service["deployments"][0]
        return bool(primary["id"] != begun and primary["rolloutState"] == "COMPLETED")

    wait_for(rolled_back)
    service = cluster.deployed("trips")
    assert service["taskDefinition"] == good["taskDefinition"]
    assert any("rolling back to deployment" in event["message"] for event in service["events"])
    if begun in failed:  # it is listed until its last task is gone
        assert (failed[begun]["failedTasks"], failed[begun]["status"]) == (3, "ACTIVE")
        assert failed[begun]["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    listed = cluster.ecs.list_service_deployments(cluster=CLUSTER, service="trips")["serviceDeployments"]
    assert [one["status"] for one in listed] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    arns = [one["serviceDeploymentArn"] for one in listed]
    described = cluster.ecs.describe_service_deployments(serviceDeploymentArns=[*arns, "arn:gone"])
    newest = described["serviceDeployments"][0]
    assert newest["targetServiceRevision"]["arn"].endswith(begun.partition("/")[2])
    assert "circuit breaker" in newest["rollback"]["reason"]
    assert [one["reason"] for one in described["failures"]] == ["MISSING"]
    stopped = [task for task in cluster.tasks("trips", "STOPPED") if task["taskDefinitionArn"] == broken]
    assert [task["containers"][0]["exitCode"] for task in stopped] == [3, 3, 3]


def test_without_a_good_deployment_a_failed_one_stalls(cluster: Cluster) -> None:
    cluster.service("stalls", cluster.endpoint.image("1"), variables={"EXIT": "1"})
    wait_for(lambda: cluster.describe("stalls")["deployments"][0]["rolloutState"] == "FAILED")
    service = cluster.describe("stalls")
    assert len(service["deployments"]) == 1
    assert service["deployments"][0]["failedTasks"] == 3
    assert _history(cluster, "stalls") == ["STOPPED"]
    cluster.update("stalls", taskDefinition=cluster.definition("stalls", cluster.endpoint.image("2")))
    cluster.update("stalls", forceNewDeployment=True)
    cluster.deployed("stalls")
    assert _history(cluster, "stalls") == ["SUCCESSFUL", "STOPPED", "STOPPED"]


def _history(cluster: Cluster, name: str) -> list[str]:
    """Return the statuses of a service's service deployments, the newest first, read page by page."""
    return [one["status"] for page in _pages(cluster, name) for one in page["serviceDeployments"]]


def _pages(cluster: Cluster, name: str) -> Iterator[dict[str, Any]]:
    place: dict[str, str] = {}
    while True:
        page = cluster.ecs.list_service_deployments(cluster=CLUSTER, service=name, maxResults=2, **place)
        yield page
        if "nextToken" not in page:
            return
        place = {"nextToken": page["nextToken"]}


@pytest.mark.soak
def test_without_a_circuit_breaker_tasks_are_started_again_and_again(cluster: Cluster) -> None:
    cluster.service("stubborn", cluster.endpoint.image("1"))
    cluster.deployed("stubborn")
    cluster.update(
        "stubborn",
        taskDefinition=cluster.definition("stubborn", cluster.endpoint.image("2"), variables={"EXIT": "1"}),
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": False, "rollback": False}},
    )
    wait_for(lambda: cluster.describe("stubborn")["deployments"][0]["failedTasks"] > 3)
    assert cluster.describe("stubborn")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    cluster.update("stubborn", desiredCount=0)


CAUSES: dict[str, tuple[dict[str, Any], str, str]] = {
    # case: (changed members of the container, stop code, start of the reason)
    "image": ({"image": "sha256:" + "0" * 64}, "TaskFailedToStart", "CannotPullContainerError: "),
    "secret": (
        {"secrets": {"KEY": ABSENT}},
        "TaskFailedToStart",
        "ResourceInitializationError: unable to pull secrets",
    ),
    "log group": (
        {"logConfiguration": awslogs("/ecs/absent")},
        "TaskFailedToStart",
        "ResourceInitializationError: failed to validate logger args",
    ),
    "exit": ({"variables": {"EXIT": "4"}}, "EssentialContainerExited", "Essential container in task exited"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_a_stopped_task_reports_its_cause(cluster: Cluster, case: str) -> None:
    wrong, code, reason = CAUSES[case]
    name = f"stops-{case.replace(' ', '-')}"
    image = wrong.get("image") or cluster.endpoint.image("1")
    changes = {key: value for key, value in wrong.items() if key != "image"}
    cluster.service(name, image, **changes)
    wait_for(lambda: [one for one in cluster.tasks(name, "STOPPED") if one["lastStatus"] == "STOPPED"])
    task = cluster.tasks(name, "STOPPED")[0]
    assert task["stopCode"] == code
    assert task["stoppedReason"].startswith(reason)
    cluster.update(name, desiredCount=0)


def test_the_release_command_runs_once_per_deployment(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "releases"
    image = cluster.endpoint.image("1", release=f"echo ran >> {log}")
    cluster.service("releases", image, 2)
    cluster.deployed("releases")
    assert log.read_text() == "ran\n"
    cluster.update("releases", desiredCount=3)
    cluster.deployed("releases")
    assert log.read_text() == "ran\n"
    cluster.update("releases", forceNewDeployment=True)
    cluster.deployed("releases")
    assert log.read_text() == "ran\nran\n"


def test_a_failed_release_command_serves_nothing(cluster: Cluster) -> None:
    image = cluster.endpoint.image("1", release="exit 9")
    group = cluster.service("unreleased", image)
    wait_for(lambda: cluster.describe("unreleased")["deployments"][0]["rolloutState"] == "FAILED")
    assert cluster.targets(group) == {}
    reasons = {task["stoppedReason"] for task in cluster.tasks("unreleased", "STOPPED")}
    assert reasons == {"release command exited with 9"}


@pytest.mark.soak
def test_an_unhealthy_task_is_replaced(cluster: Cluster) -> None:
    """Two failed checks, five seconds apart, stop a task with a reason; three such tasks trip the circuit breaker."""
    group = cluster.service("sick", cluster.endpoint.image("1"), variables={"HEALTH": "503"})
    wait_for(lambda: "unhealthy" in cluster.targets(group).values(), 30)
    wait_for(lambda: cluster.tasks("sick", "STOPPED"), 30)
    assert cluster.tasks("sick", "STOPPED")[0]["stoppedReason"] == (
        f"Task failed ELB health checks in (target-group {group})"
    )
    wait_for(lambda: cluster.describe("sick")["deployments"][0]["rolloutState"] == "FAILED", 60)
    assert BREAKER["deploymentCircuitBreaker"]["rollback"], "there was no good deployment to roll back to"

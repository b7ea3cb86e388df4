"""ECS services: tasks are processes and registered targets, and a rolling deployment keeps enough of them healthy."""

from __future__ import annotations

import time
from functools import partial

import psutil

from tests.embedded_aws.ecs_harness import CLUSTER, Cluster, awslogs
from tests.embedded_aws.harness import client, wait_for


def _has(cluster: Cluster, group: str, count: int) -> bool:
    return len(cluster.targets(group)) == count


def test_a_service_runs_the_desired_number_of_tasks(cluster: Cluster, moto: str) -> None:
    secrets = client("secretsmanager", moto)
    arn = secrets.create_secret(Name="ecs/key", SecretString='{"key": "hush"}')["ARN"]
    digest = cluster.endpoint.image("1")
    group = cluster.service("runs", digest, 2, secrets={"KEY": f"{arn}:key::"}, variables={"PLAIN": "seen"})
    service = cluster.deployed("runs")
    assert (service["runningCount"], service["desiredCount"], service["status"]) == (2, 2, "ACTIVE")
    tasks = cluster.tasks("runs")
    assert [task["containers"][0]["imageDigest"] for task in tasks] == [digest] * 2
    assert {task["lastStatus"] for task in tasks} == {"RUNNING"}
    assert {task["startedBy"] for task in tasks} == {service["deployments"][0]["id"]}
    targets = cluster.targets(group)
    assert set(targets.values()) == {"healthy"}
    answers = [cluster.ask(address) for address in targets]
    assert len({answer["pid"] for answer in answers}) == 2
    for answer in answers:
        seen = answer["env"]
        assert (answer["version"], seen["KEY"], seen["PLAIN"]) == ("1", "hush", "seen")
        assert "CANARY" not in seen
        assert not [name for name in seen if name.startswith("AWS_")]
    assert "hush" not in str(cluster.ecs.describe_task_definition(taskDefinition="runs"))


def test_a_new_task_definition_is_rolled_out(cluster: Cluster) -> None:
    """There are always two healthy tasks; the old ones stop once the new ones are healthy, and none of them is left."""
    group = cluster.service("rolls", cluster.endpoint.image("1"), 2)
    old = {task["taskArn"] for task in cluster.tasks("rolls")} or {""}
    cluster.deployed("rolls")
    wanted = cluster.definition("rolls", cluster.endpoint.image("2"))
    service = cluster.update("rolls", taskDefinition=wanted)
    assert [(one["status"], one["rolloutState"]) for one in service["deployments"]] == [
        ("PRIMARY", "IN_PROGRESS"),
        ("ACTIVE", "COMPLETED"),
    ]
    fewest = 2
    while len(service["deployments"]) > 1 or service["deployments"][0]["rolloutState"] != "COMPLETED":
        healthy = list(cluster.targets(group).values()).count("healthy")
        fewest = min(fewest, healthy)
        service = cluster.describe("rolls")
    assert fewest == 2
    assert service["taskDefinition"] == service["deployments"][0]["taskDefinition"] == wanted
    assert {cluster.ask(address)["version"] for address in cluster.targets(group)} == {"2"}
    assert not old & {task["taskArn"] for task in cluster.tasks("rolls")}
    stopped = cluster.tasks("rolls", "STOPPED")
    assert {task["stopCode"] for task in stopped} == {"ServiceSchedulerInitiated"}
    assert all(task["stoppedReason"].startswith("Scaling activity initiated by") for task in stopped)
    assert any("reached a steady state" in event["message"] for event in service["events"])


def test_a_changed_count_starts_no_deployment(cluster: Cluster) -> None:
    group = cluster.service("counts", cluster.endpoint.image("1"))
    before = cluster.deployed("counts")["deployments"][0]["id"]
    for count in (3, 1, 0):
        service = cluster.update("counts", desiredCount=count)
        assert [one["id"] for one in service["deployments"]] == [before]
        cluster.deployed("counts")
        wait_for(partial(_has, cluster, group, count))
    assert cluster.tasks("counts") == []


def test_the_same_task_definition_starts_no_deployment_unless_forced(cluster: Cluster) -> None:
    cluster.service("again", cluster.endpoint.image("1"))
    before = cluster.deployed("again")
    assert len(cluster.update("again", taskDefinition=before["taskDefinition"])["deployments"]) == 1
    forced = cluster.update("again", forceNewDeployment=True)
    assert forced["deployments"][0]["id"] != before["deployments"][0]["id"]
    after = cluster.deployed("again")
    assert after["taskDefinition"] == before["taskDefinition"]


def test_a_killed_or_stopped_task_is_replaced(cluster: Cluster) -> None:
    group = cluster.service("dies", cluster.endpoint.image("1"))
    cluster.deployed("dies")
    (address,) = cluster.targets(group)
    psutil.Process(cluster.ask(address)["pid"]).kill()
    wait_for(lambda: set(cluster.targets(group)) not in ({address}, set()))
    cluster.deployed("dies")
    (first,) = cluster.tasks("dies", "STOPPED")
    assert (first["stopCode"], first["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert first["containers"][0]["exitCode"] == 137
    (task,) = cluster.tasks("dies")
    stopping = cluster.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"], reason="an exercise")["task"]
    assert (stopping["desiredStatus"], stopping["stopCode"], stopping["stoppedReason"]) == (
        "STOPPED",
        "UserInitiated",
        "an exercise",
    )
    wait_for(lambda: [one["taskArn"] for one in cluster.tasks("dies")] not in ([task["taskArn"]], []))
    cluster.deployed("dies")


def test_a_task_drains_before_it_stops(cluster: Cluster) -> None:
    """During the target group's draining time the task gets no new requests, but still runs."""
    group = cluster.group("drains", delay_s=1)
    cluster.service("drains", cluster.endpoint.image("1"), group=group)
    cluster.deployed("drains")
    (address,) = cluster.targets(group)
    pid = cluster.ask(address)["pid"]
    cluster.update("drains", desiredCount=0)
    wait_for(lambda: cluster.targets(group) == {address: "draining"})
    assert cluster.ask(address)["pid"] == pid
    (task,) = cluster.tasks("drains", "STOPPED")
    assert task["lastStatus"] == "DEACTIVATING"
    wait_for(lambda: not psutil.pid_exists(pid))
    wait_for(lambda: cluster.targets(group) == {})


def test_task_output_is_delivered_to_the_awslogs_stream(cluster: Cluster, moto: str) -> None:
    logs = client("logs", moto)
    logs.create_log_group(logGroupName="/ecs/logged")
    cluster.service("logged", cluster.endpoint.image("7"), logConfiguration=awslogs("/ecs/logged"))
    cluster.deployed("logged")
    (task,) = cluster.tasks("logged")
    stream = f"task/api/{task['taskArn'].rpartition('/')[2]}"

    def delivered() -> bool:
        streams = logs.describe_log_streams(logGroupName="/ecs/logged")["logStreams"]
        if [one["logStreamName"] for one in streams] != [stream]:
            return False
        events = logs.get_log_events(logGroupName="/ecs/logged", logStreamName=stream, startFromHead=True)["events"]
        return any(event["message"] == "serving 7" for event in events)

    assert wait_for(delivered), "in the task's stream, under the definition's prefix"


def test_a_deleted_service_is_inactive_and_leaves_nothing(cluster: Cluster) -> None:
    group = cluster.service("deleted", cluster.endpoint.image("1"))
    cluster.deployed("deleted")
    cluster.ecs.delete_service(cluster=CLUSTER, service="deleted", force=True)
    wait_for(lambda: cluster.describe("deleted")["status"] == "INACTIVE")
    assert cluster.targets(group) == {}
    cluster.service("deleted", cluster.endpoint.image("1"), group=group)
    assert cluster.deployed("deleted")["createdAt"].timestamp() <= time.time()

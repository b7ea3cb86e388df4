"""The API's documents for the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infrastructure.embedded.aws.ecs.records import Deployment, Document, Service, Task, TaskDefinition

PLATFORM = {"launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux"}
LOOPBACK = "127.0.0.1"


def tags_document(tags: Mapping[str, str]) -> list[Document]:
    """Return tags in ECS's format."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def service_document(service: Service, tasks: Sequence[Task], *, tags: bool = False) -> Document:
    """Return the model's Service structure."""
    settings = service.settings
    return {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster,
        "loadBalancers": settings.get("loadBalancers", []),
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": running(tasks),
        "pendingCount": pending(tasks),
        **PLATFORM,
        "taskDefinition": service.primary.task_definition if service.deployments else settings["taskDefinition"],
        "deploymentConfiguration": settings["deploymentConfiguration"],
        "deployments": [deployment_document(one, service, tasks) for one in service.deployments],
        "events": list(service.events),
        "createdAt": service.created_at,
        "placementConstraints": [],
        "placementStrategy": [],
        "networkConfiguration": settings["networkConfiguration"],
        "healthCheckGracePeriodSeconds": settings.get("healthCheckGracePeriodSeconds", 0),
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": settings.get("enableECSManagedTags", False),
        "propagateTags": settings.get("propagateTags", "NONE"),
        "enableExecuteCommand": settings.get("enableExecuteCommand", False),
        **({"tags": tags_document(service.tags)} if tags else {}),
    }


def deployment_document(deployment: Deployment, service: Service, tasks: Sequence[Task]) -> Document:
    """Return the model's Deployment structure."""
    own = [task for task in tasks if task.deployment == deployment.id]
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        "desiredCount": deployment.desired,
        "pendingCount": pending(own),
        "runningCount": running(own),
        "failedTasks": deployment.failed,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        **PLATFORM,
        "networkConfiguration": service.settings["networkConfiguration"],
        "rolloutState": deployment.state,
        "rolloutStateReason": deployment.reason,
    }


def running(tasks: Sequence[Task]) -> int:
    """Return the number of running tasks; a stopping task counts until it is deactivated."""
    return sum(task.last == "RUNNING" for task in tasks)


def pending(tasks: Sequence[Task]) -> int:
    """Return the number of starting tasks."""
    return sum(task.last in ("PROVISIONING", "PENDING", "ACTIVATING") for task in tasks)


def task_document(task: Task, cluster: str, definition: TaskDefinition) -> Document:
    """Return the model's Task structure with its one container and its network interface on loopback."""
    document = definition.document
    times = {
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "stoppedAt": task.stopped_at,
        "stopCode": task.stop_code,
        "stoppedReason": task.reason if not task.wanted else None,
    }
    attachment = f"{task.key[:8]}-{task.key[8:12]}-{task.key[12:16]}-{task.key[16:20]}-{task.key[20:]}"
    return {
        "taskArn": task.arn,
        "clusterArn": cluster,
        "taskDefinitionArn": task.task_definition,
        "group": f"service:{task.service.rpartition('/')[2]}",
        "startedBy": task.deployment,
        "lastStatus": task.last,
        "desiredStatus": task.desired,
        "cpu": document["cpu"],
        "memory": document["memory"],
        "connectivity": "CONNECTED",
        "connectivityAt": task.created_at,
        "healthStatus": "UNKNOWN",
        **PLATFORM,
        "attachments": [
            {
                "id": attachment,
                "type": "ElasticNetworkInterface",
                "status": "DELETED" if task.over else "ATTACHED",
                "details": [{"name": "privateIPv4Address", "value": LOOPBACK}],
            }
        ],
        "containers": [_container(task, definition, attachment)],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "tags": [],
        **{name: value for name, value in times.items() if value is not None},
    }


def _container(task: Task, definition: TaskDefinition, attachment: str) -> Document:
    container = definition.container
    shown: Document = {
        "containerArn": task.arn.replace(":task/", ":container/") + f"/{attachment}",
        "taskArn": task.arn,
        "name": container["name"],
        "image": container["image"],
        "lastStatus": {
            "STOPPED": "STOPPED",
            "RUNNING": "RUNNING",
            "DEACTIVATING": "RUNNING",
            "STOPPING": "RUNNING",
        }.get(task.last, "PENDING"),
        "networkInterfaces": [{"attachmentId": attachment, "privateIpv4Address": LOOPBACK}],
        "healthStatus": "UNKNOWN",
        "cpu": str(container["cpu"]),
    }
    if task.digest is not None:
        shown["imageDigest"] = task.digest
    if task.instance is not None:
        shown["runtimeId"] = task.instance.id
        ports = [one["containerPort"] for one in container["portMappings"]]
        # On AWS this is empty under awsvpc. Here all tasks share one address, and this shows their ports.
        shown["networkBindings"] = [
            {"bindIP": LOOPBACK, "containerPort": port, "hostPort": task.instance.port, "protocol": "tcp"}
            for port in ports[:1]
        ]
    if task.over and task.exit_code is not None:
        shown["exitCode"] = task.exit_code
    return shown

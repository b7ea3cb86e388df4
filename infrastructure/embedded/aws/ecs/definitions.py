"""Task definitions: their API, Fargate's refusals and its defaults."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.ecs.errors import client, invalid
from infrastructure.embedded.aws.ecs.records import Document, TaskDefinition
from infrastructure.embedded.aws.ecs.store import Store

MEMORY_OF_CPU: Mapping[str, range] = {
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html: CPU units -> MiB.
    "256": range(512, 2049, 512),
    "512": range(1024, 4097, 1024),
    "1024": range(2048, 8193, 1024),
    "2048": range(4096, 16385, 1024),
    "4096": range(8192, 30721, 1024),
    "8192": range(16384, 61441, 4096),
    "16384": range(32768, 122881, 8192),
}
LONGEST_STOP_S = 120
LOG_OPTIONS = ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")
UNSUPPORTED = ("command", "entryPoint", "healthCheck", "environmentFiles", "dependsOn")
"""Container members that would change the run or its outcome and that processes on loopback do not support."""

_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/.+")
_REFERENCE = re.compile(r"arn:aws:(secretsmanager:[a-z0-9-]+:\d{12}:secret:|ssm:[a-z0-9-]+:\d{12}:parameter/).+")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")


class TaskDefinitions:
    """The API of task definitions, which are immutable and never removed."""

    def __init__(self, config: EndpointConfig, store: Store) -> None:
        self._config = config
        self._store = store

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {
            "RegisterTaskDefinition": self.register,
            "DescribeTaskDefinition": self.describe,
            "DeregisterTaskDefinition": self.deregister,
            "ListTaskDefinitions": self.list_definitions,
        }

    def register(self, request: Document) -> Document:
        """Answer RegisterTaskDefinition: add the family's next revision."""
        for refused, message in _refusals(request):
            if refused:
                raise client(message)
        tags = {tag["key"]: tag.get("value", "") for tag in request.pop("tags", [])}
        container = _with_defaults(request["containerDefinitions"][0])
        with self._store.locked():
            revision = max((one.document["revision"] for one in self._family(request["family"])), default=0) + 1
            key = f"{request['family']}:{revision}"
            arn = self._config.arn(f"task-definition/{key}", "ecs")
            document = {
                "volumes": [],
                "placementConstraints": [],
                **request,
                "containerDefinitions": [container],
                "taskDefinitionArn": arn,
                "revision": revision,
                "status": "ACTIVE",
                "compatibilities": ["EC2", "FARGATE"],
                "registeredAt": time.time(),
                "registeredBy": f"arn:aws:iam::{self._config.account_id}:root",
            }
            definition = self._store.definitions.put(TaskDefinition(key, arn, document, tags))
        return {"taskDefinition": definition.document, "tags": _tags(definition)}

    def describe(self, request: Document) -> Document:
        """Answer DescribeTaskDefinition by family (its newest active revision), family:revision or ARN."""
        definition = self.find(request["taskDefinition"])
        tags = {"tags": _tags(definition)} if "TAGS" in request.get("include", ()) else {}
        return {"taskDefinition": definition.document, **tags}

    def deregister(self, request: Document) -> Document:
        """Answer DeregisterTaskDefinition: no new task starts with it; its running tasks go on."""
        if ":" not in request["taskDefinition"].rpartition("/")[2]:
            raise client("Invalid revision number. Number: null")
        with self._store.locked():
            definition = self.find(request["taskDefinition"])
            document = definition.document | {"status": "INACTIVE", "deregisteredAt": time.time()}
            changed = TaskDefinition(definition.key, definition.arn, document, definition.tags)
            self._store.definitions.put(changed)
        return {"taskDefinition": document}

    def list_definitions(self, request: Document) -> Document:
        """Answer ListTaskDefinitions of a family or all families, with a status (default ACTIVE)."""
        known = self._family(request["familyPrefix"]) if "familyPrefix" in request else self._store.definitions.all()
        wanted = [one for one in known if one.document["status"] == request.get("status", "ACTIVE")]
        wanted.sort(key=lambda one: (one.document["family"], one.document["revision"]))
        if request.get("sort") == "DESC":
            wanted.reverse()
        return {"taskDefinitionArns": [one.arn for one in wanted][: request.get("maxResults", 100)]}

    def find(self, name: str, *, active: bool = False) -> TaskDefinition:
        """Return the task definition of that name. Raises ClientException if there is none, or none that is ACTIVE."""
        key = name.rpartition("/")[2] if name.startswith("arn:") else name
        if ":" in key:
            found = self._store.definitions.find(key)
        else:
            family = [one for one in self._family(key) if one.document["status"] == "ACTIVE"]
            found = max(family, key=lambda one: one.document["revision"], default=None)
        if found is None or (name.startswith("arn:") and found.arn != name):
            raise client("Unable to describe task definition." if not active else "TaskDefinition not found.")
        if active and found.document["status"] != "ACTIVE":
            raise client("TaskDefinition is inactive")
        return found

    def _family(self, family: str) -> list[TaskDefinition]:
        return [one for one in self._store.definitions.all() if one.document["family"] == family]


def _tags(definition: TaskDefinition) -> list[Document]:
    return [{"key": key, "value": value} for key, value in definition.tags.items()]


def _with_defaults(container: Document) -> Document:
    ports = [{"protocol": "tcp", "hostPort": one["containerPort"], **one} for one in container.get("portMappings", [])]
    defaults = {
        "cpu": 0,
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
    }
    return {**defaults, **container, "portMappings": ports}


def _refusals(request: Document) -> list[tuple[bool, str]]:
    """Return (refused, message) pairs: Fargate's refusals in AWS's words, and the limits of processes on loopback."""
    containers = request.get("containerDefinitions", [])
    if not _FAMILY.fullmatch(request.get("family", "")):
        raise client("Invalid family. Family must be 1 to 255 letters, numbers, underscores and hyphens.")
    if not containers:
        raise client("Container list cannot be empty.")
    container, cpu, memory = containers[0], request.get("cpu", ""), request.get("memory", "")
    execution_role = "executionRoleArn" in request
    return [
        (
            request.get("requiresCompatibilities") != ["FARGATE"],
            "The embedded ECS supports only FARGATE: set requiresCompatibilities",
        ),
        (request.get("networkMode") != "awsvpc", "Fargate only supports network mode 'awsvpc'."),
        (not cpu, "Fargate requires that 'cpu' be defined at the task level."),
        (not memory, "Fargate requires that 'memory' be defined at the task level."),
        (
            not memory.isdigit() or int(memory) not in MEMORY_OF_CPU.get(cpu, ()),
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values.",
        ),
        (len(containers) > 1, "The embedded ECS runs one container per task: sidecars are not supported"),
        (bool(request.get("volumes")), "The embedded ECS does not mount volumes"),
        (not container.get("name"), "Container.name should not be null or empty."),
        (not container.get("image"), "Container.image should not be null or empty."),
        (not container.get("essential", True), "At least one container in a task definition must be essential."),
        *((bool(container.get(name)), f"The embedded ECS does not support Container.{name}") for name in UNSUPPORTED),
        (
            bool(_ECR.fullmatch(container.get("image", ""))) and not execution_role,
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ),
        (
            "logConfiguration" in container and not execution_role,
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
        (
            bool(container.get("secrets")) and not execution_role,
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
        (
            any(one.get("hostPort", one.get("containerPort")) != one.get("containerPort") for one in _ports(container)),
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ),
        (
            container.get("stopTimeout", 0) > LONGEST_STOP_S,
            f"Container.stopTimeout must be at most {LONGEST_STOP_S} seconds on Fargate.",
        ),
        *_environment_refusals(container),
        *_log_refusals(container.get("logConfiguration")),
    ]


def _ports(container: Document) -> list[Document]:
    ports: list[Document] = container.get("portMappings", [])
    if any("containerPort" not in one for one in ports):
        raise invalid("Container port is missing in a port mapping.")
    return ports


def _environment_refusals(container: Document) -> list[tuple[bool, str]]:
    plain = [one.get("name") for one in container.get("environment", [])]
    secret = [one["name"] for one in container.get("secrets", [])]
    both = sorted({name for name in secret if name in plain or secret.count(name) > 1})
    known = (_REFERENCE, _PARAMETER_NAME)
    wrong = [
        one["name"]
        for one in container.get("secrets", [])
        if not any(form.fullmatch(one["valueFrom"]) for form in known)
    ]
    return [
        (
            bool(both),
            "The secret name must be unique and not shared with any new or existing environment variables set on the "
            f"container, such as '{''.join(both[:1])}'.",
        ),
        (bool(wrong), f"Invalid secret: valueFrom of {''.join(wrong[:1])} is neither a secret's ARN nor a parameter"),
    ]


def _log_refusals(logs: Document | None) -> list[tuple[bool, str]]:
    if logs is None:
        return []
    missing = [option for option in LOG_OPTIONS if option not in logs.get("options", {})]
    return [
        (
            logs["logDriver"] != "awslogs",
            f"The embedded ECS does not support log driver {logs['logDriver']}: use awslogs",
        ),
        (bool(missing), f"Log driver awslogs requires options: {', '.join(missing)}"),
    ]

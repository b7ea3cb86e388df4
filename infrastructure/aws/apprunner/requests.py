"""Requests to App Runner, and the meaning of its operations: pure functions, so that a test of a rule takes one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import ProvisionFailed
from deployment.model import Colour

COLOUR_VARIABLE = "DEPLOY_COLOR"

UNDER_WAY = frozenset({"PENDING", "IN_PROGRESS"})
FAILED = frozenset({"FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_SUCCEEDED"})
"""ROLLBACK_IN_PROGRESS ends in ROLLBACK_SUCCEEDED or ROLLBACK_FAILED: waiting 15 minutes more would change nothing."""

DEPLOYS = frozenset({"CREATE_SERVICE", "UPDATE_SERVICE", "START_DEPLOYMENT"})
_LEAVES_THE_OLD_ONE_SERVING = frozenset({"UPDATE_SERVICE", "START_DEPLOYMENT"})


@dataclass(frozen=True)
class Operation:
    """One entry of ListOperations."""

    id: str
    type: str
    status: str

    @property
    def ended(self) -> bool:
        """Whether App Runner has finished the operation, including its rollback."""
        return self.status not in UNDER_WAY and self.status != "ROLLBACK_IN_PROGRESS"

    def __str__(self) -> str:
        return f"{self.type} {self.id} is {self.status}"


@dataclass(frozen=True)
class Step:
    """The content of a rollout's ``operation``: the operation to follow and, until its image is being deployed, the image.

    Written as ``ID`` or ``ID>URI``. The second form means: once nothing newer than ID is under way, deploy URI. It holds
    everything that another process needs to continue. ID is empty if the service had no operation yet.
    """

    operation: str
    then_deploy: str = ""

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read the text that ``__str__`` wrote."""
        operation, _, uri = text.partition(">")
        return cls(operation, uri)

    def __str__(self) -> str:
        return f"{self.operation}>{self.then_deploy}" if self.then_deploy else self.operation


def operation_of(entry: Mapping[str, Any]) -> Operation:
    """Return an OperationSummary as a value."""
    return Operation(str(entry.get("Id", "")), str(entry.get("Type", "")), str(entry.get("Status", "")))


def newer_than(operation_id: str, operations: Sequence[Operation]) -> Sequence[Operation]:
    """Return the operations of a newest-first list that came after this one; all of them if it is not in the list."""
    ids = [operation.id for operation in operations]
    return operations[: ids.index(operation_id)] if operation_id in ids else operations


def serves(status: str, operations: Sequence[Operation]) -> bool:
    """Return whether the service answers requests: by its status or, while an operation is under way, by its history."""
    if status != "OPERATION_IN_PROGRESS":
        return status == "RUNNING"
    for operation in operations:
        if not operation.ended:
            if operation.type not in _LEAVES_THE_OLD_ONE_SERVING:
                return False
        elif operation.status in ("SUCCEEDED", "ROLLBACK_SUCCEEDED"):
            return operation.type != "PAUSE_SERVICE"
    return False


def identifier(service: Mapping[str, Any]) -> str:
    """Return the configured image; empty for a service that is built from source code."""
    source = service.get("SourceConfiguration", {})
    return str(source.get("ImageRepository", {}).get("ImageIdentifier", ""))


def digest(service: Mapping[str, Any]) -> str | None:
    """Return the configured image's digest; None if the image is named by a tag."""
    return identifier(service).partition("@")[2] or None


def configuration_hash(service: Mapping[str, Any]) -> str:
    """Return a hash over the configuration except the image: variables, secrets' names, size, health check, network."""
    source = {key: value for key, value in service.get("SourceConfiguration", {}).items() if key != "ImageRepository"}
    repository = service.get("SourceConfiguration", {}).get("ImageRepository", {})
    configured = {
        "source": source,
        "image": repository.get("ImageConfiguration"),
        **{
            key: service.get(key)
            for key in ("InstanceConfiguration", "HealthCheckConfiguration", "NetworkConfiguration")
        },
    }
    return hashlib.sha256(json.dumps(configured, sort_keys=True, default=str).encode()).hexdigest()


def update_request(service: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return the UpdateService request for a new image. It replaces SourceConfiguration as a whole; other fields stay."""
    return {"ServiceArn": service["ServiceArn"], "SourceConfiguration": _source(service, uri)}


def create_request(
    sibling: Mapping[str, Any], tags: Sequence[Mapping[str, str]], name: str, colour: Colour, uri: str
) -> dict[str, Any]:
    """Return the CreateService request for a colour.

    It has the other colour's configuration, with its own name, image, colour variable and colour tags.
    """
    source = _source(sibling, uri)
    configuration = source["ImageRepository"].get("ImageConfiguration", {})
    variables = configuration.get("RuntimeEnvironmentVariables", {})
    if COLOUR_VARIABLE in variables:
        configuration["RuntimeEnvironmentVariables"] = {**variables, COLOUR_VARIABLE: str(colour)}
    request: dict[str, Any] = {"ServiceName": name, "SourceConfiguration": source}
    for part in (
        "InstanceConfiguration",
        "HealthCheckConfiguration",
        "NetworkConfiguration",
        "ObservabilityConfiguration",
        "EncryptionConfiguration",
    ):
        if sibling.get(part):
            request[part] = sibling[part]
    scaling = sibling.get("AutoScalingConfigurationSummary", {}).get("AutoScalingConfigurationArn")
    if scaling:
        request["AutoScalingConfigurationArn"] = scaling
    own = [_tag(tag, colour) for tag in tags if not tag["Key"].startswith("aws:")]
    if own:
        request["Tags"] = own
    return request


def _source(service: Mapping[str, Any], uri: str) -> dict[str, Any]:
    source = dict(service.get("SourceConfiguration", {}))
    if not identifier(service):
        raise ProvisionFailed(
            f"App Runner service {service.get('ServiceName')} is built from source code; only images can be deployed by digest",
            hint="Recreate it with an image of the registry as its source.",
        )
    image = dict(source["ImageRepository"])
    image["ImageIdentifier"] = uri
    if "ImageConfiguration" in image:
        image["ImageConfiguration"] = dict(image["ImageConfiguration"])
    # Its default for ECR is true: then a push, not a deployment, would decide which image runs.
    return {**source, "ImageRepository": image, "AutoDeploymentsEnabled": False}


def _tag(tag: Mapping[str, str], colour: Colour) -> dict[str, str]:
    # Policies may refer to a tag that names the colour: the sibling's tag would give this service to the wrong role.
    value = tag.get("Value", "")
    return {"Key": tag["Key"], "Value": str(colour) if value == str(colour.other) else value}

"""What is sent to App Runner, and what its operations mean: pure functions, so that each rule can be tried in a line."""

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
"""ROLLBACK_IN_PROGRESS can only end in a rollback that worked or did not: waiting 15 minutes more would change nothing."""

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
        """Whether App Runner is done with it, a rollback included."""
        return self.status not in UNDER_WAY and self.status != "ROLLBACK_IN_PROGRESS"

    def __str__(self) -> str:
        return f"{self.type} {self.id} is {self.status}"


@dataclass(frozen=True)
class Step:
    """What a rollout's ``operation`` says: the operation to follow and, where its image is not on its way yet, which.

    Written as ``ID`` or ``ID>URI``. The second form means: once nothing newer than ID is under way, deploy URI; it holds
    all that another process needs to go on. ID is empty where the service had no operation yet.
    """

    operation: str
    then_deploy: str = ""

    @classmethod
    def parse(cls, text: str) -> Step:
        """Reads what ``__str__`` wrote."""
        operation, _, uri = text.partition(">")
        return cls(operation, uri)

    def __str__(self) -> str:
        return f"{self.operation}>{self.then_deploy}" if self.then_deploy else self.operation


def operation_of(entry: Mapping[str, Any]) -> Operation:
    """One OperationSummary as a value."""
    return Operation(str(entry.get("Id", "")), str(entry.get("Type", "")), str(entry.get("Status", "")))


def newer_than(operation_id: str, operations: Sequence[Operation]) -> Sequence[Operation]:
    """Those of a newest-first list that came after the operation; all of them where it is not in the list."""
    ids = [operation.id for operation in operations]
    return operations[: ids.index(operation_id)] if operation_id in ids else operations


def serves(status: str, operations: Sequence[Operation]) -> bool:
    """Whether the service answers requests. While an operation is under way the status does not say; its history does."""
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
    """The configured image, empty for a service that is built from source code."""
    source = service.get("SourceConfiguration", {})
    return str(source.get("ImageRepository", {}).get("ImageIdentifier", ""))


def digest(service: Mapping[str, Any]) -> str | None:
    """The configured image's digest, None where it is named by a tag."""
    return identifier(service).partition("@")[2] or None


def configuration_hash(service: Mapping[str, Any]) -> str:
    """A hash over all that is configured but the image: variables, secrets' names, size, health check, network."""
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
    """UpdateService for a new image: what is not named stays as it is, but SourceConfiguration is replaced as a whole."""
    return {"ServiceArn": service["ServiceArn"], "SourceConfiguration": _source(service, uri)}


def create_request(
    sibling: Mapping[str, Any], tags: Sequence[Mapping[str, str]], name: str, colour: Colour, uri: str
) -> dict[str, Any]:
    """CreateService for a colour, configured as the other one is, with its own name, image, colour variable and colour tags."""
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
    # Left out, it means true for ECR: then a push, not a deployment, would decide what runs.
    return {**source, "ImageRepository": image, "AutoDeploymentsEnabled": False}


def _tag(tag: Mapping[str, str], colour: Colour) -> dict[str, str]:
    # Rights may hang on a tag that names the colour: the sibling's would give this service to the wrong role.
    value = tag.get("Value", "")
    return {"Key": tag["Key"], "Value": str(colour) if value == str(colour.other) else value}

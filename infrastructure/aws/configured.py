"""A colour's configuration besides its image, read from the platforms' answers: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deployment.model import Configuration

_PER_REGISTRATION = frozenset(
    {"family", "revision", "taskDefinitionArn", "status", "registeredAt", "registeredBy", "deregisteredAt"}
)
"""Fields of a task definition that differ with each registration."""
_DERIVED = frozenset({"compatibilities", "requiresAttributes"})
"""Fields of a task definition that ECS derives from the others."""
_SERVICE_FIELDS = ("launchType", "capacityProviderStrategy", "platformVersion", "schedulingStrategy",
            "healthCheckGracePeriodSeconds", "enableExecuteCommand")  # fmt: skip


def of_app_runner(service: Mapping[str, Any]) -> Configuration:
    """Return the configuration of an App Runner service, given as DescribeService returns it.

    Omits AutoDeploymentsEnabled, which each deployment sets itself.
    """
    source = dict(service.get("SourceConfiguration", {}))
    image = dict(source.pop("ImageRepository", {}).get("ImageConfiguration", {}))
    source.pop("AutoDeploymentsEnabled", None)
    variables = image.pop("RuntimeEnvironmentVariables", {})
    own_arn = str(service.get("ServiceArn", ""))
    secrets = {name: _arn(one, own_arn) for name, one in image.pop("RuntimeEnvironmentSecrets", {}).items()}
    parts = (
        "InstanceConfiguration",
        "HealthCheckConfiguration",
        "NetworkConfiguration",
        "ObservabilityConfiguration",
        "EncryptionConfiguration",
    )
    rest = {"Image": image, **source, **{part: service.get(part) or {} for part in parts}}
    scaling = service.get("AutoScalingConfigurationSummary", {}).get("AutoScalingConfigurationArn")
    return Configuration(dict(variables), secrets, flat(rest | ({"AutoScaling": scaling} if scaling else {})))


def of_ecs(service: Mapping[str, Any], definition: Mapping[str, Any]) -> Configuration:
    """Return the configuration of an ECS service and of its task definition.

    Omits images, the number of tasks, and security groups: each colour has a security group of its own, so comparing
    their ids proves nothing.
    """
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    containers: dict[str, Any] = {}
    own_arn = str(definition.get("taskDefinitionArn", ""))
    for container in definition.get("containerDefinitions", ()):
        own = {key: value for key, value in container.items() if key not in ("image", "environment", "secrets")}
        name = str(own.pop("name", ""))
        containers[name] = own
        variables |= {f"{name}.{one['name']}": str(one["value"]) for one in container.get("environment", ())}
        secrets |= {
            f"{name}.{one['name']}": _arn(str(one["valueFrom"]), own_arn) for one in container.get("secrets", ())
        }
    left_out = _PER_REGISTRATION | _DERIVED | {"containerDefinitions"}
    task = {key: value for key, value in definition.items() if key not in left_out}
    how = {key: service[key] for key in _SERVICE_FIELDS if service.get(key) is not None}
    network = service.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    how |= {"subnets": sorted(network.get("subnets", ())), "assignPublicIp": network.get("assignPublicIp")}
    return Configuration(variables, secrets, flat({"Container": containers, "Task": task, "Service": how}))


def _arn(given: str, owner: str) -> str:
    """Return the ARN of a secret or parameter: a name alone is a parameter of its owner's region and account."""
    parts = owner.split(":")
    if given.startswith("arn:") or len(parts) < 5:
        return given
    return f"arn:{parts[1]}:ssm:{parts[3]}:{parts[4]}:parameter/{given.removeprefix('/')}"


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Return a nested value as a flat table: keys joined by dots, list items by position."""
    if isinstance(value, Mapping):
        parts: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return {name: str(value)}
    found: dict[str, str] = {}
    for key, part in parts:
        found |= flat(part, f"{name}.{key}" if name else str(key))
    return found

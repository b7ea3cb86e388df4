"""App Runner's defaults, and its refusals beyond the constraints of its model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from infrastructure.embedded.aws.apprunner import health
from infrastructure.embedded.aws.apprunner.records import Document, Settings
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import invalid_request

MEMORY_OF_CPU = {
    # https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html: the supported pairs (CPU units, MB).
    "256": ("512", "1024"),
    "512": ("1024",),
    "1024": ("2048", "3072", "4096"),
    "2048": ("4096", "6144"),
    "4096": ("8192", "10240", "12288"),
}
DEFAULT_INSTANCE = {"Cpu": "1024", "Memory": "2048"}
DEFAULT_NETWORK: Document = {
    "EgressConfiguration": {"EgressType": "DEFAULT"},
    "IngressConfiguration": {"IsPubliclyAccessible": True},
    "IpAddressType": "IPV4",
}
RESERVED_PREFIX = "AWSAPPRUNNER"
TAGS = 50
DOMAINS = 5
DEFAULT_ID = "0" * 31 + "1"
"""The id in the ARNs of App Runner's default configurations."""

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/.+")
_REFERENCE = re.compile(r"arn:aws:(secretsmanager:[a-z0-9-]+:\d{12}:secret|ssm:[a-z0-9-]+:\d{12}:parameter).+")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")


def autoscaling_arn(config: EndpointConfig) -> str:
    """Return the ARN of the default configuration, which is the only one here."""
    return config.arn(f"autoscalingconfiguration/DefaultConfiguration/1/{DEFAULT_ID}")


def created(request: Document, config: EndpointConfig) -> Settings:
    """Return CreateService's settings with App Runner's defaults."""
    start = Settings({}, DEFAULT_INSTANCE, health.DEFAULTS, DEFAULT_NETWORK, {}, autoscaling_arn(config))
    return updated(start, {"ObservabilityConfiguration": {"ObservabilityEnabled": False}} | request, config)


def updated(settings: Settings, request: Document, config: EndpointConfig) -> Settings:
    """Return the settings after a request: omitted members stay unchanged, SourceConfiguration is replaced.

    Raises InvalidRequestException if App Runner refuses the result.
    """
    merged = replace(
        settings,
        source=_with_source_defaults(request.get("SourceConfiguration", settings.source)),
        instance=settings.instance | _units(request.get("InstanceConfiguration", {})),
        health_check=settings.health_check | request.get("HealthCheckConfiguration", {}),
        network=settings.network | request.get("NetworkConfiguration", {}),
        observability=request.get("ObservabilityConfiguration", settings.observability),
    )
    _refuse_autoscaling(request, config)
    for refused, reason in REFUSALS:
        if refused(merged):
            raise invalid_request(reason)
    return merged


def refuse_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidRequestException if there are more tags than AWS allows per resource."""
    if len(tags) > TAGS:
        raise invalid_request(f"Tags: more than {TAGS} tags on one resource")


def _with_source_defaults(source: Document) -> Document:
    if "CodeRepository" in source or "ImageRepository" not in source:
        return source  # REFUSALS refuses it
    image = source["ImageRepository"]
    configuration = {"Port": "8080"} | image.get("ImageConfiguration", {})
    automatic = source.get("AutoDeploymentsEnabled", image["ImageRepositoryType"] == "ECR")
    renewed = image | {"ImageConfiguration": configuration}
    return source | {"ImageRepository": renewed, "AutoDeploymentsEnabled": automatic}


def _units(instance: Document) -> Document:
    """Return the members in App Runner's units: `1 vCPU` → `1024`, `2 GB` → `2048`."""
    units = {"Cpu": " vCPU", "Memory": " GB"}
    return {
        name: str(int(float(value.removesuffix(units[name])) * 1024))
        if value.endswith(units.get(name, "\0"))
        else value
        for name, value in instance.items()
    }


def _refuse_autoscaling(request: Document, config: EndpointConfig) -> None:
    wanted = request.get("AutoScalingConfigurationArn")
    default = autoscaling_arn(config)
    short = (default.removesuffix(f"/{DEFAULT_ID}"), default.removesuffix(f"/1/{DEFAULT_ID}"))
    if wanted is not None and wanted not in (default, *short):
        raise invalid_request(f"AutoScalingConfigurationArn: no such auto scaling configuration: {wanted}")


def _references(settings: Settings) -> dict[str, str]:
    return dict(settings.image_configuration.get("RuntimeEnvironmentSecrets", {}))


def _not_an_image(settings: Settings) -> bool:
    return "CodeRepository" in settings.source or "ImageRepository" not in settings.source


def _wrong_registry(settings: Settings) -> bool:
    private = bool(_ECR.fullmatch(settings.image["ImageIdentifier"]))
    return bool(private != (settings.image["ImageRepositoryType"] == "ECR"))


def _no_access_role(settings: Settings) -> bool:
    authentication = settings.source.get("AuthenticationConfiguration", {})
    return bool(settings.image["ImageRepositoryType"] == "ECR" and "AccessRoleArn" not in authentication)


def _bad_reference(settings: Settings) -> bool:
    known = (_REFERENCE, _PARAMETER_NAME)
    return not all(any(form.fullmatch(arn) for form in known) for arn in _references(settings).values())


def _reserved_name(settings: Settings) -> bool:
    names = {**settings.image_configuration.get("RuntimeEnvironmentVariables", {}), **_references(settings)}
    return any(name.startswith(RESERVED_PREFIX) for name in names)


def _bad_port(settings: Settings) -> bool:
    port = settings.image_configuration["Port"]
    return not (re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536)


def _vpc_connector(settings: Settings) -> bool:
    egress = settings.network.get("EgressConfiguration", {})
    return egress.get("EgressType") == "VPC" or "VpcConnectorArn" in egress


REFUSALS: tuple[tuple[Callable[[Settings], bool], str], ...] = (
    (
        _not_an_image,
        "SourceConfiguration: exactly one ImageRepository is required (code repositories are not supported)",
    ),
    (_wrong_registry, "ImageRepository.ImageIdentifier does not match ImageRepositoryType"),
    (
        _no_access_role,
        "AuthenticationConfiguration.AccessRoleArn is required for an image of a private ECR repository",
    ),
    (
        lambda settings: settings.image["ImageRepositoryType"] != "ECR" and settings.source["AutoDeploymentsEnabled"],
        "AutoDeploymentsEnabled is not supported for ImageRepositoryType ECR_PUBLIC",
    ),
    (_bad_port, "ImageConfiguration.Port is not a port"),
    (_bad_reference, "RuntimeEnvironmentSecrets: a value is neither a secret's ARN nor a parameter"),
    (
        lambda settings: bool(_references(settings)) and "InstanceRoleArn" not in settings.instance,
        "InstanceConfiguration.InstanceRoleArn is required if RuntimeEnvironmentSecrets are given",
    ),
    (_reserved_name, f"RuntimeEnvironmentVariables: names that begin with {RESERVED_PREFIX} are reserved"),
    (
        lambda settings: settings.instance["Memory"] not in MEMORY_OF_CPU[settings.instance["Cpu"]],
        "InstanceConfiguration: Cpu and Memory are not a supported combination",
    ),
    (_vpc_connector, "NetworkConfiguration.EgressConfiguration.VpcConnectorArn: no such VPC connector"),
    (
        lambda settings: "ObservabilityConfigurationArn" in settings.observability,
        "ObservabilityConfiguration.ObservabilityConfigurationArn: no such observability configuration",
    ),
)

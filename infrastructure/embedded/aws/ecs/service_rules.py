"""ECS's refusals and defaults for a service's settings."""

from __future__ import annotations

from infrastructure.embedded.aws.ecs.errors import client, invalid
from infrastructure.embedded.aws.ecs.records import Document, TaskDefinition
from infrastructure.embedded.aws.elbv2.store import Store as Balancers
from infrastructure.embedded.aws.errors import AwsError

DEPLOYS = ("networkConfiguration", "loadBalancers", "platformVersion")
"""Settings whose change starts new tasks; the other settings do not affect running tasks."""
SETTINGS = (
    *DEPLOYS,
    "deploymentConfiguration",
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
)
NEUTRAL = {
    # Members that are accepted only with a value that holds here anyway.
    "launchType": ("FARGATE",),
    "schedulingStrategy": ("REPLICA",),
    "deploymentController": ({"type": "ECS"},),
    "availabilityZoneRebalancing": ("DISABLED", "ENABLED"),
    "placementConstraints": ([],),
    "placementStrategy": ([],),
    "serviceRegistries": ([],),
    "capacityProviderStrategy": ([],),
}
OTHERWISE_KNOWN = {
    "cluster",
    "service",
    "serviceName",
    "taskDefinition",
    "desiredCount",
    "clientToken",
    "tags",
    "forceNewDeployment",
}
DEFAULT_DEPLOYMENT: Document = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
}


def refuse_settings(settings: Document, definition: TaskDefinition, balancers: Balancers) -> None:
    """Raise InvalidParameterException for settings that contradict each other or name unknown resources."""
    network = settings["networkConfiguration"].get("awsvpcConfiguration", {})
    if not network.get("subnets"):
        raise invalid("subnets can not be empty.")
    served = settings.get("loadBalancers", [])
    if "healthCheckGracePeriodSeconds" in settings and not served:
        raise invalid("Health check grace period is only valid for services configured to use load balancers")
    if len(served) > 1:
        raise invalid("The embedded ECS supports one target group per service")
    for balancer in served:
        _refuse_balancer(balancer, definition, balancers)


def _refuse_balancer(balancer: Document, definition: TaskDefinition, balancers: Balancers) -> None:
    for needed in ("targetGroupArn", "containerName", "containerPort"):
        if needed not in balancer:
            raise invalid(f"{needed} can not be blank in a load balancer of a service.")
    container = definition.container
    if balancer["containerName"] != container["name"]:
        raise invalid(f"The container {balancer['containerName']} does not exist in the task definition.")
    if balancer["containerPort"] not in [one["containerPort"] for one in container["portMappings"]]:
        raise invalid(
            f"The container {container['name']} did not have a container port {balancer['containerPort']} defined."
        )
    arn = balancer["targetGroupArn"]
    try:
        balancers.get("targetgroup", arn)
    except AwsError as exc:
        raise invalid(f"The specified target group does not exist. targetGroupArn: {arn}") from exc
    if balancers.balancer_of(arn) is None:
        raise invalid(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")


def refuse_unsupported(request: Document) -> None:
    """Raise ClientException for members that would change how a service runs and are not supported here."""
    unknown = sorted(request.keys() - OTHERWISE_KNOWN - set(SETTINGS) - NEUTRAL.keys())
    wrong = [name for name, allowed in NEUTRAL.items() if name in request and request[name] not in allowed]
    if unknown or wrong:
        raise client(f"Not supported by the embedded ECS: {', '.join([*unknown, *wrong])}")


def deployment_configuration(request: Document, before: Document) -> Document:
    """Return the deployment configuration after a request; omitted members stay unchanged. Raises AwsError."""
    wanted: Document = before | request.get("deploymentConfiguration", {})
    if wanted["strategy"] != "ROLLING" or wanted.get("alarms", {}).get("enable") or wanted.get("lifecycleHooks"):
        raise client(
            "Not supported by the embedded ECS: deployment strategies other than ROLLING, alarms and lifecycle hooks"
        )
    if not 0 <= wanted["minimumHealthyPercent"] <= 100 or wanted["maximumPercent"] < 100:
        raise invalid("maximumPercent must be at least 100, and minimumHealthyPercent must be between 0 and 100")
    if wanted["maximumPercent"] == wanted["minimumHealthyPercent"] == 100:
        raise invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
    return wanted

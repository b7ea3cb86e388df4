"""An existing ECS service with its load balancer, read for `adopt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import CloudError, NotFound, Refused
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.adoption.routes import Route
from infrastructure.aws.errors import aws_code

_SERVICE = "ecs:service:DesiredCount"


@dataclass(frozen=True)
class EcsService:
    """One service, as DescribeServices and DescribeTaskDefinition return it; ``bounds`` are those of its autoscaling."""

    document: Mapping[str, Any]
    definition: Mapping[str, Any]
    bounds: tuple[int, int] | None

    @property
    def name(self) -> str:
        """The service's name."""
        return str(self.document["serviceName"])

    @property
    def target_groups(self) -> tuple[str, ...]:
        """The ARNs of the target groups that its tasks are registered in."""
        return tuple(
            str(one["targetGroupArn"]) for one in self.document.get("loadBalancers", ()) if one.get("targetGroupArn")
        )

    @property
    def network(self) -> Mapping[str, Any]:
        """Subnets, security groups and public addresses of its tasks; empty outside network mode awsvpc."""
        found: Mapping[str, Any] = self.document.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        return found


@dataclass(frozen=True)
class EcsEstate:
    """A service with its target group and the load balancer in front of it, and its second service if there is one."""

    cluster: str
    first: EcsService
    group: Mapping[str, Any]
    balancer: Mapping[str, Any]
    routes: Sequence[Route]
    second: EcsService | None
    second_group: str | None
    """The second service's target group, or the one beside the first service's in a rule."""

    @property
    def container(self) -> Mapping[str, Any]:
        """The container and the port that get the first service's traffic."""
        found: Mapping[str, Any] = self.first.document["loadBalancers"][0]
        return found


def read(reader: Reader, cluster: str, service: str, second: str) -> EcsEstate:
    """Return the estate around a service. Raises Refused for one that cannot have a second colour, NotPermitted, CloudError."""
    cluster = cluster.rpartition("/")[2]
    first = _service(reader, cluster, service)
    if first is None:
        raise Refused(
            f"cluster {cluster} has no service {service}",
            hint=f"List its services with `aws ecs list-services --cluster {cluster}`.",
        )
    group = _only_group(first)
    document = reader.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[group])["TargetGroups"][0]
    balancer = _balancer(reader, document)
    routes = _routes(reader, str(balancer["LoadBalancerArn"]))
    other = _service(reader, cluster, second)
    found = other.target_groups[0] if other is not None and other.target_groups else _beside(routes, group)
    return EcsEstate(cluster, first, document, balancer, routes, other, found)


def _service(reader: Reader, cluster: str, name: str) -> EcsService | None:
    try:
        found = reader.call("ecs", "DescribeServices", cluster=cluster, services=[name])["services"]
    except NotFound as error:
        if aws_code(error) != "ClusterNotFoundException":
            raise
        raise Refused(
            f"ECS cluster {cluster} does not exist in this account and region",
            hint="Compare --cluster, --region and --profile; `aws ecs list-clusters` lists the clusters.",
        ) from error
    if not found or found[0]["status"] == "INACTIVE":
        return None
    document = found[0]
    controller = document.get("deploymentController", {}).get("type", "ECS")
    if controller == "EXTERNAL":
        raise Refused(
            f"service {name} has the deployment controller EXTERNAL: its task sets hold the task definition and the load "
            "balancer, and another program deploys them",
            hint="Create the service again with the controller ECS (it cannot be changed), then call adopt again.",
        )
    definition = reader.call("ecs", "DescribeTaskDefinition", taskDefinition=document["taskDefinition"])
    return EcsService(document, definition["taskDefinition"], _bounds(reader, cluster, name))


def _bounds(reader: Reader, cluster: str, name: str) -> tuple[int, int] | None:
    found = reader.call(
        "application-autoscaling",
        "DescribeScalableTargets",
        ServiceNamespace="ecs",
        ScalableDimension=_SERVICE,
        ResourceIds=[f"service/{cluster}/{name}"],
    )["ScalableTargets"]
    return (int(found[0]["MinCapacity"]), int(found[0]["MaxCapacity"])) if found else None


def _only_group(service: EcsService) -> str:
    """Return the service's target group. Raises Refused unless it has exactly one, and tasks with addresses of their own."""
    document, groups = service.document, service.target_groups
    balancers = document.get("loadBalancers", ())
    if not balancers:
        connect = any(one.get("serviceConnectConfiguration") for one in document.get("deployments", ()))
        instead = "it is reached through Service Connect" if connect else "its tasks are in no target group"
        raise Refused(
            f"service {service.name} is behind no load balancer: {instead}, and traffic can only be moved by a load balancer's rule",
            hint="Put it behind an Application Load Balancer (infrastructure/terraform/modules/load-balancer), then call adopt again.",
        )
    if not groups:
        raise Refused(
            f"service {service.name} is behind a Classic Load Balancer, which has no rules and no weights",
            hint="Put it behind an Application Load Balancer (infrastructure/terraform/modules/load-balancer), then call adopt again.",
        )
    if len(groups) > 1:
        names = ", ".join(arn.rpartition(":")[2] for arn in groups)
        raise Refused(
            f"service {service.name} registers its tasks in {len(groups)} target groups ({names}): one rule moves the traffic "
            "of one group, and the rest would stay on the old release",
            hint="Expected exactly one target group: give the other traffic a service of its own, then call adopt again.",
        )
    if not service.network:
        raise Refused(
            f"service {service.name} has the network mode {service.definition.get('networkMode', 'bridge')}: a second service "
            "like it can only be made for awsvpc",
            hint="Set network_mode to awsvpc in its task definition, and target_type to ip in its target group.",
        )
    return groups[0]


def _balancer(reader: Reader, group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the load balancer of a target group. Raises Refused unless it is one Application Load Balancer."""
    arns = list(dict.fromkeys(group.get("LoadBalancerArns", ())))
    if len(arns) != 1:
        many = "no load balancer forwards" if not arns else f"{len(arns)} load balancers forward"
        raise Refused(
            f"{many} to target group {group['TargetGroupName']}: expected one",
            hint="A rule of a listener must forward to the target group; see `aws elbv2 describe-rules`.",
        )
    try:
        found = reader.call("elbv2", "DescribeLoadBalancers", LoadBalancerArns=arns)["LoadBalancers"][0]
    except (IndexError, KeyError) as error:
        raise CloudError(f"AWS does not describe the load balancer {arns[0]}") from error
    balancer: Mapping[str, Any] = found
    if balancer.get("Type") != "application":
        raise Refused(
            f"{balancer['LoadBalancerName']} is a {balancer.get('Type')} load balancer: only an Application Load Balancer has "
            "rules with weights",
            hint="Put the service behind an Application Load Balancer (infrastructure/terraform/modules/load-balancer).",
        )
    return balancer


def _routes(reader: Reader, balancer: str) -> list[Route]:
    """Return every rule of every listener."""
    listeners = reader.pages("elbv2", "DescribeListeners", "Listeners", LoadBalancerArn=balancer)
    return [
        Route(listener, rule)
        for listener in listeners
        for rule in reader.pages("elbv2", "DescribeRules", "Rules", ListenerArn=listener["ListenerArn"])
    ]


def _beside(routes: Sequence[Route], group: str) -> str | None:
    """Return the only other target group of a rule that forwards to a group; None if there is none, or several."""
    others = {other for one in routes if group in one.groups for other in one.groups - {group}}
    return next(iter(others)) if len(others) == 1 else None

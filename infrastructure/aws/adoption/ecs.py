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
_OF_A_TASK_SET = (
    "taskDefinition",
    "loadBalancers",
    "networkConfiguration",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
)
_BEHIND_ALB = "Put it behind an Application Load Balancer (infrastructure/terraform/modules/load-balancer), then call adopt again."


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

    @property
    def other_ways(self) -> tuple[str, ...]:
        """The names of the ways in which other services reach it without the load balancer."""
        ways = {
            "Service Connect": any(one.get("services") for one in self._of_deployments("serviceConnectConfiguration")),
            "service discovery (AWS Cloud Map)": bool(self.document.get("serviceRegistries")),
            "VPC Lattice": any(self._of_deployments("vpcLatticeConfigurations")),
        }
        return tuple(way for way, used in ways.items() if used)

    @property
    def only_by_hand(self) -> tuple[str, ...]:
        """The parts of its configuration that the module ecs-service does not know, by their names in Terraform."""
        connect = any(one.get("enabled") for one in self._of_deployments("serviceConnectConfiguration"))
        parts = {
            "service_connect_configuration": connect,
            "service_registries": bool(self.document.get("serviceRegistries")),
            "vpc_lattice_configurations": any(self._of_deployments("vpcLatticeConfigurations")),
            "volume_configuration": any(self._of_deployments("volumeConfigurations")),
            "placement_constraints": bool(self.document.get("placementConstraints")),
            "ordered_placement_strategy": bool(self.document.get("placementStrategy")),
        }
        return tuple(name for name, used in parts.items() if used)

    def _of_deployments(self, key: str) -> list[Any]:
        return [one[key] for one in self.document.get("deployments", ()) if one.get(key)]


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
        group = str(self.group["TargetGroupArn"])
        found: Mapping[str, Any] = next(
            one for one in self.first.document["loadBalancers"] if one.get("targetGroupArn") == group
        )
        return found


def read(reader: Reader, cluster: str, service: str, second: str) -> EcsEstate:
    """Return the estate around a service. Raises Refused for one that cannot have a second colour, NotPermitted, CloudError."""
    cluster = cluster.rpartition("/")[2]
    if second == service:
        raise Refused(
            f"--second-service {second} is the service itself",
            hint="Name another service of the cluster, or omit --second-service.",
        )
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
    own = [one for one in other.target_groups if one != group] if other is not None else []
    found = own[0] if own else _beside(routes, group, second)
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
    document = _usable(name, found[0])
    definition = reader.call("ecs", "DescribeTaskDefinition", taskDefinition=document["taskDefinition"])
    return EcsService(document, definition["taskDefinition"], _bounds(reader, cluster, name))


def _usable(name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a service's document, with the values of its primary task set. Raises Refused if it cannot be a colour."""
    if document["status"] == "DRAINING":
        raise Refused(
            f"service {name} is being deleted (its status is DRAINING)",
            hint="Wait until it is INACTIVE, then create it again or name another service.",
        )
    if document.get("schedulingStrategy") == "DAEMON":
        raise Refused(
            f"service {name} has the scheduling strategy DAEMON: ECS decides the number of its tasks, and a deployment must",
            hint="Create the service again with the scheduling strategy REPLICA, then call adopt again.",
        )
    if document.get("resourceManagementType") == "ECS":
        raise Refused(
            f"service {name} is an Express Mode service: ECS itself manages its load balancer and moves its traffic",
            hint="Create the service with CreateService, behind a load balancer of your own, then call adopt again.",
        )
    strategy = document.get("deploymentConfiguration", {}).get("strategy", "ROLLING")
    if strategy != "ROLLING":
        # The two target groups take turns, and the service always names the same one: the other may be the live one.
        raise Refused(
            f"service {name} has the deployment strategy {strategy}: ECS itself moves its traffic between two target groups",
            hint="Deploy once more if its rule sends traffic to the alternate target group; then set the strategy to ROLLING "
            "(`aws ecs update-service --deployment-configuration strategy=ROLLING`) and call adopt again.",
        )
    controller = document.get("deploymentController", {}).get("type", "ECS")
    if controller == "EXTERNAL":
        raise Refused(
            f"service {name} has the deployment controller EXTERNAL: its task sets hold the task definition and the load "
            "balancer, and another program deploys them",
            hint="Create the service again with the controller ECS, then call adopt again.",
        )
    # CodeDeploy replaces task sets: the primary one runs, and the service may still have the values of its creation.
    task_sets: Sequence[Mapping[str, Any]] = document.get("taskSets", ())
    primary = next((one for one in task_sets if one.get("status") == "PRIMARY"), {})
    document = {**document, **{key: primary[key] for key in _OF_A_TASK_SET if primary.get(key)}}
    if not document.get("taskDefinition"):
        raise Refused(
            f"service {name} runs no task definition (its deployment controller is {controller})",
            hint="Deploy it once, then call adopt again.",
        )
    return document


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
            hint=_BEHIND_ALB,
        )
    if not groups:
        raise Refused(
            f"service {service.name} is behind a Classic Load Balancer, which has no rules and no weights",
            hint=_BEHIND_ALB,
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
    """Return every rule of every listener, each listener with all its certificates."""
    listeners = reader.pages("elbv2", "DescribeListeners", "Listeners", LoadBalancerArn=balancer)
    return [
        Route(listener, rule)
        for listener in (_with_certificates(reader, one) for one in listeners)
        for rule in reader.pages("elbv2", "DescribeRules", "Rules", ListenerArn=listener["ListenerArn"])
    ]


def _with_certificates(reader: Reader, listener: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a listener with its default certificate first: a listener describes itself without those for further domains."""
    if listener.get("Protocol") != "HTTPS":
        return listener
    found = reader.pages("elbv2", "DescribeListenerCertificates", "Certificates", ListenerArn=listener["ListenerArn"])
    return {**listener, "Certificates": sorted(found, key=lambda one: not one.get("IsDefault"))}


def _beside(routes: Sequence[Route], group: str, second: str) -> str | None:
    """Return the only other target group of a rule that forwards to a group; None if there is none, or several.

    Raises Refused if it gets requests: then another service than ``second``, which does not exist, answers there.
    """
    others = {other for one in routes if group in one.groups for other in one.groups - {group}}
    if len(others) != 1:
        return None
    (other,) = others
    used = next((one for one in routes if group in one.groups and one.weights.get(other)), None)
    if used is not None:
        raise Refused(
            f"{used} sends requests to {other.rpartition(':')[2]} as well, and no service {second} is registered there",
            hint="Name the service behind that target group with --second-service, or give the target group the weight 0.",
        )
    return other

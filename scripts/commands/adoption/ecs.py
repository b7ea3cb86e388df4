"""Findings and settings for a service on ECS behind an Application Load Balancer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from deployment.errors import Refused
from deployment.preflight.drift import differences
from infrastructure.aws.adoption import ecs
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.adoption.routes import Route, Routes, priority_before, routes_of
from infrastructure.aws.configured import of_ecs
from infrastructure.aws.ecs.requests import digest_of, foreign_deployer, gives_up, image_of
from scripts.commands.adoption import parts
from scripts.commands.adoption.hcl import Expression, Module, Variable
from scripts.commands.adoption.model import Adoption, Finding, Request

VERIFIERS = Variable(
    "verifier_cidrs",
    "list(string)",
    "Addresses of the machines that run deployments, as the load balancer sees them; other machines do not reach the test listeners.",
)
_GRACE_S = 60
_MOST_SHOWN = 6


def adopt(reader: Reader, request: Request) -> Adoption:
    """Read the estate of a service on ECS and return what it lacks. Raises Refused, NotPermitted, CloudError."""
    assert request.cluster is not None
    _check_place(request.cluster, request)
    estate = ecs.read(reader, request.cluster, request.service, request.second)
    judged = _Judged(request, estate)
    found, notes = judged.found, judged.notes()  # they refuse an estate without a live rule or a live domain
    own = parts.read(reader, request, judged.image)
    findings = [*judged.findings(), *own.findings]
    variables = [VERIFIERS] if any(one.module == "test-listener" for each in findings for one in each.modules) else []
    return Adoption(found, findings, judged.settings(own.settings), notes, variables)


@dataclass(frozen=True)
class _Judged:
    """One estate, judged."""

    request: Request
    estate: ecs.EcsEstate

    @property
    def image(self) -> str:
        """The image of the container that answers."""
        return image_of(self.estate.first.definition, str(self.estate.container["containerName"]))

    @cached_property
    def group(self) -> str:
        """The ARN of the first service's target group."""
        return str(self.estate.group["TargetGroupArn"])

    @cached_property
    def routes(self) -> Routes:
        """The routes of the load balancer that concern this service."""
        return routes_of(self.estate.routes, self.group, self.estate.second_group, self.request.given.test_ports)

    @cached_property
    def live(self) -> Route:
        """The route that takes the users' traffic. Raises Refused if there is none, or if the user must choose."""
        chosen, live = self.request.given.rule, self.routes.live
        if chosen is not None:
            found = [one for one in live if one.arn == chosen]
            if not found:
                raise Refused(
                    f"--rule {chosen} forwards no users to target group {self.estate.group['TargetGroupName']}",
                    hint="Expected one of: " + "; ".join(f"{one} ({one.arn})" for one in live),
                )
            return self._usable(found[0])
        if self.routes.weighted is not None:
            return self.routes.weighted
        if not live:
            ports = " and ".join(map(str, self.request.given.test_ports))
            raise Refused(
                f"no rule forwards users to target group {self.estate.group['TargetGroupName']}, except on ports {ports}, which "
                "are for tests",
                hint="Name two free ports for tests with --test-ports BLUE GREEN.",
            )
        if len(live) > 1:
            raise Refused(
                f"{len(live)} rules forward users to target group {self.estate.group['TargetGroupName']}: "
                + "; ".join(f"{one} ({one.arn})" for one in live),
                hint="A switch moves one rule. Name it with --rule ARN; the others would stay on the old release.",
            )
        return self._usable(live[0])

    @cached_property
    def weighted(self) -> bool:
        """Whether the route that takes the users' traffic forwards to both colours already."""
        return self.live is self.routes.weighted or self.live.groups == {self.group, self.estate.second_group}

    def _usable(self, route: Route) -> Route:
        """Return the route if it forwards only to this service. Raises Refused otherwise."""
        strangers = route.groups - {self.group, self.estate.second_group}
        if strangers:
            raise Refused(
                f"{route} also forwards to {', '.join(sorted(one.rpartition(':')[2] for one in strangers))}, which belongs to "
                "neither colour",
                hint="Expected a rule that forwards only to this service's target group.",
            )
        return route

    @property
    def found(self) -> str:
        """The estate, in one line."""
        first, balancer = self.estate.first, self.estate.balancer["LoadBalancerName"]
        return (
            f"service {first.name} in cluster {self.estate.cluster} is {self.request.colour}, "
            f"behind {self.live} of load balancer {balancer}"
        )

    def findings(self) -> Iterator[Finding]:
        """Yield what is missing, in the order in which Terraform makes it."""
        group = self._second_group()
        tests = self._test_listeners(group)
        yield from self._of_service(self.estate.first, str(self.request.colour))
        yield from group
        yield from self._live_rule(group)
        yield from tests.values()
        yield from self._second_service(group, tests.get(str(self.request.colour.other)))

    # -- the services ----------------------------------------------------------------------------------------------------

    def _of_service(self, service: ecs.EcsService, colour: str) -> Iterator[Finding]:
        problem = foreign_deployer(service.document)
        if problem is not None:
            yield Finding(f"deployments of {colour}", f"{service.name}: {problem}", change=_controller(service))
        if not gives_up(service.document):
            yield Finding(
                f"circuit breaker of {colour}",
                f"{service.name} would start a broken release again and again",
                change=f"deployment_circuit_breaker {{ enable = true, rollback = true }} in the aws_ecs_service {service.name}",
            )
        if not service.document.get("healthCheckGracePeriodSeconds"):
            yield Finding(
                f"grace period of {colour}",
                f"failed health checks stop a task of {service.name} while it still starts",
                change=f"health_check_grace_period_seconds = {_GRACE_S} in the aws_ecs_service {service.name}",
            )

    def _second_service(self, group: list[Finding], test: Finding | None) -> Iterator[Finding]:
        other, colour = self.estate.second, self.request.colour.other
        if other is None:
            target: Any = self.estate.second_group
            if group:
                target = group[0].modules[0].output("arn")
            if test is not None:
                # The listener comes first: ECS refuses a target group that no listener forwards to.
                target = test.modules[0].output("target_group_arn")
            yield Finding(
                "second service",
                f"cluster {self.estate.cluster} has no service {self.request.second}",
                [Module(f"{colour}_service", "ecs-service", self._like_first(target))],
            )
            return
        yield from self._of_service(other, str(colour))
        if other.target_groups != (self.estate.second_group,):
            yield Finding(
                "target group of the second service",
                f"{other.name} must register its tasks in one target group of its own",
                change=f"load_balancer with one target_group_arn in the aws_ecs_service {other.name}",
            )
        found = self._drift(other)
        if found:
            more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
            yield Finding(
                "equal services",
                f"{self.estate.first.name} and {other.name} differ: {'; '.join(found[:_MOST_SHOWN])}{more}",
                change="the same values in both services: a deployment is refused while they differ",
            )

    def _drift(self, other: ecs.EcsService) -> list[str]:
        """Return the differences that preflight would refuse; values of variables are not shown."""
        container = str(self.estate.container["containerName"])
        services = {self.request.colour: self.estate.first, self.request.colour.other: other}
        blue, green = (
            (of_ecs(one.document, one.definition), digest_of(image_of(one.definition, container)))
            for one in (services[colour] for colour in sorted(services, key=str))
        )
        digests = dict(zip(sorted(services, key=str), (blue[1], green[1]), strict=True))
        return differences(blue[0], green[0], digests)

    def _like_first(self, target: Any) -> Mapping[str, Any]:
        """Return the arguments of a second service that is like the first."""
        first, container = self.estate.first, self.estate.container
        document, network = first.document, first.network
        least, most = first.bounds or (int(document["desiredCount"]), None)
        strategy = [
            {"capacity_provider": one["capacityProvider"], "weight": one.get("weight", 0), "base": one.get("base", 0)}
            for one in document.get("capacityProviderStrategy", ())
        ]
        optional = {
            "max_size": None if most is None else max(most, least, 1),
            "assign_public_ip": network.get("assignPublicIp") == "ENABLED" or None,
            "capacity_provider_strategy": strategy or None,
            "launch_type": None if strategy else document.get("launchType"),
            "platform_version": document.get("platformVersion"),
            "enable_execute_command": document.get("enableExecuteCommand") or None,
        }
        return {
            "name": self.request.second,
            "color": str(self.request.colour.other),
            "task_definition_arn": str(document["taskDefinition"]),
            "container_name": str(container["containerName"]),
            "port": int(container["containerPort"]),
            "min_size": max(least, 1),
            "cluster_arn": str(document["clusterArn"]),
            "cluster_name": self.estate.cluster,
            "private_subnet_ids": sorted(network["subnets"]),
            "security_group_ids": sorted(network.get("securityGroups", ())),
            "health_check_grace_period": int(document.get("healthCheckGracePeriodSeconds") or _GRACE_S),
            **{key: value for key, value in optional.items() if value is not None},
            "target_group_arn": target,
        }

    # -- the load balancer -----------------------------------------------------------------------------------------------

    def _second_group(self) -> list[Finding]:
        if self.estate.second_group is not None:
            return []
        colour, first = str(self.request.colour.other), str(self.estate.group["TargetGroupName"])
        name = f"{first[: 31 - len(colour)].rstrip('-')}-{colour}"
        module = Module(
            f"{colour}_target_group", "target-group", {"name": name, "color": colour, "like_arn": self.group}
        )
        return [Finding("second target group", f"{colour} has none", [module])]

    def _groups(self, group: list[Finding]) -> Mapping[str, Any]:
        second: Any = group[0].modules[0].output("arn") if group else self.estate.second_group
        return self.request.by_colour(self.group, second)

    def _live_rule(self, group: list[Finding]) -> Iterator[Finding]:
        live = self.live
        for one in self.routes.beside(live):
            yield Finding(
                "other rules",
                f"{one} forwards to {self.request.colour} as well, and a switch does not move it",
                change="a redirect to the live domain, or no rule, in its place",
            )
        if self.weighted:
            return
        priority = priority_before(live, [one for one in self.estate.routes if _same_listener(one, live)])
        if live.actions != ("forward",):
            yield Finding(
                "weighted rule",
                f"{live} has the actions {', '.join(live.actions)}, which only its own Terraform can repeat",
                change=f"forward {{ … }} with both target groups, {self.request.colour} at weight 100, and "
                "lifecycle { ignore_changes = [action, tags, tags_all] }",
            )
        elif priority is None:
            yield Finding(
                "weighted rule",
                f"{live} has no free priority right before it",
                change="a higher priority number for this rule and those behind it, then call adopt again",
            )
        else:
            like = {} if live.is_default else {"like_arn": live.arn}
            arguments = {
                "listener_arn": str(live.listener["ListenerArn"]),
                "priority": priority,
                **like,
                "target_group_arns": self._groups(group),
                "first_color": str(self.request.colour),
            }
            yield Finding(
                "weighted rule",
                f"{live} forwards to one target group; a rule right before it gets the weights, and this rule stays as it is",
                [Module("live_rule", "live-rule", arguments)],
            )

    def _test_listeners(self, group: list[Finding]) -> Mapping[str, Finding]:
        """Return by colour the finding that it has no listener for tests."""
        found = {}
        groups = self._groups(group)
        for colour, port in zip(groups, self.request.given.test_ports, strict=True):
            target = groups[colour]
            if target in self.routes.tests:
                continue
            taken = [one for one in self.estate.routes if one.port == port]
            if taken:
                raise Refused(
                    f"port {port} of load balancer {self.estate.balancer['LoadBalancerName']} is taken by a listener that does "
                    f"not forward everything to {colour}",
                    hint="Name two free ports for tests with --test-ports BLUE GREEN.",
                )
            found[colour] = Finding(
                f"test listener of {colour}",
                f"no listener leads only to {colour}, so it cannot be verified before it gets traffic",
                [Module(f"{colour}_test_listener", "test-listener", self._listener(colour, port, target))],
            )
        return found

    def _listener(self, colour: str, port: int, target: Any) -> Mapping[str, Any]:
        guards = self.estate.balancer.get("SecurityGroups", ())
        certificates = [str(one["CertificateArn"]) for one in self.live.listener.get("Certificates", ())]
        return {
            "color": colour,
            "load_balancer_arn": str(self.estate.balancer["LoadBalancerArn"]),
            **({"load_balancer_security_group_id": str(guards[0])} if guards else {}),
            "port": port,
            **({"certificate_arn": certificates[0]} if certificates else {}),
            **({"more_certificate_arns": certificates[1:]} if certificates[1:] else {}),
            "target_group_arn": target,
            "verifier_cidrs": Expression(f"var.{VERIFIERS.name}") if guards else [],
        }

    # -- the settings ----------------------------------------------------------------------------------------------------

    @cached_property
    def live_url(self) -> str:
        """The URL of the live domain. Raises Refused if no rule names it."""
        if self.request.given.live_url is not None:
            return self.request.given.live_url
        if self.live.hosts:
            return self.live.url(self.live.hosts[0])
        raise Refused(
            f"{self.live} names no host, so the live domain is unknown",
            hint="Name it with --live-url, such as --live-url https://api.example.com.",
        )

    def settings(self, own: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the environment's settings; None if a part that they name does not exist yet."""
        host, tests = str(urlsplit(self.live_url).hostname), self.routes.tests
        if self.estate.second_group is None or not self.weighted or len(tests) < 2:
            return None
        groups = self.request.by_colour(self.group, self.estate.second_group)
        rule = {"listener_arn" if self.live.is_default else "listener_rule_arn": self.live.arn}
        return {
            "platform": "ecs",
            "router": "alb",
            "account": self.request.account,
            "region": self.request.region,
            "live_url": self.live_url,
            "cluster": self.estate.cluster,
            "services": self.request.by_colour(self.estate.first.name, self.request.second),
            "target_groups": groups,
            "colour_urls": {
                colour: tests[group].url(tests[group].hosts[0] if tests[group].hosts else host)
                for colour, group in groups.items()
            },
            **rule,
            **own,
        }

    def notes(self) -> list[str]:
        """Return the conditions that AWS cannot show and the deployer relies on."""
        first = self.estate.first
        return [
            *(
                f"{first.name} is reached through {way} as well: a switch does not move those requests, so its callers must use "
                "the load balancer."
                for way in first.other_ways
            ),
            *(self._not_copied() if self.estate.second is None else ()),
            f"The Terraform that owns {first.name} must ignore task_definition and desired_count (lifecycle ignore_changes): "
            "otherwise its next apply takes the release back.",
            f"The test listeners are reached as {urlsplit(self.live_url).hostname} on their ports: the live domain must lead to "
            "the load balancer itself. If a CDN is before it, set colour_urls by hand.",
        ]

    def _not_copied(self) -> Iterator[str]:
        found = ", ".join(self.estate.first.only_by_hand)
        if found:
            yield (
                f"The module of the second service does not copy from {self.estate.first.name}: {found}. Make the second service "
                "with your own module instead, in the same target group."
            )


def _check_place(cluster: str, request: Request) -> None:
    """Raise Refused for the ARN of a cluster in another region or account: one of the same name would be read instead."""
    parts_of_arn = cluster.split(":")[3:5]  # arn:PARTITION:ecs:REGION:ACCOUNT:cluster/NAME
    known = (("region", request.region), ("account", request.account))
    for (part, used), named in zip(known, parts_of_arn, strict=False):
        if named != used:
            raise Refused(
                f"cluster {cluster} is in {part} {named}, and adopt reads {part} {used}",
                hint="Compare --cluster with --region and --profile.",
            )


def _controller(service: ecs.EcsService) -> str:
    return (
        f'deployment_controller {{ type = "ECS" }} in the aws_ecs_service {service.name}; if the plan would replace the '
        "service, change it first: aws ecs update-service --deployment-controller type=ECS"
    )


def _same_listener(one: Route, other: Route) -> bool:
    return bool(one.listener["ListenerArn"] == other.listener["ListenerArn"])

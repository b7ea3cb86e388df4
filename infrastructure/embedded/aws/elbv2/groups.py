"""The API of target groups: their settings, their targets and the health of each target."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.elbv2 import rules
from infrastructure.embedded.aws.elbv2.api import chosen, page
from infrastructure.embedded.aws.elbv2.health import HealthChecks
from infrastructure.embedded.aws.elbv2.records import Address, Document, Resource, Target
from infrastructure.embedded.aws.elbv2.store import Store
from infrastructure.embedded.aws.errors import AwsError

DELAY = "deregistration_delay.timeout_seconds"
CHANGEABLE = (*rules.GROUP_DEFAULTS,)


class TargetGroups:
    """The API of target groups; ECS registers its tasks through the same methods `register` and `deregister`."""

    def __init__(self, config: EndpointConfig, store: Store, checks: HealthChecks) -> None:
        self._config = config
        self._store = store
        self._checks = checks

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {
            "CreateTargetGroup": self.create,
            "DescribeTargetGroups": self.describe,
            "ModifyTargetGroup": self.modify,
            "DescribeTargetGroupAttributes": self.describe_attributes,
            "ModifyTargetGroupAttributes": self.modify_attributes,
            "RegisterTargets": self.register_targets,
            "DeregisterTargets": self.deregister_targets,
            "DescribeTargetHealth": self.describe_health,
        }

    def start(self) -> None:
        """Start the health checks of the targets that the previous process registered."""
        for target in self._store.targets():
            self._checks.follow(target.address)

    def create(self, request: Document) -> Document:
        """Answer CreateTargetGroup of type ip; return an existing one with the same name and settings."""
        if request.get("TargetType", "instance") != "ip":
            raise AwsError(
                "InvalidConfigurationRequest",
                "The embedded load balancer supports only targets of type ip: set TargetType",
            )
        for needed in ("Protocol", "Port", "VpcId"):
            if needed not in request:
                raise rules.invalid(f"A {needed} must be specified")
        own = {key: value for key, value in request.items() if key not in ("Name", "Tags")}
        settings = rules.health_check(
            rules.GROUP_DEFAULTS | {"ProtocolVersion": "HTTP1", "IpAddressType": "ipv4"} | own
        )
        tags = rules.tags(request.get("Tags", []), {})
        with self._store.locked():
            for known in self._store.all("targetgroup"):
                if known.document["TargetGroupName"] == request["Name"]:
                    if any(known.document.get(key) != value for key, value in settings.items()):
                        raise AwsError("DuplicateTargetGroupName", f"A target group named '{request['Name']}' exists")
                    return {"TargetGroups": [self._shown(known)]}
            name = f"targetgroup/{request['Name']}/{secrets.token_hex(8)}"
            arn = self._config.arn(name, "elasticloadbalancing")
            document = {"TargetGroupArn": arn, "TargetGroupName": request["Name"], **settings}
            defaults = {key: default for key, (default, _) in rules.GROUP_ATTRIBUTES.items()}
            group = Resource(arn, "targetgroup", document, tags, defaults)
            self._store.put(group)
        return {"TargetGroups": [self._shown(group)]}

    def describe(self, request: Document) -> Document:
        """Answer DescribeTargetGroups: all, by ARN or name, or those of a load balancer."""
        found = chosen(self._store, "targetgroup", request.get("TargetGroupArns"), request.get("Names"))
        if "LoadBalancerArn" in request:
            self._store.get("loadbalancer", request["LoadBalancerArn"])
            found = [one for one in found if self._store.balancer_of(one.arn) == request["LoadBalancerArn"]]
        return page("TargetGroups", [self._shown(one) for one in found], request)

    def modify(self, request: Document) -> Document:
        """Answer ModifyTargetGroup: change the health check; omitted members stay unchanged."""
        with self._store.locked():
            group = self._store.get("targetgroup", request["TargetGroupArn"])
            change = {key: value for key, value in request.items() if key in CHANGEABLE}
            changed = replace(group, document=rules.health_check(group.document | change))
            self._store.put(changed)
        return {"TargetGroups": [self._shown(changed)]}

    def describe_attributes(self, request: Document) -> Document:
        """Answer DescribeTargetGroupAttributes."""
        return {"Attributes": _attributes(self._store.get("targetgroup", request["TargetGroupArn"]))}

    def modify_attributes(self, request: Document) -> Document:
        """Answer ModifyTargetGroupAttributes."""
        with self._store.locked():
            group = self._store.get("targetgroup", request["TargetGroupArn"])
            changed = replace(group, attributes=group.attributes | rules.attributes(request["Attributes"]))
            self._store.put(changed)
        return {"Attributes": _attributes(changed)}

    def register_targets(self, request: Document) -> Document:
        """Answer RegisterTargets, by IP address."""
        group = self._store.get("targetgroup", request["TargetGroupArn"])
        for address in _addresses(group, request["Targets"]):
            self.register(address)
        return {}

    def deregister_targets(self, request: Document) -> Document:
        """Answer DeregisterTargets; targets that are not registered are ignored."""
        group = self._store.get("targetgroup", request["TargetGroupArn"])
        for address in _addresses(group, request["Targets"]):
            self.deregister(address)
        return {}

    def describe_health(self, request: Document) -> Document:
        """Answer DescribeTargetHealth with the results of the checks, including draining targets."""
        group = self._store.get("targetgroup", request["TargetGroupArn"])
        used = self._store.balancer_of(group.arn) is not None
        known = {one.address: one for one in self._store.targets(group.arn)}
        wanted = _addresses(group, request["Targets"]) if "Targets" in request else list(known)
        return {"TargetHealthDescriptions": [_health(address, known.get(address), used) for address in wanted]}

    def register(self, address: Address) -> None:
        """Register an address as a target; a draining target starts again as initial."""
        with self._store.locked():
            known = self._store.target(address)
            if known is None or known.draining:
                self._store.put_targets([Target(address)])
        self._checks.follow(address)

    def deregister(self, address: Address) -> float:
        """Stop new requests to a target and start its draining; return how many seconds the draining still lasts."""
        group = self._store.get("targetgroup", address.group_arn)
        delay = float(group.attributes[DELAY])
        with self._store.locked():
            target = self._store.target(address)
            if target is None or target.draining:
                return 0.0 if target is None else max(0.0, (target.gone_at or 0.0) - time.time())
            draining = replace(
                target,
                state="draining",
                reason="Target.DeregistrationInProgress",
                description="Target deregistration is in progress",
                gone_at=time.time() + delay,
            )
            self._store.put_targets([draining])
        self._checks.follow(address)
        return delay

    def drop(self, address: Address) -> None:
        """Remove a target whose process has ended."""
        self.deregister(address)
        self._store.forget(address)

    def state(self, address: Address) -> str | None:
        """Return a target's state according to the checks, or None if it is not registered."""
        target = self._store.target(address)
        return None if target is None else target.state

    def _shown(self, group: Resource) -> Document:
        balancer = self._store.balancer_of(group.arn)
        return group.document | {"LoadBalancerArns": [balancer] if balancer else []}


def _attributes(group: Resource) -> list[Document]:
    return [{"Key": key, "Value": value} for key, value in group.attributes.items()]


def _addresses(group: Resource, targets: list[Document]) -> list[Address]:
    for target in targets:
        if not target["Id"].startswith("127."):
            raise AwsError(
                "InvalidTarget", f"The IP address '{target['Id']}' is not within the VPC: only loopback addresses are"
            )
    return [Address(group.arn, target["Id"], target.get("Port") or group.document["Port"]) for target in targets]


def _health(address: Address, target: Target | None, used: bool) -> Document:
    if target is None:
        health = {
            "State": "unused",
            "Reason": "Target.NotRegistered",
            "Description": "Target is not registered to the target group",
        }
    elif not used and not target.draining:
        health = {
            "State": "unused",
            "Reason": "Target.NotInUse",
            "Description": "Target group is not configured to receive traffic from the load balancer",
        }
    else:
        health = {"State": target.state}
        if target.reason is not None:
            health |= {"Reason": target.reason, "Description": target.description or ""}
    return {
        "Target": {"Id": address.id, "Port": address.port},
        "HealthCheckPort": str(address.port),
        "TargetHealth": health,
    }

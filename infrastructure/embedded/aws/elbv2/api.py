"""The API of load balancers, listeners and rules; each handler receives a request checked against the model."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.elbv2 import rules
from infrastructure.embedded.aws.elbv2.records import Document, Kind, Resource
from infrastructure.embedded.aws.elbv2.routes import SLOTS, hosts
from infrastructure.embedded.aws.elbv2.store import Store
from infrastructure.embedded.aws.errors import AwsError

PAGE = 400
PLACEHOLDER_VPC = "vpc-00000000000000000"
"""Subnets, security groups and VPCs are only names here: all share the loopback interface."""


class LoadBalancing:
    """The API of load balancers; `TargetGroups` is that of target groups."""

    def __init__(self, config: EndpointConfig, store: Store) -> None:
        self._config = config
        self._store = store

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {
            "CreateLoadBalancer": self.create_load_balancer,
            "DescribeLoadBalancers": self.describe_load_balancers,
            "CreateListener": self.create_listener,
            "DescribeListeners": self.describe_listeners,
            "ModifyListener": self.modify_listener,
            "CreateRule": self.create_rule,
            "DescribeRules": self.describe_rules,
            "ModifyRule": self.modify_rule,
            "AddTags": self.add_tags,
            "RemoveTags": self.remove_tags,
            "DescribeTags": self.describe_tags,
        }

    def create_load_balancer(self, request: Document) -> Document:
        """Answer CreateLoadBalancer of type application; return an existing one with the same name and subnets."""
        name, subnets = request["Name"], request.get("Subnets", [])
        if request.get("Type", "application") != "application":
            raise AwsError("InvalidConfigurationRequest", "The embedded load balancer supports only type application")
        if len(set(subnets)) < 2:
            raise rules.invalid("At least two subnets in two different Availability Zones must be specified")
        tags = rules.tags(request.get("Tags", []), {})
        with self._store.locked():
            for known in self._store.all("loadbalancer"):
                if known.document["LoadBalancerName"] == name:
                    if [zone["SubnetId"] for zone in known.document["AvailabilityZones"]] != subnets:
                        raise AwsError("DuplicateLoadBalancerName", f"A load balancer with the name '{name}' exists")
                    return {"LoadBalancers": [known.document]}
            document = {
                "LoadBalancerArn": self._arn(f"loadbalancer/app/{name}/{_id()}"),
                "DNSName": f"{name}-{secrets.randbelow(10**9)}.{self._config.region}.elb.amazonaws.com",
                "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
                "CreatedTime": time.time(),
                "LoadBalancerName": name,
                "Scheme": request.get("Scheme", "internet-facing"),
                "VpcId": PLACEHOLDER_VPC,
                "State": {"Code": "active"},
                "Type": "application",
                "AvailabilityZones": [
                    {"ZoneName": f"{self._config.region}{zone}", "SubnetId": subnet}
                    for zone, subnet in zip("abcdef", subnets, strict=False)
                ],
                "SecurityGroups": request.get("SecurityGroups", []),
                "IpAddressType": request.get("IpAddressType", "ipv4"),
            }
            self._store.put(Resource(document["LoadBalancerArn"], "loadbalancer", document, tags))
        return {"LoadBalancers": [document]}

    def describe_load_balancers(self, request: Document) -> Document:
        """Answer DescribeLoadBalancers: all, or by ARN or name."""
        found = chosen(self._store, "loadbalancer", request.get("LoadBalancerArns"), request.get("Names"))
        return page("LoadBalancers", [one.document for one in found], request)

    def create_listener(self, request: Document) -> Document:
        """Answer CreateListener for HTTP, on a port that the proxy in front listens on."""
        balancer = self._store.get("loadbalancer", request["LoadBalancerArn"])
        port = request.get("Port")
        if request.get("Protocol") != "HTTP":
            raise AwsError("UnsupportedProtocol", "The embedded load balancer supports only HTTP listeners")
        if port not in self._config.listener_ports:
            ports = " and ".join(map(str, self._config.listener_ports))
            raise AwsError("InvalidConfigurationRequest", f"Port {port}: the proxy in front listens only on {ports}")
        tags = rules.tags(request.get("Tags", []), {})
        with self._store.locked():
            if any(one.document["Port"] == port for one in self._store.all("listener")):
                raise AwsError("DuplicateListener", f"A listener already exists on port {port}")
            actions = rules.actions(request["DefaultActions"], self._store, balancer.arn)
            arn = f"{balancer.arn.replace(':loadbalancer/', ':listener/')}/{_id()}"
            document = {
                "ListenerArn": arn,
                "LoadBalancerArn": balancer.arn,
                "Port": port,
                "Protocol": "HTTP",
                "DefaultActions": actions,
            }
            default = _rule(arn, "default", [], actions)
            self._store.put(Resource(arn, "listener", document, tags), default)
        return {"Listeners": [document]}

    def describe_listeners(self, request: Document) -> Document:
        """Answer DescribeListeners of a load balancer, or by ARN."""
        found = chosen(self._store, "listener", request.get("ListenerArns"), None)
        if "LoadBalancerArn" in request:
            self._store.get("loadbalancer", request["LoadBalancerArn"])
            found = [one for one in found if one.document["LoadBalancerArn"] == request["LoadBalancerArn"]]
        return page("Listeners", [one.document for one in found], request)

    def modify_listener(self, request: Document) -> Document:
        """Answer ModifyListener: replace all default actions."""
        _refuse_members_except(request, "ListenerArn", "DefaultActions")
        with self._store.locked():
            listener = self._store.get("listener", request["ListenerArn"])
            document = dict(listener.document)
            if "DefaultActions" in request:
                document["DefaultActions"] = rules.actions(
                    request["DefaultActions"], self._store, document["LoadBalancerArn"]
                )
            default = self._store.rules_of(listener.arn)[-1]
            changed = replace(default, document=default.document | {"Actions": document["DefaultActions"]})
            self._store.put(replace(listener, document=document), changed)
        return {"Listeners": [document]}

    def create_rule(self, request: Document) -> Document:
        """Answer CreateRule."""
        with self._store.locked():
            listener = self._store.get("listener", request["ListenerArn"])
            known = self._store.rules_of(listener.arn)
            rules.refuse_taken_priority(request["Priority"], known)
            conditions = rules.conditions(request["Conditions"])
            actions = rules.actions(request["Actions"], self._store, listener.document["LoadBalancerArn"])
            transforms = rules.transforms(request.get("Transforms", []))
            rule = _rule(listener.arn, str(request["Priority"]), conditions, actions, transforms)
            if sum(len(hosts(one)) for one in (*known, rule)) > SLOTS:
                raise AwsError("TooManyRules", f"The proxy in front supports at most {SLOTS} host names per listener")
            self._store.put(replace(rule, tags=rules.tags(request.get("Tags", []), {})))
        return {"Rules": [rule.document]}

    def describe_rules(self, request: Document) -> Document:
        """Answer DescribeRules of a listener, in the order of their evaluation, or by ARN."""
        if ("ListenerArn" in request) == ("RuleArns" in request):
            raise rules.invalid("You must specify either listener rule ARNs or a listener ARN")
        if "ListenerArn" in request:
            found = self._store.rules_of(self._store.get("listener", request["ListenerArn"]).arn)
        else:
            found = chosen(self._store, "listener-rule", request["RuleArns"], None)
        return page("Rules", [one.document for one in found], request)

    def modify_rule(self, request: Document) -> Document:
        """Answer ModifyRule: given actions, conditions and transforms replace the old ones; omitted ones stay."""
        _refuse_members_except(request, "RuleArn", "Actions", "Conditions", "Transforms", "ResetTransforms")
        if request.get("ResetTransforms") and "Transforms" in request:
            raise rules.invalid("You cannot specify both transforms and reset transforms")
        with self._store.locked():
            rule = self._store.get("listener-rule", request["RuleArn"])
            if rule.document["IsDefault"]:
                raise AwsError("OperationNotPermitted", "Default rule cannot be modified: use ModifyListener")
            document = dict(rule.document)
            if "Conditions" in request:
                document["Conditions"] = rules.conditions(request["Conditions"])
            if "Actions" in request:
                _, name, balancer = rule.arn.split("/")[1:4]
                document["Actions"] = rules.actions(
                    request["Actions"], self._store, self._arn(f"loadbalancer/app/{name}/{balancer}")
                )
            if "Transforms" in request or request.get("ResetTransforms"):
                document["Transforms"] = rules.transforms(request.get("Transforms", []))
            self._store.put(replace(rule, document=document))
        return {"Rules": [document]}

    def add_tags(self, request: Document) -> Document:
        """Answer AddTags."""
        if not request["Tags"]:
            raise rules.invalid("At least one tag must be specified")
        with self._store.locked():
            for resource in self._named(request):
                self._store.retagged(resource, rules.tags(request["Tags"], resource.tags))
        return {}

    def remove_tags(self, request: Document) -> Document:
        """Answer RemoveTags; unknown keys are ignored."""
        with self._store.locked():
            for resource in self._named(request):
                kept = {key: value for key, value in resource.tags.items() if key not in request["TagKeys"]}
                self._store.retagged(resource, kept)
        return {}

    def describe_tags(self, request: Document) -> Document:
        """Answer DescribeTags."""
        shown = [
            {"ResourceArn": one.arn, "Tags": [{"Key": key, "Value": value} for key, value in one.tags.items()]}
            for one in self._named(request)
        ]
        return {"TagDescriptions": shown}

    def _named(self, request: Document) -> list[Resource]:
        kinds: dict[str, Kind] = {
            "loadbalancer": "loadbalancer",
            "targetgroup": "targetgroup",
            "listener": "listener",
            "listener-rule": "listener-rule",
        }
        found = []
        for arn in request["ResourceArns"]:
            kind = arn.partition("/")[0].rpartition(":")[2]
            if kind not in kinds:
                raise rules.invalid(f"'{arn}' is not a valid load balancer, target group, listener or rule ARN")
            found.append(self._store.get(kinds[kind], arn))
        return found

    def _arn(self, resource: str) -> str:
        return self._config.arn(resource, "elasticloadbalancing")


def chosen(store: Store, kind: Kind, arns: list[str] | None, names: list[str] | None) -> list[Resource]:
    """Return all resources of a kind, or those with these ARNs or names. Raises the kind's NotFound."""
    if arns is not None:
        return [store.get(kind, arn) for arn in arns]
    found = store.all(kind)
    if names is not None:
        title = {"loadbalancer": "LoadBalancerName", "targetgroup": "TargetGroupName"}[kind]
        by_name = {one.document[title]: one for one in found}
        return [by_name[name] if name in by_name else store.get(kind, name) for name in names]
    return found


def page(member: str, documents: list[Document], request: Document) -> Document:
    """Return one page of an answer; the marker holds the position of the next page."""
    try:
        start = int(base64.b64decode(request.get("Marker", ""), validate=True) or b"0")
    except ValueError as exc:
        raise rules.invalid("The marker is not valid") from exc
    end = start + request.get("PageSize", PAGE)
    more = {"NextMarker": base64.b64encode(str(end).encode()).decode()} if end < len(documents) else {}
    return {member: documents[start:end], **more}


def _rule(
    listener_arn: str,
    priority: str,
    conditions: list[Document],
    actions: list[Document],
    transforms: list[Document] | None = None,
) -> Resource:
    arn = f"{listener_arn.replace(':listener/', ':listener-rule/')}/{_id()}"
    document = {
        "RuleArn": arn,
        "Priority": priority,
        "Conditions": conditions,
        "Actions": actions,
        "IsDefault": priority == "default",
        "Transforms": transforms or [],
    }
    return Resource(arn, "listener-rule", document)


def _refuse_members_except(request: Document, *known: str) -> None:
    others = sorted(request.keys() - set(known))
    if others:
        raise AwsError("OperationNotPermitted", f"{', '.join(others)}: not supported by the embedded load balancer")


def _id() -> str:
    return secrets.token_hex(8)

"""Elastic Load Balancing's defaults, and its refusals beyond the constraints of its model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from infrastructure.embedded.aws.elbv2.records import Document, Resource
from infrastructure.embedded.aws.elbv2.store import Store
from infrastructure.embedded.aws.errors import AwsError

WEIGHTS = range(1000)
GROUPS_PER_ACTION = 5
TAGS = 50
PRIORITIES = range(1, 50_001)
GROUP_ATTRIBUTES = {
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
    "deregistration_delay.timeout_seconds": ("300", r"0|[1-9]\d{0,2}|[12]\d{3}|3[0-5]\d\d|3600"),
    "stickiness.enabled": ("false", "false"),
    "stickiness.type": ("lb_cookie", "lb_cookie"),
    "load_balancing.algorithm.type": ("round_robin", "round_robin"),
    "slow_start.duration_seconds": ("0", "0"),
}
"""Attribute → its default and the allowed values; stickiness, algorithm and slow start allow only the default."""
GROUP_DEFAULTS: Document = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "HealthCheckPath": "/",
    "Matcher": {"HttpCode": "200"},
}
_HTTP_CODES = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")
_WHOLE_HOST = ("^.+$", "^.*$")
_HOST_AND_PORT = re.compile(_HOST.pattern + r"(:\d{1,5})?")
_UNSUPPORTED = "is not supported by the embedded load balancer"


def invalid(message: str) -> AwsError:
    """Return the error for a wrong request."""
    return AwsError("ValidationError", message)


def actions(given: list[Document], store: Store, balancer_arn: str) -> list[Document]:
    """Return a rule's actions as Describe… shows them. Raises AwsError for refused actions."""
    if len(given) != 1:
        raise AwsError(
            "TooManyActions",
            "The embedded load balancer supports exactly one action per rule: forward or fixed-response",
        )
    action = given[0]
    if action["Type"] == "fixed-response" and "FixedResponseConfig" in action:
        return [{"Type": "fixed-response", "Order": 1, "FixedResponseConfig": action["FixedResponseConfig"]}]
    if action["Type"] != "forward":
        raise AwsError("InvalidLoadBalancerAction", f"An action of type {action['Type']} {_UNSUPPORTED}")
    return [_forward(action, store, balancer_arn)]


def _forward(action: Document, store: Store, balancer_arn: str) -> Document:
    config = action.get("ForwardConfig", {})
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn")}]
    if "ForwardConfig" in action and "TargetGroupArn" in action and len(groups) > 1:
        raise invalid(
            "You cannot specify both a target group ARN and a forward configuration with several target groups"
        )
    if config.get("TargetGroupStickinessConfig", {}).get("Enabled"):
        raise AwsError("InvalidConfigurationRequest", f"Target group stickiness {_UNSUPPORTED}")
    weighted = [{"TargetGroupArn": one.get("TargetGroupArn"), "Weight": one.get("Weight", 1)} for one in groups]
    arns = [one["TargetGroupArn"] for one in weighted]
    if None in arns:
        raise invalid("A target group ARN must be specified")
    if len(arns) > GROUPS_PER_ACTION or len(set(arns)) < len(arns):
        raise invalid(f"A forward action takes up to {GROUPS_PER_ACTION} target groups, each once")
    for one in weighted:
        if one["Weight"] not in WEIGHTS:
            raise invalid(
                f"1 validation error detected: Value '{one['Weight']}' at 'weight' failed to satisfy constraint: "
                "Member must have value between 0 and 999"
            )
        store.get("targetgroup", one["TargetGroupArn"])
        _refuse_shared(one["TargetGroupArn"], store, balancer_arn)
    single = {"TargetGroupArn": arns[0]} if len(arns) == 1 else {}
    stickiness = {"TargetGroupStickinessConfig": {"Enabled": False}}
    return {"Type": "forward", "Order": 1, **single, "ForwardConfig": {"TargetGroups": weighted, **stickiness}}


def _refuse_shared(group_arn: str, store: Store, balancer_arn: str) -> None:
    other = store.balancer_of(group_arn)
    if other not in (None, balancer_arn):
        raise AwsError(
            "TargetGroupAssociationLimit",
            "The following target groups cannot be associated with more than one load balancer",
        )


def conditions(given: list[Document]) -> list[Document]:
    """Return a rule's conditions as Describe… shows them; host-header is the only supported field."""
    if not given:
        raise invalid("A condition must be specified")
    shown = []
    for condition in given:
        values = condition.get("HostHeaderConfig", {}).get("Values") or condition.get("Values") or []
        if condition.get("Field") != "host-header" or "RegexValues" in condition.get("HostHeaderConfig", {}):
            raise invalid(f"A condition on {condition.get('Field')} {_UNSUPPORTED}: use host-header with names")
        if not values:
            raise invalid("A condition value must be specified")
        wrong = [value for value in values if not _HOST.fullmatch(value)]
        if wrong:
            raise invalid(f"Condition value '{wrong[0]}' contains a character that is not valid here")
        shown.append({"Field": "host-header", "Values": values, "HostHeaderConfig": {"Values": values}})
    if len(shown) > 1:
        raise invalid("Only one host-header condition is allowed")
    return shown


def transforms(given: list[Document]) -> list[Document]:
    """Return a rule's transforms as Describe… shows them: at most one, which replaces the whole host."""
    kinds = [one["Type"] for one in given]
    if len(set(kinds)) < len(kinds):
        raise invalid("A rule has at most one transform of each type")
    shown = []
    for one in given:
        config = one.get("HostHeaderRewriteConfig")
        if one["Type"] != "host-header-rewrite" or "UrlRewriteConfig" in one:
            raise invalid(f"A transform of type {one['Type']} {_UNSUPPORTED}: use host-header-rewrite")
        rewrites = (config or {}).get("Rewrites", [])
        if len(rewrites) != 1:
            raise invalid("A transform must specify exactly one rewrite")
        regex, host = rewrites[0].get("Regex", ""), rewrites[0].get("Replace", "")
        if regex not in _WHOLE_HOST or not _HOST_AND_PORT.fullmatch(host):
            raise invalid(f"A rewrite of '{regex}' to '{host}' {_UNSUPPORTED}: replace the whole host, by '^.+$'")
        shown.append({"Type": one["Type"], "HostHeaderRewriteConfig": {"Rewrites": [rewrites[0]]}})
    return shown


def health_check(document: Document) -> Document:
    """Return a target group's complete settings. Raises ValidationError if a load balancer refuses them."""
    for refused, reason in (
        (document["Protocol"] != "HTTP", f"Protocol {document['Protocol']} {_UNSUPPORTED}"),
        (
            document["HealthCheckProtocol"] != "HTTP",
            f"Health check protocol {document['HealthCheckProtocol']} {_UNSUPPORTED}",
        ),
        (
            not document["HealthCheckEnabled"],
            "Health check enabled must be true for target groups with target type 'ip'",
        ),
        (
            document["HealthCheckTimeoutSeconds"] >= document["HealthCheckIntervalSeconds"],
            "Health check interval must be greater than the timeout.",
        ),
        (not document["HealthCheckPath"].startswith("/"), "Health check path must begin with a '/' character"),
        (
            not _HTTP_CODES.fullmatch(document["Matcher"].get("HttpCode", "")),
            "Health check matcher HTTP code must be between 200 and 499",
        ),
        (
            not re.fullmatch(r"traffic-port|[1-9]\d{0,4}", document["HealthCheckPort"]),
            "Health check port must be 'traffic-port' or between 1 and 65535",
        ),
    ):
        if refused:
            raise invalid(reason)
    return document


def attributes(given: list[Document]) -> dict[str, str]:
    """Return a target group's attributes by key. Raises ValidationError for unknown keys and refused values."""
    wanted = {one.get("Key", ""): one.get("Value", "") for one in given}
    for key, value in wanted.items():
        if key not in GROUP_ATTRIBUTES:
            raise invalid(f"Target group attribute key '{key}' is not recognized")
        if not re.fullmatch(GROUP_ATTRIBUTES[key][1], value):
            raise invalid(f"Target group attribute value '{value}' is not valid for '{key}'")
    return wanted


def tags(given: list[Document], known: Mapping[str, str]) -> dict[str, str]:
    """Return a resource's tags with the given ones added. Raises TooManyTags or DuplicateTagKeys."""
    more = {one["Key"]: one.get("Value", "") for one in given}
    if len(more) < len(given):
        raise AwsError("DuplicateTagKeys", "The request contains duplicate tag keys")
    merged = {**known, **more}
    if len(merged) > TAGS:
        raise AwsError("TooManyTags", f"A resource has at most {TAGS} tags")
    return merged


def refuse_taken_priority(priority: int, rules: list[Resource]) -> None:
    """Raise PriorityInUse if a rule has the priority, or ValidationError if it is out of range."""
    if priority not in PRIORITIES:
        raise invalid(f"Rule priority '{priority}' must be between 1 and 50000")
    if any(rule.document["Priority"] == str(priority) for rule in rules):
        raise AwsError("PriorityInUse", f"Priority '{priority}' is currently in use")

"""A fake load balancer without compare-and-set, in this process: tests add other writers and lose answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from deployment.model import Colour
from infrastructure.aws.errors import aws_errors
from tests.aws.cluster import GROUPS
from tests.aws.shapes import checked


def forward(blue: int, green: int, **config: Any) -> dict[str, Any]:
    groups = [
        {"TargetGroupArn": GROUPS[Colour.BLUE], "Weight": blue},
        {"TargetGroupArn": GROUPS[Colour.GREEN], "Weight": green},
    ]
    return {"Type": "forward", "Order": 1, "ForwardConfig": {"TargetGroups": groups, **config}}


def _require_sticky(operation: str, actions: list[dict[str, Any]]) -> None:
    """Refuse, as AWS does, several sticky target groups in an action that is not sticky."""
    for action in actions:
        config = action.get("ForwardConfig", {})
        if len(config.get("TargetGroups", ())) > 1 and not config.get("TargetGroupStickinessConfig", {}).get("Enabled"):
            error = {"Code": "InvalidConfigurationRequest", "Message": "You must enable group stickiness on the rule"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)


class Balancer:
    """Answers as Clients does. ``before`` and ``after`` hold, by operation, a function to call around its next call."""

    def __init__(self) -> None:
        self.actions: list[dict[str, Any]] = [forward(1, 0)]
        self.tags: dict[str, str] = {"Color": "both"}
        self.health = {arn: ["healthy", "healthy"] for arn in GROUPS.values()}
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.sticky_targets = False
        """Whether the target groups have stickiness of their own."""

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        assert service == "elbv2"
        self.calls.append(operation)
        with aws_errors(service, operation):
            self.before.pop(operation, lambda: None)()
            answer = checked(service, operation, given, copy.deepcopy(self._answer(operation, given)))
            self.after.pop(operation, lambda: None)()
            return answer

    def _answer(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeTags":
            return {"TagDescriptions": [{"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]}]}
        if operation == "AddTags":
            self.tags |= {tag["Key"]: tag["Value"] for tag in given["Tags"]}
        elif operation == "RemoveTags":
            self.tags = {key: value for key, value in self.tags.items() if key not in given["TagKeys"]}
        elif operation in ("ModifyRule", "ModifyListener"):
            actions = list(given.get("Actions") or given["DefaultActions"])
            if self.sticky_targets:
                _require_sticky(operation, actions)
            self.actions = actions
        elif operation == "DescribeRules":
            return {"Rules": [{"Actions": self.actions}]}
        elif operation == "DescribeListeners":
            return {"Listeners": [{"DefaultActions": self.actions}]}
        elif operation == "DescribeTargetHealth":
            states = self.health[given["TargetGroupArn"]]
            return {"TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in states]}
        return {}

"""The target groups of the colours on ECS: whether each task is healthy, and whether a colour still receives requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deployment.model import Colour
from infrastructure.aws.drain import DrainWindow, Metric, requests_within
from infrastructure.aws.session import Clients

_LEAVING = frozenset({"draining", "unused"})
"""States of targets that no longer belong to the deployment: tasks of the former one that still finish their requests."""


class TargetGroups:
    """The colours' target groups, by their ARNs."""

    def __init__(self, clients: Clients, groups: Mapping[Colour, str], drain: DrainWindow) -> None:
        self._clients = clients
        self._groups = groups
        self._drain = drain

    def arn(self, colour: Colour) -> str:
        """Return the ARN of the colour's target group."""
        return self._groups[colour]

    def health(self, colour: Colour, wanted: int) -> tuple[int, str | None]:
        """Return the number of healthy targets, and a reason unless ``wanted`` targets, and all others, are healthy.

        Raises CloudError.
        """
        answer = self._call("DescribeTargetHealth", TargetGroupArn=self._groups[colour])
        states = [one["TargetHealth"] for one in answer["TargetHealthDescriptions"]]
        staying = [one for one in states if one["State"] not in _LEAVING]
        healthy = sum(one["State"] == "healthy" for one in staying)
        sick = next((one for one in staying if one["State"] != "healthy"), None)
        if sick is not None:
            why = sick.get("Reason") or sick.get("Description") or "no reason given"
            return healthy, f"{healthy} of {len(staying)} targets are healthy, one is {sick['State']} ({why})"
        return healthy, None if healthy >= wanted else f"{healthy} of {wanted} targets are registered and healthy"

    def recent_requests(self, colour: Colour) -> str | None:
        """Return the colour's recent requests as text; None if there were none.

        Recent means within the drain window or the deregistration delay, the longer of the two. Health checks do not count.
        Raises CloudError.
        """
        balancers = self._call("DescribeTargetGroups", TargetGroupArns=[self._groups[colour]])["TargetGroups"]
        found = [
            str(arn).partition(":loadbalancer/")[2] for one in balancers for arn in one.get("LoadBalancerArns", ())
        ]
        window = max(self._drain.seconds, self._deregistration_s(colour))
        count = sum(self._requests(colour, balancer, window) for balancer in found)
        return f"{count} requests in the last {window:.0f} s" if count else None

    def _deregistration_s(self, colour: Colour) -> float:
        answer = self._call("DescribeTargetGroupAttributes", TargetGroupArn=self._groups[colour])
        attributes = {one["Key"]: one["Value"] for one in answer["Attributes"]}
        return float(attributes.get("deregistration_delay.timeout_seconds", 300))

    def _requests(self, colour: Colour, balancer: str, window_s: float) -> int:
        dimensions = {"LoadBalancer": balancer, "TargetGroup": self._groups[colour].rpartition(":")[2]}
        metric = Metric("AWS/ApplicationELB", "RequestCount", dimensions)
        return requests_within(self._clients, metric, replace(self._drain, seconds=window_s))

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("elbv2", operation, **parameters)

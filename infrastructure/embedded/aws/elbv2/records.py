"""The records of load balancers: frozen dataclasses; each change makes a new record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Document = dict[str, Any]
"""A structure of AWS's API, as its model describes it."""
Kind = Literal["loadbalancer", "targetgroup", "listener", "listener-rule"]


@dataclass(frozen=True)
class Resource:
    """A load balancer, target group, listener or rule; `document` is its part of the answer of Describe…."""

    arn: str
    kind: Kind
    document: Document
    tags: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """One target of a target group; two groups may hold the same address."""

    group_arn: str
    id: str
    port: int

    def __str__(self) -> str:
        return f"{self.id}:{self.port}"


@dataclass(frozen=True)
class Target:
    """A registered target with its health; its draining ends at `gone_at` (Unix seconds)."""

    address: Address
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    description: str | None = "Target registration is in progress"
    gone_at: float | None = None

    @property
    def draining(self) -> bool:
        """True if the target was deregistered and finishes its requests."""
        return self.gone_at is not None


def forwarded_groups(actions: list[Document]) -> dict[str, int]:
    """Return the weight of each target group in a rule's forward action; empty without such an action."""
    for action in actions:
        if action["Type"] == "forward":
            return {one["TargetGroupArn"]: one["Weight"] for one in action["ForwardConfig"]["TargetGroups"]}
    return {}

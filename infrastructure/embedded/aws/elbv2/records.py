"""What is known of load balancers: frozen records, each change a new one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Document = dict[str, Any]
"""A structure of AWS's API, as its model describes it."""
Kind = Literal["loadbalancer", "targetgroup", "listener", "listener-rule"]


@dataclass(frozen=True)
class Resource:
    """A load balancer, target group, listener or rule: `document` is what Describe… shows of it."""

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
    """A registered target and what its health checks found; `gone_at` (Unix seconds) ends its draining."""

    address: Address
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    description: str | None = "Target registration is in progress"
    gone_at: float | None = None

    @property
    def draining(self) -> bool:
        """Whether it was deregistered and finishes what has reached it."""
        return self.gone_at is not None


def forwarded_groups(actions: list[Document]) -> dict[str, int]:
    """Target group → weight of the forward action among a rule's actions; empty where there is none."""
    for action in actions:
        if action["Type"] == "forward":
            return {one["TargetGroupArn"]: one["Weight"] for one in action["ForwardConfig"]["TargetGroups"]}
    return {}

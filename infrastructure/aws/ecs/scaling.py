"""How many tasks a colour has: as many as the live one before it takes traffic, none where it is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infrastructure.aws.session import Clients

_WHAT = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


class Scaling:
    """The autoscaling bounds of a cluster's services; a service without any is left without."""

    def __init__(self, clients: Clients, cluster: str) -> None:
        self._clients = clients
        self._cluster = cluster

    def like(self, service: str, model: str) -> None:
        """Gives ``service`` the bounds of ``model`` at least: what scales in below them would meet all traffic too small."""
        own, other = self._bounds(service), self._bounds(model)
        if own is None or other is None:
            return
        least, most = int(other["MinCapacity"]), max(int(own["MaxCapacity"]), int(other["MaxCapacity"]))
        if (own["MinCapacity"], own["MaxCapacity"]) != (least, most):
            self._register(service, least, most)

    def let_go(self, service: str) -> None:
        """Lets a service have no task at all: else autoscaling would start one again."""
        own = self._bounds(service)
        if own is not None and own["MinCapacity"]:
            self._register(service, 0, int(own["MaxCapacity"]))

    def _bounds(self, service: str) -> Mapping[str, Any] | None:
        found = self._call("DescribeScalableTargets", ResourceIds=[self._resource(service)])["ScalableTargets"]
        return found[0] if found else None

    def _register(self, service: str, least: int, most: int) -> None:
        self._call("RegisterScalableTarget", ResourceId=self._resource(service), MinCapacity=least, MaxCapacity=most)

    def _resource(self, service: str) -> str:
        return f"service/{self._cluster}/{service}"

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("application-autoscaling", operation, **_WHAT, **parameters)

"""The history of a service's deployments, as ECS keeps it: what became of one that the service no longer lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployment.errors import CloudError
from infrastructure.aws.session import Clients

NONE_BEFORE = "-"
"""Stands for the deployment before a service's first one."""
_UNFINISHED = ("PENDING", "IN_PROGRESS")
_NOT_YET = datetime.max.replace(tzinfo=UTC)
_MOST_DESCRIBED = 20
"""The most deployments that one DescribeServiceDeployments call takes."""


class ServiceDeployments:
    """The service deployments of a cluster.

    UpdateService does not return the ARN of the deployment that it starts
    (https://github.com/aws/containers-roadmap/issues/2709), and ``currentServiceDeployment`` may be out of date
    (https://github.com/kayac/ecspresso/pull/945). So a rollout remembers the deployment before its own.

    An endpoint without these operations, or a role without these rights, makes the history unknown and stops nothing.
    """

    def __init__(self, clients: Clients, cluster: str) -> None:
        self._clients = clients
        self._cluster = cluster

    def newest(self, service: str, *, finished: bool = False) -> str | None:
        """Return the ARN of the newest deployment, ``NONE_BEFORE`` if there is none; None if ECS does not say.

        ``finished``: leave out a deployment that is under way.
        """
        found = self._listed(service)
        if found is None:
            return None
        arns = [one["serviceDeploymentArn"] for one in found if not (finished and one.get("status") in _UNFINISHED)]
        return str(arns[-1]) if arns else NONE_BEFORE

    def since(self, service: str, before: str | None) -> Sequence[Mapping[str, Any]] | None:
        """Return the deployments after the one with the ARN ``before``, the oldest first; None if ECS does not say."""
        found = self._listed(service) if before is not None else None
        if found is None:
            return None
        arns = [str(one["serviceDeploymentArn"]) for one in found]
        if before != NONE_BEFORE and before not in arns:
            return None  # ECS keeps deployments for 90 days only
        later = arns[arns.index(before) + 1 :] if before in arns else arns
        try:
            return self._described(later[:_MOST_DESCRIBED])
        except CloudError:
            return None  # also if one is missing: ECS lists a new deployment a moment before it describes it

    def _listed(self, service: str) -> Sequence[Mapping[str, Any]] | None:
        try:
            found = self._clients.pages(
                "ecs",
                "ListServiceDeployments",
                "serviceDeployments",
                marker="nextToken",
                cluster=self._cluster,
                service=service,
            )
        except CloudError:
            return None
        # ECS lists the newest first; two of the same second, and one without a time, keep that order.
        found.reverse()
        return sorted(found, key=lambda one: one.get("createdAt", _NOT_YET))

    def _described(self, arns: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        if not arns:
            return ()
        answer = self._clients.call("ecs", "DescribeServiceDeployments", serviceDeploymentArns=list(arns))
        by_arn = {str(one["serviceDeploymentArn"]): one for one in answer["serviceDeployments"]}
        return [by_arn[arn] for arn in arns] if by_arn.keys() >= set(arns) else None

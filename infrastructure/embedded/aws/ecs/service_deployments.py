"""The API of service deployments: the history of each service, which outlives the entries of its `deployments`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from infrastructure.embedded.aws.ecs.errors import invalid, service_not_found
from infrastructure.embedded.aws.ecs.records import Document, Revision, Service
from infrastructure.embedded.aws.ecs.services import Services
from infrastructure.embedded.aws.ecs.store import Store

DESCRIBED_AT_ONCE = 20
LISTED_AT_ONCE = 20


class ServiceDeployments:
    """The API of service deployments."""

    def __init__(self, store: Store, services: Services) -> None:
        self._store = store
        self._services = services

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {"ListServiceDeployments": self.list_all, "DescribeServiceDeployments": self.describe}

    def list_all(self, request: Document) -> Document:
        """Answer ListServiceDeployments of a service, the newest first, a page at a time."""
        unknown = request.keys() - {"cluster", "service", "status", "maxResults", "nextToken"}
        if unknown:
            raise invalid(f"Not supported by the embedded ECS: {', '.join(sorted(unknown))}")
        service = self._services.find(self._services.cluster(request), request["service"])
        if service is None:
            raise service_not_found()
        wanted = request.get("status")
        found = [one for one in reversed(service.history) if not wanted or one.status in wanted]
        place, size = request.get("nextToken", "0"), request.get("maxResults", LISTED_AT_ONCE)
        if not place.isdecimal() or not 1 <= size <= 100:
            raise invalid("Invalid nextToken, or maxResults is not between 1 and 100.")
        begin = int(place)
        more = {"nextToken": str(begin + size)} if begin + size < len(found) else {}
        return {"serviceDeployments": [_listed(service, one) for one in found[begin : begin + size]], **more}

    def describe(self, request: Document) -> Document:
        """Answer DescribeServiceDeployments; unknown ones are listed as failures."""
        arns = request["serviceDeploymentArns"]
        if not 1 <= len(arns) <= DESCRIBED_AT_ONCE:
            raise invalid(f"1 to {DESCRIBED_AT_ONCE} service deployments can be described at once.")
        known = {one.arn: (service, one) for service, one in self._all()}
        found = [_described(*known[arn]) for arn in arns if arn in known]
        return {
            "serviceDeployments": found,
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in known],
        }

    def _all(self) -> Iterator[tuple[Service, Revision]]:
        for service in self._store.services.all():
            for one in service.history:
                yield service, one


def _target(service: Service, deployment: str) -> str:
    return f"{service.arn.replace(':service/', ':service-revision/')}/{deployment.rpartition('/')[2]}"


def _both(service: Service, one: Revision) -> Document:
    return {
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster,
        "createdAt": one.created_at,
        "startedAt": one.created_at,
        "status": one.status,
        **({"statusReason": one.reason} if one.reason else {}),
        **({"finishedAt": one.ended_at} if one.ended_at else {}),
    }


def _listed(service: Service, one: Revision) -> Document:
    return {**_both(service, one), "targetServiceRevisionArn": _target(service, one.deployment)}


def _described(service: Service, one: Revision) -> Document:
    shown = {
        **_both(service, one),
        "targetServiceRevision": {"arn": _target(service, one.deployment)},
        "deploymentConfiguration": service.settings["deploymentConfiguration"],
    }
    if one.back is not None:
        shown["rollback"] = {"reason": one.reason, "serviceRevisionArn": _target(service, one.back)}
    return shown

"""An existing App Runner service with the CloudFront distribution in front of it, read for `adopt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from deployment.errors import Refused, SwitchFailed
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.session import Clients

_NEVER_RUNS = frozenset({"CREATE_FAILED", "DELETE_FAILED", "DELETED"})


@dataclass(frozen=True)
class AppRunnerEstate:
    """A service, its distribution, and the key value store that its distribution's function reads; None for missing ones.

    ``unreadable`` is the reason why the store does not say where traffic goes; None if it does.
    """

    service: Mapping[str, Any]
    distribution: Mapping[str, Any] | None
    store: str | None
    unreadable: str | None

    @property
    def aliases(self) -> Sequence[str]:
        """The domains of the distribution, without patterns such as *.example.com."""
        found: Sequence[str] = (self.distribution or {}).get("Aliases", {}).get("Items", ())
        return [one for one in found if "*" not in one]

    @property
    def origin(self) -> str | None:
        """The service's own domain; None for a service that only a VPC reaches."""
        ingress = self.service.get("NetworkConfiguration", {}).get("IngressConfiguration", {})
        return str(self.service.get("ServiceUrl") or "") or None if ingress.get("IsPubliclyAccessible", True) else None


def read(reader: Reader, service: str, distribution: str | None) -> AppRunnerEstate:
    """Return the estate around a service; ``distribution`` is an ID, None for the one whose origin the service is.

    Raises Refused, NotPermitted, CloudError.
    """
    found = _service(reader, service)
    front = _distribution(reader, found.get("ServiceUrl"), distribution)
    store = _store(reader, front) if front else None
    return AppRunnerEstate(found, front, store, _unreadable(reader, store) if store else None)


def _service(reader: Reader, name: str) -> Mapping[str, Any]:
    summaries: list[Mapping[str, Any]] = []
    place: dict[str, str] = {}
    while True:
        answer = reader.call("apprunner", "ListServices", **place)
        summaries += answer["ServiceSummaryList"]
        if not answer.get("NextToken"):
            break
        place = {"NextToken": answer["NextToken"]}
    there = {str(one["ServiceName"]): one for one in summaries if one.get("Status") != "DELETED"}
    if name not in there:
        known = ", ".join(sorted(there)) or "it has none"
        raise Refused(f"App Runner has no service {name} in this account and region", hint=f"Its services: {known}.")
    service: Mapping[str, Any] = reader.call("apprunner", "DescribeService", ServiceArn=there[name]["ServiceArn"])[
        "Service"
    ]
    if service["Status"] in _NEVER_RUNS:
        raise Refused(
            f"App Runner service {name} cannot answer: its status is {service['Status']}",
            hint="Delete it, create it again, and call adopt again once it runs.",
        )
    return service


def _distribution(reader: Reader, origin: str | None, chosen: str | None) -> Mapping[str, Any] | None:
    # A staging distribution is a copy for tests: its primary one has the users.
    every = [one for one in reader.pages("cloudfront", "ListDistributions", "Items") if not one.get("Staging")]
    if chosen is not None:
        found = [one for one in every if one["Id"] == chosen]
        if not found:
            raise Refused(
                f"this account has no CloudFront distribution {chosen}",
                hint="List them with `aws cloudfront list-distributions`.",
            )
        return found[0]
    found = [one for one in every if origin in [each["DomainName"] for each in one.get("Origins", {}).get("Items", ())]]
    if len(found) > 1:
        raise Refused(
            f"{len(found)} CloudFront distributions have the service as an origin: {', '.join(str(one['Id']) for one in found)}",
            hint="Name the one that users reach with --distribution ID.",
        )
    return found[0] if found else None


def _store(reader: Reader, distribution: Mapping[str, Any]) -> str | None:
    """Return the ARN of the key value store of the function that sees each request; None without one."""
    functions = distribution.get("DefaultCacheBehavior", {}).get("FunctionAssociations", {}).get("Items", ())
    for one in functions:
        if one.get("EventType") == "viewer-request":
            name = str(one["FunctionARN"]).rpartition("/")[2]
            # The distribution runs the published stage; without a stage, CloudFront describes the one in development.
            summary = reader.call("cloudfront", "DescribeFunction", Name=name, Stage="LIVE")["FunctionSummary"]
            stores = summary["FunctionConfig"].get("KeyValueStoreAssociations", {}).get("Items", ())
            return str(stores[0]["KeyValueStoreARN"]) if stores else None
    return None


def _unreadable(reader: Reader, store: str) -> str | None:
    try:
        CloudFrontRouter(cast(Clients, reader), store).observe()  # it only calls
    except SwitchFailed as error:
        return error.message
    return None

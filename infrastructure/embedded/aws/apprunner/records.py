"""What is known of a service: frozen records, each change a new one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from infrastructure.embedded.aws.runtime.instances import Instance

Document = dict[str, Any]
"""A structure of AWS's API, as it came over the wire and was checked against the model."""


@dataclass(frozen=True)
class Settings:
    """What UpdateService can change."""

    source: Document
    instance: Document
    health_check: Document
    network: Document
    observability: Document
    autoscaling_arn: str

    @property
    def image(self) -> Document:
        """ImageRepository."""
        return dict(self.source["ImageRepository"])

    @property
    def image_configuration(self) -> Document:
        """ImageConfiguration, empty where none is given."""
        return dict(self.image.get("ImageConfiguration", {}))

    @property
    def public(self) -> bool:
        """Whether the service's URL answers the public."""
        return bool(self.network.get("IngressConfiguration", {}).get("IsPubliclyAccessible", True))


@dataclass(frozen=True)
class Revision:
    """Settings with an image that was pulled: what an instance runs. `folder` is the copy that it runs in."""

    id: str
    digest: str
    folder: str
    settings: Settings


@dataclass(frozen=True)
class Operation:
    """One entry of ListOperations; times are seconds since the epoch."""

    id: str
    type: str
    status: str
    started_at: float
    updated_at: float
    ended_at: float | None = None


@dataclass(frozen=True)
class CustomDomain:
    """A domain of a service, with or without its `www.`."""

    name: str
    www: bool

    def hosts(self) -> tuple[str, ...]:
        """The host names that it stands for."""
        return (self.name.lower(), f"www.{self.name.lower()}") if self.www else (self.name.lower(),)


@dataclass(frozen=True)
class Flight:
    """The operation under way, and what it came from: enough to undo it after a kill -9.

    `committed` is set with the switch of the ingress; from then on the operation can only be finished.
    """

    operation_id: str
    came_from: str
    previous: Settings
    committed: bool = False


@dataclass(frozen=True)
class Service:
    """A service: `settings` is what is configured, `revision` what is deployed, `instance` what serves it."""

    id: str
    name: str
    arn: str
    url: str
    created_at: float
    updated_at: float
    status: str
    settings: Settings
    tags: dict[str, str] = field(default_factory=dict)
    encryption: Document | None = None
    domains: tuple[CustomDomain, ...] = ()
    operations: tuple[Operation, ...] = ()
    revision: Revision | None = None
    instance: Instance | None = None
    candidate: Instance | None = None
    retiring: Instance | None = None
    flight: Flight | None = None
    deleted_at: float | None = None

    def hosts(self) -> list[str]:
        """Every host that the ingress knows this service by; the wildcard domains are none."""
        names = [self.url, *(host for domain in self.domains for host in domain.hosts())]
        return [name for name in names if "*" not in name]

    def instances(self) -> list[Instance]:
        """Every process that belongs to the service."""
        return [found for found in (self.instance, self.candidate, self.retiring) if found is not None]

    def operation(self, operation_id: str) -> Operation:
        """The operation of that id; KeyError where there is none."""
        for operation in self.operations:
            if operation.id == operation_id:
                return operation
        raise KeyError(operation_id)


def to_json(service: Service) -> Document:
    """The record as a JSON object."""
    return asdict(service)


def from_json(document: Document) -> Service:
    """The inverse of `to_json`."""
    read = dict(document)
    read["settings"] = Settings(**read["settings"])
    read["domains"] = tuple(CustomDomain(**domain) for domain in read["domains"])
    read["operations"] = tuple(Operation(**operation) for operation in read["operations"])
    for name in ("instance", "candidate", "retiring"):
        read[name] = Instance(**read[name]) if read[name] else None
    if read["revision"]:
        read["revision"] = Revision(**read["revision"] | {"settings": Settings(**read["revision"]["settings"])})
    if read["flight"]:
        read["flight"] = Flight(**read["flight"] | {"previous": Settings(**read["flight"]["previous"])})
    return Service(**read)

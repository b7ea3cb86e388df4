"""The records of a service: frozen dataclasses; each change makes a new record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from infrastructure.embedded.aws.runtime.instances import Instance

Document = dict[str, Any]
"""A structure of AWS's API, as received and checked against the model."""


@dataclass(frozen=True)
class Settings:
    """The settings that UpdateService can change."""

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
        """ImageConfiguration; empty if none is given."""
        return dict(self.image.get("ImageConfiguration", {}))

    @property
    def public(self) -> bool:
        """True if the service's URL is publicly accessible."""
        return bool(self.network.get("IngressConfiguration", {}).get("IsPubliclyAccessible", True))


@dataclass(frozen=True)
class Revision:
    """Settings with a pulled image; an instance runs a revision. `folder` is the copy of the image that it runs in."""

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
    """A domain of a service, with or without its `www.` host."""

    name: str
    www: bool

    def hosts(self) -> tuple[str, ...]:
        """Return the domain's host names."""
        return (self.name.lower(), f"www.{self.name.lower()}") if self.www else (self.name.lower(),)


@dataclass(frozen=True)
class Flight:
    """The running operation with the previous status and settings: enough to undo it after a kill -9.

    `committed` is set with the switch of the ingress; from then on the operation can only be finished.
    """

    operation_id: str
    came_from: str
    previous: Settings
    committed: bool = False


@dataclass(frozen=True)
class Service:
    """A service: `settings` is its configuration, `revision` the deployed one, `instance` the process that serves."""

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
        """Return every host under which the ingress knows this service; wildcard domains are left out."""
        names = [self.url, *(host for domain in self.domains for host in domain.hosts())]
        return [name for name in names if "*" not in name]

    def instances(self) -> list[Instance]:
        """Return every process that belongs to the service."""
        return [found for found in (self.instance, self.candidate, self.retiring) if found is not None]

    def operation(self, operation_id: str) -> Operation:
        """Return the operation with that id. Raises KeyError if there is none."""
        for operation in self.operations:
            if operation.id == operation_id:
                return operation
        raise KeyError(operation_id)


def to_json(service: Service) -> Document:
    """Return the record as a JSON object."""
    return asdict(service)


def from_json(document: Document) -> Service:
    """Return the record of a JSON object; the inverse of `to_json`."""
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

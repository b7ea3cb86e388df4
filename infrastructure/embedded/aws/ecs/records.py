"""The frozen records of clusters, task definitions, services and tasks. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from infrastructure.embedded.aws.runtime.instances import Instance

Document = dict[str, Any]
"""A structure of AWS's API, as received and checked against the model."""
EVENTS_KEPT = 100


@dataclass(frozen=True)
class Cluster:
    """A cluster: a namespace of services."""

    key: str
    arn: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskDefinition:
    """A revision of a family; `document` is the answer of DescribeTaskDefinition."""

    key: str
    arn: str
    document: Document
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def container(self) -> Document:
        """The definition's only container."""
        return dict(self.document["containerDefinitions"][0])


@dataclass(frozen=True)
class Deployment:
    """One entry of a service's `deployments`; `released` is True once the image's `release:` command has run for it."""

    id: str
    task_definition: str
    created_at: float
    updated_at: float
    desired: int
    status: str = "PRIMARY"
    state: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    released: bool = False


@dataclass(frozen=True)
class Revision:
    """One entry of a service's history: a service deployment; ``deployment`` and ``back`` are ids of `deployments` entries.

    ``back`` is the deployment that rolls this one back, None until one does.
    """

    arn: str
    deployment: str
    created_at: float
    status: str = "IN_PROGRESS"
    reason: str = ""
    back: str | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Service:
    """A service; `settings` are the members of CreateService and UpdateService except count and task definition."""

    key: str
    arn: str
    cluster: str
    created_at: float
    desired: int
    settings: Document
    deployments: tuple[Deployment, ...]
    status: str = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)
    events: tuple[Document, ...] = ()
    last_good: str | None = None
    history: tuple[Revision, ...] = ()

    @property
    def name(self) -> str:
        """The service's name."""
        return self.arn.rpartition("/")[2]

    @property
    def primary(self) -> Deployment:
        """The deployment that the service is moving to."""
        return self.deployments[0]

    @property
    def group_arn(self) -> str | None:
        """The target group of its tasks; None for a service without a load balancer."""
        balancers = self.settings.get("loadBalancers")
        return str(balancers[0]["targetGroupArn"]) if balancers else None

    def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment with that id, or None if it is over."""
        return next((one for one in self.deployments if one.id == deployment_id), None)

    def with_deployment(self, changed: Deployment) -> Service:
        """Return the service with `changed` in place of the deployment with the same id."""
        return replace(self, deployments=tuple(changed if one.id == changed.id else one for one in self.deployments))

    def with_event(self, event_id: str, at: float, message: str) -> Service:
        """Return the service with one more event; the newest comes first."""
        event = {"id": event_id, "createdAt": at, "message": f"(service {self.name}) {message}"}
        return replace(self, events=(event, *self.events)[:EVENTS_KEPT])


@dataclass(frozen=True)
class Task:
    """A task of a service; `instance` is its process, None until it has one."""

    key: str
    arn: str
    service: str
    deployment: str
    task_definition: str
    created_at: float
    last: str = "PROVISIONING"
    desired: str = "RUNNING"
    digest: str | None = None
    instance: Instance | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    reason: str | None = None
    exit_code: int | None = None

    @property
    def service_key(self) -> str:
        """The key of the task's service."""
        return self.service.partition(":service/")[2]

    @property
    def wanted(self) -> bool:
        """True if the task shall go on."""
        return self.desired == "RUNNING"

    @property
    def over(self) -> bool:
        """True if the task has stopped completely."""
        return self.last == "STOPPED"

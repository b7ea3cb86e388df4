"""The API of clusters and services: it checks and records requests; the scheduler carries them out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.ecs import service_rules as rules
from infrastructure.embedded.aws.ecs.definitions import TaskDefinitions
from infrastructure.embedded.aws.ecs.deployments import new_deployment, recorded, superseded
from infrastructure.embedded.aws.ecs.documents import service_document, tags_document
from infrastructure.embedded.aws.ecs.errors import cluster_not_found, invalid, service_not_found
from infrastructure.embedded.aws.ecs.records import Cluster, Document, Service
from infrastructure.embedded.aws.ecs.store import Store
from infrastructure.embedded.aws.elbv2.store import Store as Balancers
from infrastructure.embedded.aws.errors import AwsError

DEFAULT_CLUSTER = "default"
DESCRIBED_AT_ONCE = 10


class Services:
    """The API of clusters and services; it sets `changed` after each change to wake the scheduler."""

    def __init__(
        self, config: EndpointConfig, store: Store, definitions: TaskDefinitions, balancers: Balancers, changed: Event
    ) -> None:
        self._config = config
        self._store = store
        self._definitions = definitions
        self._balancers = balancers
        self._changed = changed

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {
            "CreateCluster": self.create_cluster,
            "DescribeClusters": self.describe_clusters,
            "CreateService": self.create,
            "UpdateService": self.update,
            "DeleteService": self.delete,
            "DescribeServices": self.describe,
            "ListServices": self.list_services,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def create_cluster(self, request: Document) -> Document:
        """Answer CreateCluster; return an existing cluster unchanged."""
        name = request.get("clusterName", DEFAULT_CLUSTER)
        with self._store.locked():
            known = self._store.clusters.find(name)
            tags = {tag["key"]: tag.get("value", "") for tag in request.get("tags", [])}
            cluster = known or self._store.clusters.put(Cluster(name, self._config.arn(f"cluster/{name}", "ecs"), tags))
        return {"cluster": self._cluster_document(cluster)}

    def describe_clusters(self, request: Document) -> Document:
        """Answer DescribeClusters; unknown clusters are listed as failures."""
        found, failures = [], []
        for name in request.get("clusters", [DEFAULT_CLUSTER]):
            cluster = self._store.clusters.find(name.rpartition("/")[2])
            if cluster is None:
                failures.append(
                    {"arn": self._config.arn(f"cluster/{name.rpartition('/')[2]}", "ecs"), "reason": "MISSING"}
                )
            else:
                found.append(self._cluster_document(cluster))
        return {"clusters": found, "failures": failures}

    def cluster(self, request: Document) -> Cluster:
        """Return the cluster that a request names. Raises ClusterNotFoundException if there is none."""
        name = request.get("cluster", DEFAULT_CLUSTER)
        found = self._store.clusters.find(name.rpartition("/")[2])
        if found is None or (name.startswith("arn:") and found.arn != name):
            raise cluster_not_found()
        return found

    def find(self, cluster: Cluster, name: str) -> Service | None:
        """Return a service by name or ARN, or None if there is none."""
        found = self._store.services.find(f"{cluster.key}/{name.rpartition('/')[2]}")
        return None if found is None or (name.startswith("arn:") and found.arn != name) else found

    def create(self, request: Document) -> Document:
        """Answer CreateService."""
        cluster, name, now = self.cluster(request), request["serviceName"], time.time()
        rules.refuse_unsupported(request)
        if request.get("launchType", "FARGATE") != "FARGATE" or "networkConfiguration" not in request:
            raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        if "taskDefinition" not in request:
            raise invalid("TaskDefinition can not be blank.")
        definition = self._definitions.find(request["taskDefinition"], active=True)
        settings = {key: request[key] for key in rules.SETTINGS if key in request}
        settings["deploymentConfiguration"] = rules.deployment_configuration(request, rules.DEFAULT_DEPLOYMENT)
        rules.refuse_settings(settings, definition, self._balancers)
        desired = request.get("desiredCount")
        if desired is None or desired < 0:
            raise invalid("desiredCount must be a non-negative number with the REPLICA scheduling strategy")
        with self._store.locked():
            known = self.find(cluster, name)
            if known is not None and known.status != "INACTIVE":
                raise invalid("Creation of service was not idempotent.")
            service = Service(
                key=f"{cluster.key}/{name}",
                arn=self._config.arn(f"service/{cluster.key}/{name}", "ecs"),
                cluster=cluster.arn,
                created_at=now,
                desired=desired,
                settings=settings | {"taskDefinition": definition.arn},
                deployments=(new_deployment(definition.arn, desired),),
                tags={tag["key"]: tag.get("value", "") for tag in request.get("tags", [])},
            )
            self._store.services.put(recorded(service))
        self._changed.set()
        return {"service": service_document(service, [], tags=True)}

    def update(self, request: Document) -> Document:
        """Answer UpdateService: a changed count starts no deployment; the task definition, DEPLOYS and force do."""
        rules.refuse_unsupported(request)
        with self._store.locked():
            service = self._active(request)
            primary = service.primary
            definition = self._definitions.find(
                request.get("taskDefinition", primary.task_definition), active="taskDefinition" in request
            )
            settings = service.settings | {key: request[key] for key in rules.SETTINGS if key in request}
            settings["deploymentConfiguration"] = rules.deployment_configuration(
                request, service.settings["deploymentConfiguration"]
            )
            rules.refuse_settings(settings, definition, self._balancers)
            desired = request.get("desiredCount", service.desired)
            if desired < 0:
                raise invalid("desiredCount must be a non-negative number")
            deploys = (
                definition.arn != primary.task_definition
                or request.get("forceNewDeployment", False)
                or any(settings.get(key) != service.settings.get(key) for key in rules.DEPLOYS)
            )
            changed = replace(service, settings=settings, desired=desired)
            if deploys:
                changed = recorded(superseded(changed, new_deployment(definition.arn, desired)))
            elif desired != service.desired:
                changed = changed.with_deployment(replace(primary, desired=desired, updated_at=time.time()))
            self._store.services.put(changed)
        self._changed.set()
        return {"service": self._document(changed, tags=True)}

    def delete(self, request: Document) -> Document:
        """Answer DeleteService: the service drains first; one with a desired count above 0 needs `force`."""
        with self._store.locked():
            service = self._active(request)
            if service.desired > 0 and not request.get("force", False):
                raise invalid("The service cannot be stopped while it is scaled above 0.")
            changed = replace(service, status="DRAINING", desired=0)
            changed = changed.with_deployment(replace(service.primary, desired=0, updated_at=time.time()))
            self._store.services.put(changed)
        self._changed.set()
        return {"service": self._document(changed)}

    def describe(self, request: Document) -> Document:
        """Answer DescribeServices; unknown services are listed as failures."""
        cluster, names = self.cluster(request), request["services"]
        if not 1 <= len(names) <= DESCRIBED_AT_ONCE:
            raise invalid(f"Services: 1 to {DESCRIBED_AT_ONCE} services can be described at once.")
        found, failures = [], []
        for name in names:
            service = self.find(cluster, name)
            if service is None:
                arn = self._config.arn(f"service/{cluster.key}/{name.rpartition('/')[2]}", "ecs")
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self._document(service, tags="TAGS" in request.get("include", ())))
        return {"services": found, "failures": failures}

    def list_services(self, request: Document) -> Document:
        """Answer ListServices of a cluster."""
        cluster = self.cluster(request)
        known = [one for one in self._store.services.all() if one.cluster == cluster.arn and one.status != "INACTIVE"]
        return {"serviceArns": sorted(one.arn for one in known)[: request.get("maxResults", 100)]}

    def tag(self, request: Document) -> Document:
        """Answer TagResource for a service."""
        given = {tag["key"]: tag.get("value", "") for tag in request["tags"]}
        return self._retag(request, lambda tags: tags | given)

    def untag(self, request: Document) -> Document:
        """Answer UntagResource for a service; unknown keys are ignored."""
        return self._retag(request, lambda tags: {k: v for k, v in tags.items() if k not in request["tagKeys"]})

    def list_tags(self, request: Document) -> Document:
        """Answer ListTagsForResource for a service."""
        return {"tags": tags_document(self._tagged(request).tags)}

    def _retag(self, request: Document, change: Callable[[dict[str, str]], dict[str, str]]) -> Document:
        with self._store.locked():
            service = self._tagged(request)
            self._store.services.put(replace(service, tags=change(service.tags)))
        return {}

    def _tagged(self, request: Document) -> Service:
        for service in self._store.services.all():
            if service.arn == request["resourceArn"] and service.status != "INACTIVE":
                return service
        raise invalid("The specified resource is not found; the embedded ECS keeps tags of services only.")

    def _active(self, request: Document) -> Service:
        service = self.find(self.cluster(request), request["service"])
        if service is None:
            raise service_not_found()
        if service.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return service

    def _document(self, service: Service, *, tags: bool = False) -> Document:
        return service_document(service, self._store.tasks_of(service.arn), tags=tags)

    def _cluster_document(self, cluster: Cluster) -> Document:
        services = [one for one in self._store.services.all() if one.cluster == cluster.arn and one.status == "ACTIVE"]
        tasks = [task for service in services for task in self._store.tasks_of(service.arn)]
        return {
            "clusterArn": cluster.arn,
            "clusterName": cluster.key,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(task.last == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task.last in ("PROVISIONING", "PENDING", "ACTIVATING") for task in tasks),
            "activeServicesCount": len(services),
            "statistics": [],
            "tags": tags_document(cluster.tags),
            "settings": [],
            "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        }

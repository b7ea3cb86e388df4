"""The platform on ECS: one service for each colour behind its own target group; a rollout is READY only if its tasks prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from deployment.errors import CloudError, ProvisionFailed
from deployment.model import Colour, Configuration, Image, Progress, Readiness, Rollout, Service
from infrastructure.aws.configured import of_ecs
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.requests import (
    Followed,
    configuration_hash,
    digest_of,
    followed,
    foreign_deployer,
    gives_up,
    image_of,
    judge,
    main_container,
    most_failures,
    primary,
    register_request,
    repository_of,
    under_way,
)
from infrastructure.aws.ecs.service_deployments import ServiceDeployments
from infrastructure.aws.ecs.target_groups import TargetGroups
from infrastructure.aws.ecs.task_states import Tasks
from infrastructure.aws.logs import newest_lines
from infrastructure.aws.session import Clients

_SCALABLE = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


class EcsPlatform:
    """The Platform port on ECS services with rolling deployments; the router moves traffic between the colours.

    A deployment that its circuit breaker rolled back ends as stable as a good one. So READY requires that the deployment
    of exactly this task definition is COMPLETED, every running task has the wanted digest, and every target is healthy.
    """

    def __init__(
        self,
        clients: Clients,
        cluster: str,
        services: Mapping[Colour, str],
        target_groups: Mapping[Colour, str],
        colour_urls: Mapping[Colour, str],
        drain: DrainWindow,
    ) -> None:
        self._clients = clients
        self._cluster = cluster
        self._names = services
        self._groups = TargetGroups(clients, target_groups, drain)
        self._urls = colour_urls
        self._scaling = Scaling(clients, cluster)
        self._tasks = Tasks(clients, cluster)
        self._history = ServiceDeployments(clients, cluster)
        self._requests: dict[Colour, str] = {}

    def describe(self, colour: Colour) -> Service:
        """Return the colour's configuration and state; status 'ABSENT' if the service does not exist. Raises CloudError."""
        service = self._find(colour)
        if service is None:
            return Service(
                colour, "ABSENT", obstacle="create its ECS service with terraform apply (infrastructure/terraform)"
            )
        obstacle = foreign_deployer(service) if service["status"] == "ACTIVE" else "ECS is deleting it"
        if not service.get("taskDefinition"):  # with the controller EXTERNAL its task sets have it
            return Service(colour, str(service["status"]), obstacle=obstacle or "it runs no task definition yet")
        definition = self._definition(service["taskDefinition"])
        try:
            image = image_of(definition, main_container(service, self._groups.arn(colour)))
        except ProvisionFailed as error:
            return Service(colour, str(service["status"]), obstacle=error.message)
        desired, count = int(service["desiredCount"]), int(service["runningCount"])
        healthy, unhealthy = self._groups.health(colour, desired)
        return Service(
            colour,
            "ACTIVE" if desired or count else "STOPPED",
            running=bool(count and healthy),
            busy=under_way(service),
            digest=digest_of(image),
            origin=urlsplit(self._urls[colour]).netloc,
            url=self._urls[colour],
            configuration=configuration_hash(service, definition, repository_of(image)),
            unhealthy=unhealthy if desired else None,
            obstacle=obstacle,
        )

    def configured(self, colour: Colour) -> Configuration | None:
        """See ``deployment.ports.Platform``."""
        service = self._find(colour)
        if service is None or not service.get("taskDefinition"):
            return None
        return of_ecs(service, self._definition(service["taskDefinition"]))

    def provision(self, colour: Colour, image: Image) -> Rollout:
        """Register the colour's task definition with the image and update its service to the other colour's size.

        Raises ProvisionFailed if ECS refuses; CloudDenied or CloudUnreachable if ECS could not be asked.
        """
        try:
            return Rollout(colour, image.digest, str(self._provision(colour, image)))
        except CloudError as error:
            if type(error) is not CloudError:
                raise
            raise ProvisionFailed(f"{self._names[colour]}: {error.message}", hint=error.hint) from error

    def progress(self, rollout: Rollout) -> Progress:
        """Return the state of the rollout. Reads everything anew, so any process can follow it. Raises CloudError."""
        colour, name = rollout.colour, self._names[rollout.colour]
        service = self._find(colour)
        if service is None:
            return Progress(Readiness.STUCK, f"{name} does not exist any more")
        ours = Followed.parse(rollout.operation)
        so_far = judge(service, ours, lambda: self._history.since(name, ours.before))
        if so_far is not None:
            return self._with_its_tasks(so_far, service, ours.deployment)
        container = main_container(service, self._groups.arn(colour))
        wrong = self._tasks.mismatch(service, container, ours.definition, rollout.digest)
        if wrong is not None:
            return wrong
        _, unhealthy = self._groups.health(colour, int(service["desiredCount"]))
        if unhealthy:
            return Progress(Readiness.NOT_YET, f"{unhealthy}: {name}")
        return Progress(Readiness.READY, f"{name}: {service['runningCount']} tasks run {rollout.digest[:19]}")

    def scale(self, colour: Colour) -> None:
        """Raise the colour's bounds and number of tasks to the other colour's; lower neither. Raises CloudError."""
        service, sibling = self._find(colour), self._find(colour.other)
        if service is None or sibling is None:
            return
        self._scaling.match_bounds(self._names[colour], self._names[colour.other], lower=False)
        if int(service["desiredCount"]) < int(sibling["desiredCount"]):
            self._ecs("UpdateService", service=self._names[colour], desiredCount=int(sibling["desiredCount"]))

    def retire(self, colour: Colour) -> Rollout | None:
        """Stop the colour's tasks once it had no request for the drain window; change nothing until then."""
        service = self._find(colour)
        if service is None or _is_stopped(service):
            return None
        requests = self._groups.recent_requests(colour)
        self._requests.pop(colour, None)
        if requests is not None:
            self._requests[colour] = requests
        elif service["desiredCount"]:
            # Lower the bound first, or autoscaling would start the tasks again. ECS deregisters a task before it ends it:
            # the task has its target group's deregistration delay to finish its requests.
            self._scaling.allow_zero(self._names[colour])
            self._ecs("UpdateService", service=self._names[colour], desiredCount=0)
        return Rollout(colour, "", str(followed(primary(service), None)))

    def stopped(self, colour: Colour) -> Progress:
        """Return READY when no task of the colour is left."""
        service, name = self._find(colour), self._names[colour]
        if service is None or _is_stopped(service):
            return Progress(Readiness.READY, f"{name} is {'STOPPED' if service else 'ABSENT'}")
        counts = f"{service['runningCount']} tasks run, {service['desiredCount']} are wanted"
        requests = self._requests.get(colour)
        return Progress(Readiness.NOT_YET, f"{counts}: {name}" + (f"; it still serves: {requests}" if requests else ""))

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:
        """Return the newest lines of the service's events and of its containers' log groups, oldest first; empty if none."""
        service = self._find(colour)
        if service is None:
            return ()
        groups, streams = {}, {}
        definition = self._definition(service["taskDefinition"]) if service.get("taskDefinition") else {}
        for one in definition.get("containerDefinitions", ()):
            options = one.get("logConfiguration", {}).get("options", {})
            if options.get("awslogs-group"):
                groups[one["name"]] = options["awslogs-group"]
                if options.get("awslogs-stream-prefix"):
                    streams[one["name"]] = f"{options['awslogs-stream-prefix']}/{one['name']}/"
        events = [(one["createdAt"], str(one["message"])) for one in service.get("events", ())]
        return newest_lines(self._clients, groups, since, limit, streams=streams, events=events)

    def _provision(self, colour: Colour, image: Image) -> Followed:
        name, other = self._names[colour], self._names[colour.other]
        service, sibling = self._find(colour), self._find(colour.other)
        if service is None:
            raise ProvisionFailed(
                f"{name} does not exist in cluster {self._cluster}",
                hint="Create the estate (infrastructure/terraform).",
            )
        if problem := foreign_deployer(service):
            raise ProvisionFailed(f"{name}: {problem}")
        container = main_container(service, self._groups.arn(colour))
        wanted = int((sibling or {}).get("desiredCount", 0)) or int(service["desiredCount"]) or 1
        if sibling is not None:
            self._scaling.match_bounds(name, other)
        definition = self._registered(service["taskDefinition"], container, image)
        if definition != service["taskDefinition"]:
            return self._update(name, definition, wanted)
        now = primary(service)
        if now.get("rolloutState") == "IN_PROGRESS" and int(service["desiredCount"]) >= wanted:
            return followed(now, self._history.newest(name, finished=True))  # this rollout has been started already
        # The release must start again, with today's secrets; an earlier start proves nothing.
        return self._update(name, definition, wanted, forceNewDeployment=True)

    def _registered(self, current: str, container: str, image: Image) -> str:
        """Return the ARN of the colour's newest task definition, with the image; Terraform's latest changes are included."""
        family = self._definition(current)["family"]
        answer = self._ecs_global("DescribeTaskDefinition", taskDefinition=family, include=["TAGS"])
        newest = answer["taskDefinition"]
        if digest_of(image_of(newest, container)) == image.digest:
            return str(newest["taskDefinitionArn"])
        request = register_request(newest, answer.get("tags", ()), container, image.uri)
        made = self._ecs_global("RegisterTaskDefinition", **request)
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _with_its_tasks(self, so_far: Progress, service: Mapping[str, Any], deployment: str) -> Progress:
        """Return ECS's verdict on a deployment, completed by the reasons why its tasks ended."""
        if so_far.readiness is Readiness.STUCK:
            said = self._tasks.failure_reason(service, deployment)
            return replace(so_far, detail=f"{so_far.detail}; one of its tasks ended: {said}") if said else so_far
        if gives_up(service):
            return so_far
        return self._tasks.failing(service, deployment, most_failures(service)) or so_far

    def _update(self, name: str, definition: str, wanted: int, **more: Any) -> Followed:
        before = self._history.newest(name)
        answer = self._ecs("UpdateService", service=name, taskDefinition=definition, desiredCount=wanted, **more)
        return followed(primary(answer["service"]), before)

    def _find(self, colour: Colour) -> Mapping[str, Any] | None:
        """Return the colour's service, or None if it does not exist (any more)."""
        found = self._ecs("DescribeServices", services=[self._names[colour]])["services"]
        return found[0] if found and found[0]["status"] != "INACTIVE" else None

    def _definition(self, arn: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._ecs_global("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]
        return found

    def _ecs(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("ecs", operation, cluster=self._cluster, **parameters)

    def _ecs_global(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("ecs", operation, **parameters)


def _is_stopped(service: Mapping[str, Any]) -> bool:
    return not (service["desiredCount"] or service["runningCount"] or service.get("pendingCount"))


class Scaling:
    """The autoscaling bounds of a cluster's services; a service without bounds gets none.

    Before it takes traffic a colour gets as many tasks as the live one; a stopped colour gets none.
    """

    def __init__(self, clients: Clients, cluster: str) -> None:
        self._clients = clients
        self._cluster = cluster

    def match_bounds(self, service: str, model: str, *, lower: bool = True) -> None:
        """Give ``service`` at least the bounds of ``model``: if it scaled in below them, it would be too small for all traffic.

        ``lower``: lower a least number of tasks that is above the one of ``model``, which may be a stopped colour.
        """
        own, other = self._bounds(service), self._bounds(model)
        if own is None or other is None:
            return
        least = int(other["MinCapacity"]) if lower else max(int(own["MinCapacity"]), int(other["MinCapacity"]))
        most = max(int(own["MaxCapacity"]), int(other["MaxCapacity"]))
        if (own["MinCapacity"], own["MaxCapacity"]) != (least, most):
            self._register(service, least, most)

    def allow_zero(self, service: str) -> None:
        """Allow a service to have no task; otherwise autoscaling would start one again."""
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
        return self._clients.call("application-autoscaling", operation, **_SCALABLE, **parameters)

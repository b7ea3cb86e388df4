"""The platform on App Runner: one service for each colour; a rollout is READY only if its own operation proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from deployment.errors import CloudError, NotFound, ProvisionFailed
from deployment.model import Colour, Configuration, Image, Progress, Readiness, Rollout, Service
from infrastructure.aws.apprunner.requests import (
    DEPLOYS,
    FAILED,
    Operation,
    Step,
    configuration_hash,
    create_request,
    digest,
    identifier,
    newer_than,
    operation_of,
    serves,
    update_request,
)
from infrastructure.aws.configured import of_app_runner
from infrastructure.aws.drain import DrainWindow, Metric, requests_within
from infrastructure.aws.errors import aws_code
from infrastructure.aws.logs import newest_lines
from infrastructure.aws.session import Clients

_BUSY = "OPERATION_IN_PROGRESS"
_DEPLOYABLE = frozenset({"RUNNING", "PAUSED", "CREATE_FAILED"})
_STOPPED = frozenset({"PAUSED", "CREATE_FAILED", "DELETED"})
_RECENT_OPERATIONS = 20
"""How many operations are read from ListOperations; a deployment starts at most three on a service."""
_LONGEST_REQUEST_S = 120
"""App Runner ends a request after this time: https://docs.aws.amazon.com/apprunner/latest/dg/develop.html"""
_WEB_ACL_LATER = "WAFUnavailableEntityException"
"""AWS WAF does not know a new service at once: https://docs.aws.amazon.com/waf/latest/APIReference/API_AssociateWebACL.html"""


class AppRunnerPlatform:
    """The Platform port on App Runner; ``services`` names each colour's service, ``scheme`` is the scheme of their URLs.

    ``web_acl``: the ARN of the web ACL that protects both colours' own addresses; None if the settings name none. No request
    to App Runner can name it, so a service that is created again would answer everybody until it is associated.

    A failed update looks like a success: App Runner restores the old revision and the service is RUNNING. So READY
    requires that exactly this operation SUCCEEDED, the service is RUNNING, and the wanted digest is configured.
    """

    def __init__(
        self,
        clients: Clients,
        services: Mapping[Colour, str],
        drain: DrainWindow,
        scheme: str = "https",
        web_acl: str | None = None,
    ) -> None:
        self._clients = clients
        self._web_acl = web_acl
        self._names = services
        self._scheme = scheme
        self._drain = replace(drain, seconds=max(drain.seconds, _LONGEST_REQUEST_S))
        self._arns: dict[Colour, str] = {}
        self._requests: dict[Colour, int] = {}

    def describe(self, colour: Colour) -> Service:
        """Return the colour's configuration and state; status 'ABSENT' if the service does not exist. Raises CloudError."""
        service = self._find(colour)
        if service is None:
            return Service(colour, "ABSENT")
        status = service["Status"]
        busy = status == _BUSY
        origin = service.get("ServiceUrl") or None
        return Service(
            colour,
            status,
            running=serves(status, self._operations(service) if busy else ()),
            busy=busy,
            digest=digest(service),
            origin=origin,
            url=f"{self._scheme}://{origin}" if origin else None,
            configuration=configuration_hash(service),
            obstacle=_obstacle(service),
        )

    def configured(self, colour: Colour) -> Configuration | None:
        """See ``deployment.ports.Platform``."""
        service = self._find(colour)
        return None if service is None else of_app_runner(service)

    def provision(self, colour: Colour, image: Image) -> Rollout:
        """Create, resume or update the colour's service; if it is busy, ``progress`` continues once it is free.

        Raises ProvisionFailed if App Runner refuses; CloudDenied or CloudUnreachable if it could not be asked.
        """
        try:
            service = self._find(colour)
            step = self._create(colour, image.uri) if service is None else self._start(service, image.uri)
        except CloudError as error:
            if type(error) is not CloudError:
                raise
            raise ProvisionFailed(f"{self._names[colour]}: {error.message}", hint=error.hint) from error
        return Rollout(colour, image.digest, str(step))

    def progress(self, rollout: Rollout) -> Progress:
        """Return the state of the rollout: READY only behind the web ACL, if the settings name one.

        May start the rollout's next operation or associate the web ACL; any process may call it.
        """
        service = self._find(rollout.colour)
        if service is None:
            return Progress(Readiness.STUCK, f"{self._names[rollout.colour]} does not exist any more")
        found = self._followed(service, rollout)
        if self._web_acl is None or found.readiness is not Readiness.READY:
            return found
        return self._protected(service, self._web_acl) or found

    def _followed(self, service: Mapping[str, Any], rollout: Rollout) -> Progress:
        """Return the state of the rollout's operations; may start the next one."""
        step = Step.parse(rollout.operation)
        operations = self._operations(service)
        if step.then_deploy:
            return self._continue(service, step, operations, rollout)
        followed = next((one for one in operations if one.id == step.operation), None)
        if followed is None:
            return Progress(
                Readiness.NOT_YET, f"not listed yet: operation {step.operation} of {service['ServiceName']}"
            )
        return _judge(service, followed, rollout)

    def scale(self, colour: Colour) -> None:
        """Do nothing: both services share the estate's one autoscaling configuration."""

    def retire(self, colour: Colour) -> Rollout | None:
        """Pause a RUNNING service once it had no request for the drain window: App Runner documents no way to drain it.

        While it has requests or is busy, change nothing and return its newest operation: call again.
        """
        service = self._find(colour)
        if service is None or service["Status"] in _STOPPED:
            return None
        wanted = digest(service) or ""
        self._requests[colour] = 0 if service["Status"] == _BUSY else self._recent_requests(service)
        if service["Status"] != _BUSY and not self._requests[colour]:
            try:
                answer = self._call("PauseService", ServiceArn=service["ServiceArn"])
                return Rollout(colour, wanted, answer["OperationId"])
            except CloudError as error:
                if aws_code(error) != "InvalidStateException":
                    raise
        return Rollout(colour, wanted, _newest(self._operations(service)))

    def stopped(self, colour: Colour) -> Progress:
        """Return READY if the service is paused, absent, or never came up; STUCK if its pause failed."""
        service = self._find(colour)
        name = self._names[colour]
        if service is None or service["Status"] in _STOPPED:
            return Progress(Readiness.READY, f"{name} is {service['Status'] if service else 'ABSENT'}")
        operations = self._operations(service)
        newest = operations[0] if operations else None
        if service["Status"] != _BUSY and newest and newest.type == "PAUSE_SERVICE" and newest.status in FAILED:
            return Progress(Readiness.STUCK, f"{name} could not be paused: {newest}")
        text = f"{service['Status']}: {name}" + (f", {newest}" if newest else "")
        if requests := self._requests.get(colour):
            text += f"; it still serves: {requests} requests in the last {self._drain.seconds:.0f} s"
        return Progress(Readiness.NOT_YET, text)

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:
        """Return the newest ``limit`` lines of the service's events and its application, oldest first; empty if none."""
        service = self._find(colour)
        if service is None:
            return ()
        stem = f"/aws/apprunner/{service['ServiceName']}/{service['ServiceId']}"
        return newest_lines(self._clients, {"service": f"{stem}/service", "app": f"{stem}/application"}, since, limit)

    def _recent_requests(self, service: Mapping[str, Any]) -> int:
        """Return the number of requests to a service within the drain window. Raises CloudError."""
        dimensions = {"ServiceName": service["ServiceName"], "ServiceID": service["ServiceId"]}
        return requests_within(self._clients, Metric("AWS/AppRunner", "Requests", dimensions), self._drain)

    def _start(self, service: Mapping[str, Any], uri: str) -> Step:
        """Start the first operation of a rollout on an existing service."""
        operations = self._operations(service)
        newest = _newest(operations)
        status = service["Status"]
        if status == _BUSY:
            creating = operations and operations[0].type == "CREATE_SERVICE" and not operations[0].ended
            if creating and digest(service) == uri.partition("@")[2]:
                return Step(newest)  # this rollout's own CreateService, started already
            return Step(newest, uri)
        if status not in _DEPLOYABLE:
            raise ProvisionFailed(
                f"{service['ServiceName']} is {status}: App Runner cannot deploy to it",
                hint="Delete the service for good; the next deployment creates it again.",
            )
        try:
            if status == "PAUSED":
                # AWS's documents disagree on updates of a paused service; resuming it first is always right.
                return Step(self._call("ResumeService", ServiceArn=service["ServiceArn"])["OperationId"], uri)
            return Step(self._deploy(service, uri))
        except CloudError as error:
            if aws_code(error) != "InvalidStateException":
                raise
            # Another operation began in between: AWS's maintenance, or this call, accepted but answered too late. The
            # operations newer than `newest` show which.
            return Step(newest, uri)

    def _deploy(self, service: Mapping[str, Any], uri: str) -> str:
        if digest(service) == uri.partition("@")[2] and service["Status"] == "RUNNING":
            # AWS documents that StartDeployment starts the release again, but not that an update without changes does.
            # The release must start now, with today's secrets; an earlier start proves nothing.
            return str(self._call("StartDeployment", ServiceArn=service["ServiceArn"])["OperationId"])
        return str(self._call("UpdateService", **update_request(service, uri))["OperationId"])

    def _create(self, colour: Colour, uri: str) -> Step:
        sibling = self._find(colour.other)
        if sibling is None:
            raise ProvisionFailed(
                f"neither {self._names[colour]} nor {self._names[colour.other]} exists, so no configuration can be copied",
                hint="Create the estate first (infrastructure/terraform).",
            )
        tags = self._call("ListTagsForResource", ResourceArn=sibling["ServiceArn"]).get("Tags", ())
        answer = self._call("CreateService", **create_request(sibling, tags, self._names[colour], colour, uri))
        self._arns[colour] = answer["Service"]["ServiceArn"]
        if self._web_acl is not None:
            # As early as AWS accepts it. If it does not accept it yet, progress() associates the web ACL or fails the rollout.
            with suppress(CloudError):
                self._associate(self._arns[colour], self._web_acl)
        return Step(answer["OperationId"])

    def _protected(self, service: Mapping[str, Any], web_acl: str) -> Progress | None:
        """Return None if the web ACL protects the service. Otherwise associate it, and return what to wait for.

        Raises CloudDenied or CloudUnreachable.
        """
        name, arn = service["ServiceName"], service["ServiceArn"]
        try:
            known = self._clients.call(
                "wafv2", "ListResourcesForWebACL", WebACLArn=web_acl, ResourceType="APP_RUNNER_SERVICE"
            )
            if arn in known.get("ResourceArns", ()):
                return None
            self._associate(arn, web_acl)
        except CloudError as error:
            if aws_code(error) == _WEB_ACL_LATER:
                return Progress(Readiness.NOT_YET, f"not behind its web ACL yet: {name}, {error.message}")
            if not isinstance(error, NotFound) and type(error) is not CloudError:
                raise
            return Progress(Readiness.STUCK, f"{name} is not behind its web ACL {web_acl}: {error.message}")
        return Progress(Readiness.NOT_YET, f"the web ACL was associated: {name}, to be read back")

    def _associate(self, arn: str, web_acl: str) -> None:
        self._clients.call("wafv2", "AssociateWebACL", WebACLArn=web_acl, ResourceArn=arn)

    def _continue(
        self, service: Mapping[str, Any], step: Step, operations: Sequence[Operation], rollout: Rollout
    ) -> Progress:
        """Continue a rollout that had to wait for another operation, or for a resume, before its own could start."""
        if step.operation and all(one.id != step.operation for one in operations):
            # The newer operations are unknown until this one is listed: an older success would pass for this rollout's.
            return Progress(
                Readiness.NOT_YET, f"not listed yet: operation {step.operation} of {service['ServiceName']}"
            )
        newer = newer_than(step.operation, operations)
        if newer and newer[0].type in DEPLOYS:
            return _judge(service, newer[0], rollout)
        name, status = service["ServiceName"], service["Status"]
        last = next(iter(newer or operations), None)
        if status == _BUSY:
            return Progress(Readiness.NOT_YET, f"busy: {name}, {last or 'maintenance'}")
        if newer and newer[0].type != "RESUME_SERVICE":
            return Progress(Readiness.STUCK, f"{name} was changed by another user: {newer[0]}")
        if last and last.type == "RESUME_SERVICE" and last.status in FAILED:
            return Progress(Readiness.STUCK, f"{name} could not be resumed: {last}")
        try:
            self._start(service, step.then_deploy)
        except (CloudError, ProvisionFailed) as error:
            if type(error) not in (CloudError, ProvisionFailed):
                raise
            return Progress(Readiness.STUCK, f"{name}: {error.message}")
        return Progress(Readiness.NOT_YET, f"the next operation was started: {name} was {status}")

    def _find(self, colour: Colour) -> Mapping[str, Any] | None:
        """Return the colour's service, found by name; None if it does not exist (any more)."""
        if colour not in self._arns:
            summaries = self._clients.pages("apprunner", "ListServices", "ServiceSummaryList")
            for summary in summaries:
                if summary["ServiceName"] == self._names[colour] and summary["Status"] != "DELETED":
                    self._arns[colour] = summary["ServiceArn"]
        if colour not in self._arns:
            return None
        try:
            service: Mapping[str, Any] = self._call("DescribeService", ServiceArn=self._arns[colour])["Service"]
        except NotFound:
            service = {"Status": "DELETED"}
        if service["Status"] != "DELETED":
            return service
        del self._arns[colour]
        return None

    def _operations(self, service: Mapping[str, Any]) -> Sequence[Operation]:
        """Return the service's operations, newest first."""
        answer = self._call("ListOperations", ServiceArn=service["ServiceArn"], MaxResults=_RECENT_OPERATIONS)
        return [operation_of(entry) for entry in answer.get("OperationSummaryList", ())]

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("apprunner", operation, **parameters)


def _obstacle(service: Mapping[str, Any]) -> str | None:
    """Return why no rollout can ever begin on a service; None if one can."""
    if not identifier(service):
        return "it is built from source code; only images can be deployed by digest"
    if service["Status"] not in (*_DEPLOYABLE, _BUSY):
        return "App Runner cannot deploy to it; delete the service for good, the next deployment creates it again"
    return None


def _newest(operations: Sequence[Operation]) -> str:
    return operations[0].id if operations else ""


def _judge(service: Mapping[str, Any], operation: Operation, rollout: Rollout) -> Progress:
    """Return the state of the operation that brings the image up."""
    name = service["ServiceName"]
    if operation.status in FAILED:
        return Progress(Readiness.STUCK, f"{name}: {operation}: the release did not come up; its logs say why")
    if operation.status != "SUCCEEDED" or service["Status"] == _BUSY:
        # The state first: a terminal cuts the end of the line.
        return Progress(Readiness.NOT_YET, f"{operation.status}: {operation.type} of {name}, operation {operation.id}")
    if service["Status"] != "RUNNING":
        return Progress(Readiness.STUCK, f"{name}: {operation}, but the service is {service['Status']}")
    if digest(service) != rollout.digest:
        return Progress(
            Readiness.STUCK, f"{name}: {operation}, but it is configured with {digest(service)}, not {rollout.digest}"
        )
    return Progress(Readiness.READY, f"{name}: {operation}")

"""App Runner as the platform: one service a colour, and a rollout that its own operation must prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from infrastructure.aws.errors import aws_code
from infrastructure.aws.logs import newest_lines
from infrastructure.aws.session import Clients

_BUSY = "OPERATION_IN_PROGRESS"
_DEPLOYABLE = frozenset({"RUNNING", "PAUSED", "CREATE_FAILED"})
_STOPPED = frozenset({"PAUSED", "CREATE_FAILED", "DELETED"})
_RECENT_OPERATIONS = 20
"""How far back ListOperations is read: a deployment starts three operations on a service at the most."""


class AppRunnerPlatform:
    """The Platform port on App Runner; ``services`` names each colour's service, ``scheme`` is that of their addresses.

    A failed update looks like a success there: the old revision comes back and the service is RUNNING. So READY takes
    that very operation SUCCEEDED, the service RUNNING, and the wanted digest configured.
    """

    def __init__(self, clients: Clients, services: Mapping[Colour, str], scheme: str = "https") -> None:
        self._clients = clients
        self._names = services
        self._scheme = scheme
        self._arns: dict[Colour, str] = {}

    def describe(self, colour: Colour) -> Service:
        """What is configured and what runs; status 'ABSENT' where there is no such service. Raises CloudError."""
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
        """Creates, resumes or updates the colour's service; where it is busy, ``progress`` goes on once it is free.

        Raises ProvisionFailed where App Runner refuses, CloudDenied or CloudUnreachable where it could not be asked.
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
        """Where the rollout stands; may itself start its next operation, and whichever process calls it may do so."""
        service = self._find(rollout.colour)
        if service is None:
            return Progress(Readiness.STUCK, f"{self._names[rollout.colour]} does not exist any more")
        step = Step.parse(rollout.operation)
        operations = self._operations(service)
        if step.then_deploy:
            return self._go_on(service, step, operations, rollout)
        followed = next((one for one in operations if one.id == step.operation), None)
        if followed is None:
            return Progress(Readiness.NOT_YET, f"{service['ServiceName']}: {step.operation} is not listed yet")
        return _judge(service, followed, rollout)

    def scale(self, colour: Colour) -> None:
        """Nothing: both services have the estate's one autoscaling configuration."""

    def retire(self, colour: Colour) -> Rollout | None:
        """Pauses a RUNNING service. While it is busy, returns the operation under way: call again once that has ended."""
        service = self._find(colour)
        if service is None or service["Status"] in _STOPPED:
            return None
        wanted = digest(service) or ""
        if service["Status"] != _BUSY:
            try:
                answer = self._call("PauseService", ServiceArn=service["ServiceArn"])
                return Rollout(colour, wanted, answer["OperationId"])
            except CloudError as error:
                if aws_code(error) != "InvalidStateException":
                    raise
        return Rollout(colour, wanted, _newest(self._operations(service)))

    def stopped(self, colour: Colour) -> Progress:
        """READY when the service is paused, absent, or never came up; STUCK when its pause failed."""
        service = self._find(colour)
        name = self._names[colour]
        if service is None or service["Status"] in _STOPPED:
            return Progress(Readiness.READY, f"{name} is {service['Status'] if service else 'ABSENT'}")
        operations = self._operations(service)
        newest = operations[0] if operations else None
        if service["Status"] != _BUSY and newest and newest.type == "PAUSE_SERVICE" and newest.status in FAILED:
            return Progress(Readiness.STUCK, f"{name} could not be paused: {newest}")
        return Progress(Readiness.NOT_YET, f"{name} is {service['Status']}" + (f", {newest}" if newest else ""))

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:
        """The newest ``limit`` lines of the service's events and of its application, oldest first; empty without any."""
        service = self._find(colour)
        if service is None:
            return ()
        stem = f"/aws/apprunner/{service['ServiceName']}/{service['ServiceId']}"
        return newest_lines(self._clients, {"service": f"{stem}/service", "app": f"{stem}/application"}, since, limit)

    def _start(self, service: Mapping[str, Any], uri: str) -> Step:
        """The first operation of a rollout on a service that exists."""
        operations = self._operations(service)
        newest = _newest(operations)
        status = service["Status"]
        if status == _BUSY:
            creating = operations and operations[0].type == "CREATE_SERVICE" and not operations[0].ended
            if creating and digest(service) == uri.partition("@")[2]:
                return Step(newest)  # this rollout's own CreateService, asked for a second time
            return Step(newest, uri)
        if status not in _DEPLOYABLE:
            raise ProvisionFailed(
                f"{service['ServiceName']} is {status}: App Runner deploys nothing to it",
                hint="Delete the service for good; the next deployment creates it anew.",
            )
        try:
            if status == "PAUSED":
                # Updating a paused service is refused by one of AWS's texts and allowed by another: resuming is always right.
                return Step(self._call("ResumeService", ServiceArn=service["ServiceArn"])["OperationId"], uri)
            return Step(self._deploy(service, uri))
        except CloudError as error:
            if aws_code(error) != "InvalidStateException":
                raise
            # Something began in between: AWS's maintenance, or this very call, accepted and answered too late. What is
            # newer than `newest` tells which.
            return Step(newest, uri)

    def _deploy(self, service: Mapping[str, Any], uri: str) -> str:
        if digest(service) == uri.partition("@")[2] and service["Status"] == "RUNNING":
            # An update that changes nothing is not documented to start anything; StartDeployment is: the release is
            # proven by starting now, with today's secrets, not by having started once.
            return str(self._call("StartDeployment", ServiceArn=service["ServiceArn"])["OperationId"])
        return str(self._call("UpdateService", **update_request(service, uri))["OperationId"])

    def _create(self, colour: Colour, uri: str) -> Step:
        sibling = self._find(colour.other)
        if sibling is None:
            raise ProvisionFailed(
                f"neither {self._names[colour]} nor {self._names[colour.other]} exists: there is no configuration to copy",
                hint="Create the estate first (infrastructure/terraform).",
            )
        tags = self._call("ListTagsForResource", ResourceArn=sibling["ServiceArn"]).get("Tags", ())
        answer = self._call("CreateService", **create_request(sibling, tags, self._names[colour], colour, uri))
        self._arns[colour] = answer["Service"]["ServiceArn"]
        return Step(answer["OperationId"])

    def _go_on(
        self, service: Mapping[str, Any], step: Step, operations: Sequence[Operation], rollout: Rollout
    ) -> Progress:
        """A rollout that had to wait for another operation, or for a resume, before its own could start."""
        if step.operation and all(one.id != step.operation for one in operations):
            # Unlisted, it cannot be told what came after it: an older success would pass for this rollout's.
            return Progress(Readiness.NOT_YET, f"{service['ServiceName']}: {step.operation} is not listed yet")
        newer = newer_than(step.operation, operations)
        if newer and newer[0].type in DEPLOYS:
            return _judge(service, newer[0], rollout)
        name, status = service["ServiceName"], service["Status"]
        last = next(iter(newer or operations), None)
        if status == _BUSY:
            return Progress(Readiness.NOT_YET, f"{name} is busy: {last or 'maintenance'}")
        if newer and newer[0].type != "RESUME_SERVICE":
            return Progress(Readiness.STUCK, f"{name} was changed by somebody else: {newer[0]}")
        if last and last.type == "RESUME_SERVICE" and last.status in FAILED:
            return Progress(Readiness.STUCK, f"{name} could not be resumed: {last}")
        try:
            self._start(service, step.then_deploy)
        except (CloudError, ProvisionFailed) as error:
            if type(error) not in (CloudError, ProvisionFailed):
                raise
            return Progress(Readiness.STUCK, f"{name}: {error.message}")
        return Progress(Readiness.NOT_YET, f"{name}: was {status}, its next operation has been started")

    def _find(self, colour: Colour) -> Mapping[str, Any] | None:
        """DescribeService by name, None where there is no such service (any more)."""
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
        """The service's operations, newest first."""
        answer = self._call("ListOperations", ServiceArn=service["ServiceArn"], MaxResults=_RECENT_OPERATIONS)
        return [operation_of(entry) for entry in answer.get("OperationSummaryList", ())]

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("apprunner", operation, **parameters)


def _obstacle(service: Mapping[str, Any]) -> str | None:
    """Why no rollout can begin on a service, whatever is waited for."""
    if not identifier(service):
        return "it is built from source code; only images can be deployed by digest"
    if service["Status"] not in (*_DEPLOYABLE, _BUSY):
        return "App Runner deploys nothing to it; delete the service for good, the next deployment creates it anew"
    return None


def _newest(operations: Sequence[Operation]) -> str:
    return operations[0].id if operations else ""


def _judge(service: Mapping[str, Any], operation: Operation, rollout: Rollout) -> Progress:
    """What the operation that brings the image up has come to."""
    name = service["ServiceName"]
    if operation.status in FAILED:
        return Progress(Readiness.STUCK, f"{name}: {operation}: the release did not come up; its logs say why")
    if operation.status != "SUCCEEDED" or service["Status"] == _BUSY:
        return Progress(Readiness.NOT_YET, f"{name}: {operation}")
    if service["Status"] != "RUNNING":
        return Progress(Readiness.STUCK, f"{name}: {operation}, yet the service is {service['Status']}")
    if digest(service) != rollout.digest:
        return Progress(
            Readiness.STUCK, f"{name}: {operation}, yet it is configured with {digest(service)}, not {rollout.digest}"
        )
    return Progress(Readiness.READY, f"{name}: {operation}")

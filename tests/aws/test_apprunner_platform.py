"""The platform against a fake service that obeys App Runner's rules and changes only when a test moves it on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from deployment.errors import CloudDenied, CloudError, ProvisionFailed
from deployment.model import Colour, Image, Progress, Readiness, Rollout
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.apprunner.requests import Operation, serves
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.session import Clients
from tests.aws.conftest import SteppedClock

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/api"
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NAMES = {Colour.BLUE: "prod-api-blue", Colour.GREEN: "prod-api-green"}
TYPES = {
    "CreateService": "CREATE_SERVICE",
    "UpdateService": "UPDATE_SERVICE",
    "PauseService": "PAUSE_SERVICE",
    "ResumeService": "RESUME_SERVICE",
    "StartDeployment": "START_DEPLOYMENT",
}


def image(digest: str = NEW) -> Image:
    return Image("api", "1.1.0", digest, "1.1.0", f"{REPOSITORY}@{digest}")


class AppRunner:
    """Answers as Clients does, for services that change only when a test ends their operation."""

    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, list[dict[str, Any]]] = {}
        self.wrote: list[tuple[str, Mapping[str, Any]]] = []
        self.refuse: dict[str, str] = {}
        self.clock = SteppedClock()
        self.requests: list[datetime] = []
        self._count = 0

    def add(self, colour: Colour, status: str = "RUNNING", digest: str = OLD) -> dict[str, Any]:
        name = NAMES[colour]
        service: dict[str, Any] = {
            "ServiceName": name,
            "ServiceId": f"id-{colour}",
            "ServiceArn": f"arn:{name}",
            "ServiceUrl": f"{colour}.awsapprunner.com",
            "Status": status,
            "SourceConfiguration": {
                "ImageRepository": {
                    "ImageIdentifier": f"{REPOSITORY}@{digest}",
                    "ImageRepositoryType": "ECR",
                    "ImageConfiguration": {
                        "Port": "3000",
                        "RuntimeEnvironmentVariables": {"DEPLOY_COLOR": str(colour), "A": "1"},
                        "RuntimeEnvironmentSecrets": {"JWT_SECRET": "arn:secret"},
                    },
                },
                "AuthenticationConfiguration": {"AccessRoleArn": "arn:role"},
                "AutoDeploymentsEnabled": True,
            },
            "InstanceConfiguration": {"Cpu": "1024"},
            "HealthCheckConfiguration": {"Protocol": "HTTP", "Path": "/health"},
            "NetworkConfiguration": {"EgressConfiguration": {"EgressType": "DEFAULT"}},
            "AutoScalingConfigurationSummary": {"AutoScalingConfigurationArn": "arn:scaling"},
        }
        self.services[service["ServiceArn"]] = service
        self.operations[service["ServiceArn"]] = []
        return service

    def begin(self, service: dict[str, Any], kind: str) -> str:
        self._count += 1
        service["Status"] = "OPERATION_IN_PROGRESS"
        self.operations[service["ServiceArn"]].insert(
            0, {"Id": f"op-{self._count}", "Type": kind, "Status": "IN_PROGRESS"}
        )
        return f"op-{self._count}"

    def end(self, colour: Colour, status: str, service_status: str) -> None:
        arn = f"arn:{NAMES[colour]}"
        self.operations[arn][0]["Status"] = status
        self.services[arn]["Status"] = service_status

    def pages(self, service: str, operation: str, key: str, **_: Any) -> list[Mapping[str, Any]]:
        assert (service, operation, key) == ("apprunner", "ListServices", "ServiceSummaryList")
        return list(self.services.values())

    def call(self, service: str, operation: str, **given: Any) -> Mapping[str, Any]:
        with aws_errors(service, operation):
            return self._answer(operation, given)

    def _answer(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation in self.refuse:
            self._raise(self.refuse[operation], operation)
        if operation == "GetMetricData":
            return self._figures(given)
        if operation == "DescribeService":
            return {"Service": dict(self.services[given["ServiceArn"]])}
        if operation == "ListOperations":
            return {"OperationSummaryList": list(self.operations[given["ServiceArn"]])}
        if operation == "ListTagsForResource":
            return {"Tags": [{"Key": "Color", "Value": "blue"}, {"Key": "aws:x", "Value": "y"}]}
        self.wrote.append((operation, given))
        if operation == "CreateService":
            created = self.add(Colour(given["ServiceName"].rpartition("-")[2]))
            created["SourceConfiguration"] = given["SourceConfiguration"]
            return {"Service": created, "OperationId": self.begin(created, "CREATE_SERVICE")}
        there = self.services[given["ServiceArn"]]
        if there["Status"] == "OPERATION_IN_PROGRESS" or (there["Status"] == "PAUSED") != (
            operation == "ResumeService"
        ):
            self._raise("InvalidStateException", operation)
        there["SourceConfiguration"] = given.get("SourceConfiguration", there["SourceConfiguration"])
        return {"OperationId": self.begin(there, TYPES[operation])}

    def _figures(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer with green's requests; a metric of another service has no value."""
        metric = given["MetricDataQueries"][0]["MetricStat"]["Metric"]
        green = [{"Name": "ServiceName", "Value": "prod-api-green"}, {"Name": "ServiceID", "Value": "id-green"}]
        known = metric == {"Namespace": "AWS/AppRunner", "MetricName": "Requests", "Dimensions": green}
        values = [1.0 for at in self.requests if known and given["StartTime"] <= at < given["EndTime"]]
        return {"MetricDataResults": [{"Id": "requests", "Values": values}]}

    @staticmethod
    def _raise(code: str, operation: str) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)

    @property
    def calls(self) -> list[str]:
        return [operation for operation, _ in self.wrote]


@pytest.fixture
def aws() -> AppRunner:
    return AppRunner()


@pytest.fixture
def platform(aws: AppRunner) -> AppRunnerPlatform:
    return AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(120.0, aws.clock))


def readiness(platform: AppRunnerPlatform, rollout: Rollout) -> Readiness:
    return platform.progress(rollout).readiness


def test_absent_and_running_services_are_described(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.BLUE)
    assert platform.describe(Colour.GREEN).status == "ABSENT"
    blue = platform.describe(Colour.BLUE)
    assert (blue.running, blue.busy, blue.digest) == (True, False, OLD)
    assert (blue.origin, blue.url) == ("blue.awsapprunner.com", "https://blue.awsapprunner.com")


def test_absent_colour_is_created_from_its_sibling(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.BLUE)
    rollout = platform.provision(Colour.GREEN, image())
    ((_, request),) = aws.wrote
    source = request["SourceConfiguration"]
    configuration = source["ImageRepository"]["ImageConfiguration"]
    assert source["ImageRepository"]["ImageIdentifier"] == f"{REPOSITORY}@{NEW}"
    assert source["AutoDeploymentsEnabled"] is False
    assert source["AuthenticationConfiguration"] == {"AccessRoleArn": "arn:role"}
    assert configuration["RuntimeEnvironmentVariables"] == {"DEPLOY_COLOR": "green", "A": "1"}
    assert configuration["RuntimeEnvironmentSecrets"] == {"JWT_SECRET": "arn:secret"}
    assert request["AutoScalingConfigurationArn"] == "arn:scaling"
    assert request["Tags"] == [{"Key": "Color", "Value": "green"}]
    assert platform.describe(Colour.BLUE).digest == OLD
    assert platform.provision(Colour.GREEN, image()) == rollout
    assert readiness(platform, rollout) is Readiness.NOT_YET
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY


def test_provision_without_any_service_fails(platform: AppRunnerPlatform) -> None:
    with pytest.raises(ProvisionFailed, match="neither"):
        platform.provision(Colour.GREEN, image())


@pytest.mark.parametrize("status", ["RUNNING", "CREATE_FAILED"])
def test_existing_service_is_updated(aws: AppRunner, platform: AppRunnerPlatform, status: str) -> None:
    aws.add(Colour.GREEN, status)
    rollout = platform.provision(Colour.GREEN, image())
    assert aws.calls == ["UpdateService"]
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY


def test_running_release_is_started_again(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN, digest=NEW)
    rollout = platform.provision(Colour.GREEN, image())
    assert aws.calls == ["StartDeployment"]
    assert readiness(platform, rollout) is Readiness.NOT_YET


def test_any_process_resumes_then_updates_a_paused_service(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN, "PAUSED")
    rollout = platform.provision(Colour.GREEN, image())
    assert readiness(platform, rollout) is Readiness.NOT_YET
    assert aws.calls == ["ResumeService"]
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    another = AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(120.0, aws.clock))
    assert readiness(another, rollout) is Readiness.NOT_YET
    assert readiness(platform, rollout) is Readiness.NOT_YET
    assert aws.calls == ["ResumeService", "UpdateService"]
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY


def test_earlier_success_does_not_make_a_paused_service_ready(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    green = aws.add(Colour.GREEN, "RUNNING", NEW)
    aws.begin(green, "UPDATE_SERVICE")
    aws.end(Colour.GREEN, "SUCCEEDED", "PAUSED")
    rollout = platform.provision(Colour.GREEN, image())
    resumed = aws.operations[green["ServiceArn"]].pop(0)
    green["Status"] = "RUNNING"
    assert platform.progress(rollout).detail.startswith("not listed yet: operation ")
    aws.operations[green["ServiceArn"]].insert(0, resumed | {"Status": "SUCCEEDED"})
    assert readiness(platform, rollout) is Readiness.NOT_YET
    assert aws.calls == ["ResumeService", "StartDeployment"]


def test_failed_resume_is_stuck(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN, "PAUSED")
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "FAILED", "PAUSED")
    assert platform.progress(rollout).readiness is Readiness.STUCK


@pytest.mark.parametrize("ended", ["SUCCEEDED", "ROLLBACK_SUCCEEDED"])
def test_busy_service_is_waited_for(aws: AppRunner, platform: AppRunnerPlatform, ended: str) -> None:
    aws.begin(aws.add(Colour.GREEN), "UPDATE_SERVICE")
    rollout = platform.provision(Colour.GREEN, image())
    assert readiness(platform, rollout) is Readiness.NOT_YET
    assert aws.calls == []
    aws.end(Colour.GREEN, ended, "RUNNING")
    assert readiness(platform, rollout) is Readiness.NOT_YET
    assert aws.calls == ["UpdateService"]
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY


def test_pause_under_way_is_waited_for_then_resumed(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.begin(aws.add(Colour.GREEN), "PAUSE_SERVICE")
    rollout = platform.provision(Colour.GREEN, image())
    for status in ("PAUSED", "RUNNING", "RUNNING"):
        aws.end(Colour.GREEN, "SUCCEEDED", status)
        last = platform.progress(rollout).readiness
    assert aws.calls == ["ResumeService", "UpdateService"]
    assert last is Readiness.READY


def test_maintenance_has_no_operation_and_is_waited_for(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    green = aws.add(Colour.GREEN, "OPERATION_IN_PROGRESS")
    rollout = platform.provision(Colour.GREEN, image())
    assert platform.progress(rollout).detail == f"busy: {green['ServiceName']}, maintenance"
    green["Status"] = "RUNNING"
    assert readiness(platform, rollout) is Readiness.NOT_YET
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY


def test_accepted_update_with_a_lost_answer_is_followed_not_repeated(
    aws: AppRunner, platform: AppRunnerPlatform
) -> None:
    green = aws.add(Colour.GREEN)
    aws.refuse["UpdateService"] = "InvalidStateException"  # AWS's answer to a retry of an accepted call
    rollout = platform.provision(Colour.GREEN, image())
    aws.begin(green, "UPDATE_SERVICE")
    green["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"] = f"{REPOSITORY}@{NEW}"
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY
    assert aws.calls == []


@pytest.mark.parametrize("status", ["FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_SUCCEEDED"])
def test_failed_operation_is_stuck_though_the_service_runs(
    aws: AppRunner, platform: AppRunnerPlatform, status: str
) -> None:
    aws.add(Colour.GREEN)
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, status, "RUNNING")
    progress = platform.progress(rollout)
    assert progress.readiness is Readiness.STUCK
    assert status in progress.detail


@pytest.mark.parametrize(("status", "digest"), [("RUNNING", OLD), ("PAUSED", NEW)])
def test_success_with_another_digest_or_status_is_stuck(
    aws: AppRunner, platform: AppRunnerPlatform, status: str, digest: str
) -> None:
    green = aws.add(Colour.GREEN)
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "SUCCEEDED", status)
    green["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"] = f"{REPOSITORY}@{digest}"
    assert readiness(platform, rollout) is Readiness.STUCK


@pytest.mark.parametrize(
    ("code", "ours"), [("InvalidRequestException", ProvisionFailed), ("AccessDeniedException", CloudDenied)]
)
def test_refusal_and_denial_raise_different_errors(
    aws: AppRunner, platform: AppRunnerPlatform, code: str, ours: type[CloudError]
) -> None:
    aws.add(Colour.GREEN)
    aws.refuse["UpdateService"] = code
    with pytest.raises(ours, match=code):
        platform.provision(Colour.GREEN, image())


def test_service_that_could_not_be_deleted_is_refused(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN, "DELETE_FAILED")
    with pytest.raises(ProvisionFailed, match="DELETE_FAILED"):
        platform.provision(Colour.GREEN, image())


def test_running_service_is_paused_and_then_stopped(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN)
    first = platform.retire(Colour.GREEN)
    assert first is not None
    assert platform.retire(Colour.GREEN) == first
    assert aws.calls == ["PauseService"]
    assert platform.stopped(Colour.GREEN).readiness is Readiness.NOT_YET
    aws.end(Colour.GREEN, "SUCCEEDED", "PAUSED")
    assert platform.stopped(Colour.GREEN).readiness is Readiness.READY
    assert platform.retire(Colour.GREEN) is None


def test_busy_service_is_retired_once_it_is_free(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    green = aws.add(Colour.GREEN)
    operation = aws.begin(green, "UPDATE_SERVICE")
    assert platform.retire(Colour.GREEN) == Rollout(Colour.GREEN, OLD, operation)
    aws.end(Colour.GREEN, "ROLLBACK_SUCCEEDED", "RUNNING")
    platform.retire(Colour.GREEN)
    assert aws.calls == ["PauseService"]


@pytest.mark.parametrize(("ago_s", "window_s"), [(30, 120.0), (500, 600.0)])
def test_service_with_recent_requests_is_not_paused(aws: AppRunner, ago_s: float, window_s: float) -> None:
    """Other edge locations may still send it requests, and App Runner documents no way to drain it."""
    platform = AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(window_s, aws.clock))
    aws.add(Colour.GREEN)
    aws.requests = [aws.clock.now() - timedelta(seconds=ago_s)] * 5
    assert platform.retire(Colour.GREEN) is not None
    assert aws.calls == []
    waits = platform.stopped(Colour.GREEN)
    assert (waits.readiness, waits.detail) == (
        Readiness.NOT_YET,
        f"RUNNING: prod-api-green; it still serves: 5 requests in the last {window_s:.0f} s",
    )
    aws.clock.sleep(300)
    platform.retire(Colour.GREEN)
    assert aws.calls == ["PauseService"]
    assert "it still serves" not in platform.stopped(Colour.GREEN).detail


def test_window_is_as_long_as_the_longest_request(aws: AppRunner) -> None:
    platform = AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(2.0, aws.clock))
    aws.add(Colour.GREEN)
    aws.requests = [aws.clock.now() - timedelta(seconds=170)]
    platform.retire(Colour.GREEN)
    assert aws.calls == []


@pytest.mark.parametrize(
    ("code", "ours"),
    [("AccessDenied", CloudDenied), ("InternalServiceFault", CloudError), ("InvalidState", CloudError)],
)
def test_service_whose_requests_cannot_be_read_is_not_paused(
    aws: AppRunner, platform: AppRunnerPlatform, code: str, ours: type[CloudError]
) -> None:
    aws.add(Colour.GREEN)
    aws.refuse["GetMetricData"] = code
    with pytest.raises(ours, match="GetMetricData"):
        platform.retire(Colour.GREEN)
    assert aws.calls == []


def test_failed_pause_is_stuck(aws: AppRunner, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN)
    platform.retire(Colour.GREEN)
    aws.end(Colour.GREEN, "FAILED", "RUNNING")
    assert platform.stopped(Colour.GREEN).readiness is Readiness.STUCK


@pytest.mark.parametrize("status", ["PAUSED", "CREATE_FAILED"])
def test_service_that_does_not_run_is_stopped(aws: AppRunner, platform: AppRunnerPlatform, status: str) -> None:
    aws.add(Colour.GREEN, status)
    assert platform.retire(Colour.GREEN) is None
    assert platform.stopped(Colour.GREEN) == Progress(Readiness.READY, f"prod-api-green is {status}")
    assert platform.stopped(Colour.BLUE).readiness is Readiness.READY


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], False),
        (["CREATE_SERVICE IN_PROGRESS"], False),
        (["UPDATE_SERVICE IN_PROGRESS", "CREATE_SERVICE SUCCEEDED"], True),
        (["UPDATE_SERVICE IN_PROGRESS", "CREATE_SERVICE FAILED"], False),
        (["PAUSE_SERVICE IN_PROGRESS", "CREATE_SERVICE SUCCEEDED"], False),
        (["START_DEPLOYMENT ROLLBACK_IN_PROGRESS", "RESUME_SERVICE SUCCEEDED"], True),
        (["UPDATE_SERVICE FAILED", "PAUSE_SERVICE SUCCEEDED"], False),
        (["UPDATE_SERVICE ROLLBACK_SUCCEEDED"], True),
    ],
)
def test_busy_service_serves_by_its_history(history: list[str], expected: bool) -> None:
    operations = [Operation("id", *entry.split()) for entry in history]
    assert serves("OPERATION_IN_PROGRESS", operations) is expected

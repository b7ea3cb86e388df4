"""Preflight's requests to AWS: scans, secrets without their values, measured quotas, and configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.stub import Stubber

from deployment.errors import CloudError
from infrastructure.aws.configured import of_app_runner, of_ecs
from infrastructure.aws.quotas import MeasuredQuotas
from infrastructure.aws.registry.scans import EcrScans
from infrastructure.aws.secretsmanager import SecretsManager
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.conftest import ACCOUNT, SteppedClock
from tests.aws.test_ecr_registry import Repository


def test_missing_scan_is_reported(clients: Clients) -> None:
    repository = Repository(clients)
    digest = repository.push("1.0.0", "1.0.0")
    scan = EcrScans(clients, repository.name, ACCOUNT).of(digest)
    assert (scan.finished, scan.under_way) == (False, False)
    assert "never scanned" in scan.detail


def test_findings_are_counted_by_severity(clients: Clients) -> None:
    repository = Repository(clients)
    digest = repository.push("1.0.0", "1.0.0")
    clients.call("ecr", "StartImageScan", repositoryName=repository.name, imageId={"imageDigest": digest})
    scan = EcrScans(clients, repository.name, ACCOUNT).of(digest)
    assert (scan.finished, scan.findings) == (True, {"HIGH": 1})


@pytest.mark.parametrize(
    ("status", "finished", "under_way"),
    [("IN_PROGRESS", False, True), ("PENDING", False, True), ("ACTIVE", True, False), ("FAILED", False, False),
     ("UNSUPPORTED_IMAGE", False, False)],
)  # fmt: skip
def test_scan_status(status: str, finished: bool, under_way: bool) -> None:
    offline = clients_for(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
    with Stubber(offline.client("ecr")) as stubber:
        findings = {"findingSeverityCounts": {"LOW": 2}} if finished else {}
        stubber.add_response(
            "describe_image_scan_findings", {"imageScanStatus": {"status": status}, "imageScanFindings": findings}
        )
        scan = EcrScans(offline, "telehealth-api", ACCOUNT).of("sha256:" + "a" * 64)
    assert (scan.finished, scan.under_way) == (finished, under_way)


DIGEST, LINUX_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
INDEX = {"manifests": [{"digest": LINUX_DIGEST, "platform": {"os": "linux", "architecture": "amd64"}}]}
FINDING = {"severity": "HIGH", "status": "ACTIVE"}


def scanned(*answers: tuple[str, Any]) -> tuple[Any, list[Any]]:
    """Return the scan of an image from these answers of ECR, in their order, and the rest of the stub's answers."""
    offline = clients_for(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
    with Stubber(offline.client("ecr")) as stubber:
        for operation, answer in answers:
            if isinstance(answer, str):
                stubber.add_client_error(operation, answer, http_status_code=400)
            else:
                stubber.add_response(operation, answer)
        try:
            return EcrScans(offline, "telehealth-api", ACCOUNT).of(DIGEST), list(stubber._queue)
        except CloudError as error:
            return error, []


def active(**findings: Any) -> tuple[str, Any]:
    return "describe_image_scan_findings", {"imageScanStatus": {"status": "ACTIVE"}, "imageScanFindings": findings}


def test_active_scan_without_a_result_is_not_finished() -> None:
    """Inspector reports ACTIVE before it has looked at the image: that is not "no finding"."""
    scan, _ = scanned(active())
    assert (scan.finished, scan.under_way) == (False, True)
    clean, _ = scanned(active(findingSeverityCounts={}))
    assert (clean.finished, clean.findings) == (True, {})


def test_enhanced_findings_without_counts_are_counted() -> None:
    """Closed findings do not count; every page is read."""
    first = active(enhancedFindings=[FINDING])
    page = active(enhancedFindings=[FINDING, {**FINDING, "status": "CLOSED"}, {**FINDING, "severity": "LOW"}])
    page[1]["nextToken"] = "more"
    scan, left = scanned(first, page, active(enhancedFindings=[FINDING]))
    assert (scan.finished, scan.findings, left) == (True, {"HIGH": 2, "LOW": 1}, [])


@pytest.mark.parametrize("unscanned", ["ScanNotFoundException", {"imageScanStatus": {"status": "UNSUPPORTED_IMAGE"}}])
def test_scan_of_an_index_is_that_of_its_linux_manifest(unscanned: Any) -> None:
    image = {"images": [{"imageManifest": json.dumps(INDEX)}]}
    found = active(findingSeverityCounts={"LOW": 2})
    scan, _ = scanned(("describe_image_scan_findings", unscanned), ("batch_get_image", image), found)
    assert (scan.finished, scan.findings) == (True, {"LOW": 2})
    plain = {"images": [{"imageManifest": "{}"}]}
    scan, _ = scanned(("describe_image_scan_findings", unscanned), ("batch_get_image", plain))
    assert scan.finished is False


def test_denied_scan_names_inspectors_rights() -> None:
    error, _ = scanned(("describe_image_scan_findings", "AccessDeniedException"))
    assert "inspector2:ListFindings" in error.hint


def test_secret_is_checked_without_its_value(clients: Clients) -> None:
    vault, name = SecretsManager(clients), f"s{uuid4().hex}"
    arn = str(clients.call("secretsmanager", "CreateSecret", Name=name, SecretString="hidden")["ARN"])
    assert vault.obstacle(name) is None
    assert vault.obstacle(f"{arn}:password::") is None, "ECS names a key of the secret's JSON like this"
    clients.call("secretsmanager", "DeleteSecret", SecretId=name, RecoveryWindowInDays=7)
    assert vault.obstacle(name) == "is about to be deleted"
    assert vault.obstacle("no-such-secret") == "does not exist"
    empty = f"s{uuid4().hex}"
    clients.call("secretsmanager", "CreateSecret", Name=empty)
    assert vault.obstacle(empty) == "has no current value"
    with pytest.raises(CloudError, match="kept by ssm"):
        vault.obstacle("arn:aws:ssm:us-east-1:123456789012:parameter/jwt")


@pytest.fixture
def stubbed() -> Iterator[tuple[MeasuredQuotas, Stubber, Stubber]]:
    offline = clients_for(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
    made = {name: offline._make(name) for name in ("service-quotas", "cloudwatch")}
    offline._made |= {f"{name}, once": client for name, client in made.items()}
    with Stubber(made["service-quotas"]) as quotas, Stubber(made["cloudwatch"]) as metrics:
        yield MeasuredQuotas(offline, "fargate", SteppedClock()), quotas, metrics


def quota(name: str, value: float, metric: str | None) -> dict[str, Any]:
    usage = {
        "MetricNamespace": "AWS/Usage",
        "MetricName": metric,
        "MetricDimensions": {"Service": "Fargate"},
        "MetricStatisticRecommendation": "Maximum",
    }
    return {"QuotaName": name, "Value": value} | ({"UsageMetric": usage} if metric else {})


def test_only_measured_quotas_are_returned(stubbed: tuple[MeasuredQuotas, Stubber, Stubber]) -> None:
    measured, quotas, metrics = stubbed
    quotas.add_response("list_service_quotas", {"Quotas": [quota("unmeasured", 5, None)], "NextToken": "more"})
    quotas.add_response(
        "list_service_quotas", {"Quotas": [quota("vCPUs", 100, "ResourceCount"), quota("silent", 1, "X")]}
    )
    metrics.add_response(
        "get_metric_data",
        {"MetricDataResults": [{"Id": "q0", "Values": [42.0, 7.0]}, {"Id": "q1", "Values": []}]},
    )
    assert [str(one) for one in measured.measured()] == ["42 of 100 vCPUs"]
    quotas.assert_no_pending_responses()


def test_failed_quota_request_is_not_retried(stubbed: tuple[MeasuredQuotas, Stubber, Stubber]) -> None:
    measured, quotas, _ = stubbed
    quotas.add_client_error("list_service_quotas", "AccessDeniedException", http_status_code=400)
    with pytest.raises(CloudError, match="AccessDenied"):
        measured.measured()


def test_app_runner_configuration_without_its_image() -> None:
    image = {
        "ImageIdentifier": "registry/telehealth-api@sha256:1",
        "ImageConfiguration": {
            "Port": "3000",
            "RuntimeEnvironmentVariables": {"LEVEL": "info"},
            "RuntimeEnvironmentSecrets": {"JWT_SECRET": "arn:jwt"},
        },
    }
    service = {
        "SourceConfiguration": {"ImageRepository": image, "AutoDeploymentsEnabled": True},
        "InstanceConfiguration": {"Cpu": "1024"},
        "NetworkConfiguration": {"EgressConfiguration": {"VpcConnectorArn": "arn:connector"}},
        "AutoScalingConfigurationSummary": {"AutoScalingConfigurationArn": "arn:scaling"},
    }
    found = of_app_runner(service)
    assert (found.variables, found.secrets) == ({"LEVEL": "info"}, {"JWT_SECRET": "arn:jwt"})
    assert found.rest == {
        "Image.Port": "3000",
        "InstanceConfiguration.Cpu": "1024",
        "NetworkConfiguration.EgressConfiguration.VpcConnectorArn": "arn:connector",
        "AutoScaling": "arn:scaling",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("jwt", "arn:aws:ssm:eu-west-1:123456789012:parameter/jwt"),
        ("/shop/jwt", "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/jwt"),
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:jwt",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:jwt",
        ),
    ],
)
def test_name_without_an_arn_is_a_parameter_and_no_missing_secret(clients: Clients, given: str, expected: str) -> None:
    """Both platforms take a parameter of the same region by its name; Secrets Manager would call it missing."""
    container = {"name": "api", "secrets": [{"name": "JWT_SECRET", "valueFrom": given}]}
    definition = "arn:aws:ecs:eu-west-1:123456789012:task-definition/api:3"
    on_ecs = of_ecs({}, {"taskDefinitionArn": definition, "containerDefinitions": [container]})
    image = {"ImageConfiguration": {"RuntimeEnvironmentSecrets": {"JWT_SECRET": given}}}
    service = {"ServiceArn": "arn:aws:apprunner:eu-west-1:123456789012:service/api/1"}
    on_app_runner = of_app_runner({**service, "SourceConfiguration": {"ImageRepository": image}})
    assert [*on_ecs.secrets.values(), *on_app_runner.secrets.values()] == [expected, expected]
    if ":ssm:" in expected:
        with pytest.raises(CloudError, match="kept by ssm"):
            SecretsManager(clients).obstacle(on_ecs.secrets["api.JWT_SECRET"])


def test_ecs_configuration_without_its_image() -> None:
    """Two registrations of one definition with different images have equal configurations."""
    container = {
        "name": "api",
        "image": "registry/telehealth-api@sha256:1",
        "cpu": 256,
        "environment": [{"name": "LEVEL", "value": "info"}],
        "secrets": [{"name": "JWT_SECRET", "valueFrom": "arn:jwt"}],
    }
    definition = {"family": "api-blue", "revision": 3, "cpu": "256", "containerDefinitions": [container]}
    network = {
        "awsvpcConfiguration": {"subnets": ["s-2", "s-1"], "securityGroups": ["sg-blue"], "assignPublicIp": "DISABLED"}
    }
    service = {"launchType": "FARGATE", "desiredCount": 4, "serviceName": "api-blue", "networkConfiguration": network}
    found = of_ecs(service, definition)
    assert (found.variables, found.secrets) == ({"api.LEVEL": "info"}, {"api.JWT_SECRET": "arn:jwt"})
    assert found.rest == {
        "Container.api.cpu": "256",
        "Task.cpu": "256",
        "Service.launchType": "FARGATE",
        "Service.subnets.0": "s-1",
        "Service.subnets.1": "s-2",
        "Service.assignPublicIp": "DISABLED",
    }
    other = {**definition, "family": "api-green", "revision": 9, "containerDefinitions": [{**container, "image": "x"}]}
    theirs = {"subnets": ["s-1", "s-2"], "securityGroups": ["sg-green"], "assignPublicIp": "DISABLED"}
    green = {**service, "desiredCount": 1, "networkConfiguration": {"awsvpcConfiguration": theirs}}
    assert of_ecs(green, other) == found

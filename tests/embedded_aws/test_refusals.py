"""AWS's refusals because of a status, an owner, or a rule that its model does not contain."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.embedded_aws.harness import HEALTH, Endpoint, client, created, creation, outcome, wait_for

ACTIONS: dict[str, dict[str, Any]] = {
    "update_service": {"HealthCheckConfiguration": HEALTH},
    "start_deployment": {},
    "pause_service": {},
    "delete_service": {},
    "associate_custom_domain": {"DomainName": "busy.example.com"},
    "disassociate_custom_domain": {"DomainName": "busy.example.com"},
}


def code_of(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def refuser(endpoint: Endpoint) -> Any:
    return client("apprunner", endpoint.url)


@pytest.fixture(scope="module")
def busy(endpoint: Endpoint, refuser: Any) -> Iterator[str]:
    """Return a service whose creation lasts until a file appears at the end of the module."""
    go = endpoint.folder / "go"
    image = endpoint.image("busy", release=f"until [ -e {go} ]; do sleep 0.05; done")
    answer = refuser.create_service(**creation("busy", image))
    arn = answer["Service"]["ServiceArn"]
    wait_for(lambda: refuser.list_operations(ServiceArn=arn)["OperationSummaryList"][0]["Status"] == "IN_PROGRESS")
    yield arn
    go.touch()
    assert outcome(refuser, arn, answer["OperationId"]) == "SUCCEEDED"


@pytest.fixture(scope="module")
def paused(endpoint: Endpoint, refuser: Any) -> str:
    arn = str(created(refuser, **creation("paused", endpoint.image("1.0.0")))["ServiceArn"])
    assert outcome(refuser, arn, refuser.pause_service(ServiceArn=arn)["OperationId"]) == "SUCCEEDED"
    return arn


def expected(action: str) -> str:
    return "InvalidRequestException" if action == "start_deployment" else "InvalidStateException"


@pytest.mark.parametrize(("action", "members"), ACTIONS.items(), ids=ACTIONS)
def test_refusals_while_an_operation_runs(action: str, members: dict[str, Any], busy: str, refuser: Any) -> None:
    assert code_of(getattr(refuser, action), ServiceArn=busy, **members) == expected(action)
    assert refuser.describe_service(ServiceArn=busy)["Service"]["Status"] == "OPERATION_IN_PROGRESS"


def test_tagging_while_an_operation_runs(busy: str, refuser: Any) -> None:
    assert code_of(refuser.tag_resource, ResourceArn=busy, Tags=[{"Key": "a", "Value": "b"}]) == "InvalidStateException"


@pytest.mark.parametrize(("action", "members"), ACTIONS.items(), ids=ACTIONS)
def test_refusals_while_paused(action: str, members: dict[str, Any], paused: str, refuser: Any) -> None:
    if action == "delete_service":
        refuser.tag_resource(ResourceArn=paused, Tags=[{"Key": "still", "Value": "allowed"}])
        assert refuser.list_tags_for_resource(ResourceArn=paused)["Tags"]
    else:
        assert code_of(getattr(refuser, action), ServiceArn=paused, **members) == expected(action)


def test_resume_needs_a_paused_service(refuser: Any, endpoint: Endpoint) -> None:
    arn = created(refuser, **creation("running", endpoint.image("1.0.0")))["ServiceArn"]
    assert code_of(refuser.resume_service, ServiceArn=arn) == "InvalidStateException"


@pytest.mark.parametrize(
    "change",
    [("us-east-1", "eu-west-1"), ("123456789012", "210987654321"), ("/paused/", "/other/")],
    ids=["region", "account", "name"],
)
def test_a_foreign_arn_is_not_found(change: tuple[str, str], paused: str, refuser: Any) -> None:
    foreign = paused.replace(*change)
    for call in (refuser.describe_service, refuser.list_operations, refuser.start_deployment, refuser.delete_service):
        assert code_of(call, ServiceArn=foreign) == "ResourceNotFoundException"
    # AssociateCustomDomain's model has no ResourceNotFoundException.
    answered = code_of(refuser.associate_custom_domain, ServiceArn=foreign, DomainName="a.example.com")
    assert answered == "InvalidRequestException"


def test_a_name_is_unique(refuser: Any, endpoint: Endpoint, paused: str) -> None:
    members = creation("paused", endpoint.image("1.0.0"))
    with pytest.raises(refuser.exceptions.InvalidRequestException, match="already exists"):
        refuser.create_service(**members)


RULES: dict[str, tuple[str, Any, str]] = {
    "access role of a private repository": ("SourceConfiguration.AuthenticationConfiguration", None, "AccessRoleArn"),
    "ECR image as public": ("SourceConfiguration.ImageRepository.ImageRepositoryType", "ECR_PUBLIC", "ImageIdentifier"),
    "public image as ECR": (
        "SourceConfiguration.ImageRepository.ImageIdentifier",
        "public.ecr.aws/telehealth/api:1",
        "ImageIdentifier",
    ),
    "instance role with secrets": ("InstanceConfiguration", None, "InstanceRoleArn"),
    "cpu and memory": ("InstanceConfiguration.Memory", "12 GB", "Memory"),
    "auto scaling configuration": (
        "AutoScalingConfigurationArn",
        "arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/mine/1/" + "a" * 32,
        "AutoScalingConfigurationArn",
    ),
    "vpc connector": ("NetworkConfiguration", {"EgressConfiguration": {"EgressType": "VPC"}}, "VpcConnectorArn"),
    "reserved variable": (
        "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables",
        {"AWSAPPRUNNER_X": "1"},
        "RuntimeEnvironmentVariables",
    ),
    "port": ("SourceConfiguration.ImageRepository.ImageConfiguration.Port", "http", "Port"),
    "secret reference": (
        "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentSecrets",
        {"A": "arn:aws:s3:::bucket"},
        "RuntimeEnvironmentSecrets",
    ),
    "no image": ("SourceConfiguration.ImageRepository", None, "ImageRepository"),
}


@pytest.mark.parametrize(("path", "value", "named"), RULES.values(), ids=RULES)
def test_rules_beyond_the_model(path: str, value: Any, named: str, refuser: Any, endpoint: Endpoint) -> None:
    secrets = {"TOKEN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:absent-AbCdEf"}
    members = copy.deepcopy(creation("ruled", endpoint.image("1.0.0"), secrets))
    *parents, last = path.split(".")
    inner = members
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    with pytest.raises(refuser.exceptions.InvalidRequestException, match=named):
        refuser.create_service(**members)
    assert "ruled" not in str(refuser.list_services())

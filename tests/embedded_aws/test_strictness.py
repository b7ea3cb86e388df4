"""Requests and answers against botocore's model: the endpoint refuses what AWS refuses, and names it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from infrastructure.embedded.aws.protocol import model, server
from infrastructure.embedded.aws.protocol.calls import Call
from tests.embedded_aws.harness import KVS_ARN, Endpoint, client, creation, keyvaluestore

IMAGE = "SourceConfiguration.ImageRepository"
LOOSE = {"parameter_validation": False}

CREATIONS: dict[str, tuple[str, Any, str]] = {
    # case: (path to set, value (Ellipsis removes the member), member that the error names)
    "required": ("ServiceName", ..., "ServiceName"),
    "required, nested": (f"{IMAGE}.ImageRepositoryType", ..., "ImageRepositoryType"),
    "null is absent": ("ServiceName", None, "ServiceName"),
    "unknown": ("Colour", "blue", "Colour"),
    "unknown, nested": (f"{IMAGE}.ImageConfiguration.Prot", "3000", f"{IMAGE}.ImageConfiguration.Prot"),
    "type": ("ServiceName", 7, "ServiceName"),
    "type, nested": (f"{IMAGE}.ImageConfiguration", "x", "ImageConfiguration"),
    "number for a bool": ("SourceConfiguration.AutoDeploymentsEnabled", 1, "AutoDeploymentsEnabled"),
    "bool for a number": ("HealthCheckConfiguration.Interval", True, "HealthCheckConfiguration.Interval"),
    "text for a number": ("HealthCheckConfiguration.Interval", "5", "HealthCheckConfiguration.Interval"),
    "enum": ("HealthCheckConfiguration.Protocol", "HTTPS", "HealthCheckConfiguration.Protocol"),
    "enum, nested": (f"{IMAGE}.ImageRepositoryType", "DOCKER_HUB", "ImageRepositoryType"),
    "pattern": ("ServiceName", "-blue-service", "ServiceName"),
    "pattern, to the end": ("ServiceName", "blue service", "ServiceName"),
    "pattern, nested": (f"{IMAGE}.ImageIdentifier", "telehealth-api:1.0.0", "ImageIdentifier"),
    "pattern, memory": ("InstanceConfiguration.Memory", "3000", "InstanceConfiguration.Memory"),
    "too short": ("ServiceName", "abc", "ServiceName"),
    "too long": ("ServiceName", "a" * 41, "ServiceName"),
    "too small": ("HealthCheckConfiguration.Interval", 0, "HealthCheckConfiguration.Interval"),
    "too large": ("HealthCheckConfiguration.UnhealthyThreshold", 21, "UnhealthyThreshold"),
    "list element": ("Tags", [{"Key": "aws:mine", "Value": ""}], "Tags[0].Key"),
    "list, not one": ("Tags", {"Key": "a"}, "Tags"),
    "map value": (f"{IMAGE}.ImageConfiguration.RuntimeEnvironmentVariables", {"A": 1}, "RuntimeEnvironmentVariables.A"),
}


def with_member(path: str, value: Any) -> dict[str, Any]:
    members = copy.deepcopy(creation("strict", "sha256:" + "a" * 64))
    *parents, last = path.split(".")
    inner = members
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return members


def post(endpoint: Endpoint, target: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/apprunner/aws4_request, Signature=0"}
    sent = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"} | signed | headers
    return httpx.post(endpoint.url, content=content, headers=sent, trust_env=False)


@pytest.mark.parametrize(("path", "value", "named"), CREATIONS.values(), ids=CREATIONS)
def test_create_service_is_checked(path: str, value: Any, named: str, endpoint: Endpoint) -> None:
    answer = post(endpoint, "AppRunner.CreateService", with_member(path, value))
    assert answer.status_code == 400
    assert answer.json()["__type"] == "InvalidRequestException"
    assert named in answer.json()["Message"]


def test_boto3_raises_the_typed_exception(endpoint: Endpoint) -> None:
    apprunner = client("apprunner", endpoint.url, **LOOSE)
    with pytest.raises(apprunner.exceptions.InvalidRequestException, match="ServiceArn") as caught:
        apprunner.describe_service(ServiceArn="arn:nonsense")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_sensitive_values_are_not_repeated(endpoint: Endpoint) -> None:
    variables = {"TOKEN": "canary\n4711"}
    members = with_member(f"{IMAGE}.ImageConfiguration.RuntimeEnvironmentVariables", variables)
    answer = post(endpoint, "AppRunner.CreateService", members)
    assert "TOKEN" in answer.json()["Message"]
    assert "canary" not in answer.text


@pytest.mark.parametrize("target", ["AppRunner.Nonsense", "ECS.CreateService", "", "AppRunner.CreateVpcConnector"])
def test_unknown_operations(target: str, endpoint: Endpoint) -> None:
    answer = post(endpoint, target, {})
    assert (answer.status_code, answer.json()["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize("body", ["{", "[]", "7"])
def test_a_body_that_is_not_a_json_object(body: str, endpoint: Endpoint) -> None:
    answer = post(endpoint, "AppRunner.ListServices", body)
    assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "MissingAuthenticationTokenException"),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/apprunner/aws4_request", "InvalidSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ecs/aws4_request", "InvalidSignatureException"),
    ],
)
def test_a_request_has_to_be_signed_for_this_service(authorization: str, code: str, endpoint: Endpoint) -> None:
    answer = post(endpoint, "AppRunner.ListServices", {}, Authorization=authorization)
    assert (answer.status_code, answer.json()["__type"]) == (403, code)


@pytest.mark.parametrize("token", ["nonsense", "", "YWJj"])
def test_a_foreign_page_token(token: str, endpoint: Endpoint) -> None:
    apprunner = client("apprunner", endpoint.url)
    with pytest.raises(apprunner.exceptions.InvalidRequestException, match="NextToken"):
        apprunner.list_services(NextToken=token)


KEY_VALUE_CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "put without If-Match": ("put_key", {"Key": "a", "Value": "b"}, "IfMatch"),
    "update without If-Match": ("update_keys", {"Puts": [{"Key": "a", "Value": "b"}]}, "IfMatch"),
    "put without a value": ("put_key", {"Key": "a", "IfMatch": "x"}, "Value"),
    "a value that is not text": ("put_key", {"Key": "a", "Value": 1, "IfMatch": "x"}, "Value"),
    "nested, required": ("update_keys", {"Puts": [{"Key": "a"}], "IfMatch": "x"}, "Puts[0].Value"),
    "nested, length": ("update_keys", {"Deletes": [{"Key": ""}], "IfMatch": "x"}, "Deletes[0].Key"),
    "page too large": ("list_keys", {"MaxResults": 51}, "MaxResults"),
    "page is not a number": ("list_keys", {"MaxResults": "many"}, "MaxResults"),
    "foreign token": ("list_keys", {"NextToken": "\u00e9"}, "NextToken"),
    "key over 512 bytes": ("put_key", {"Key": "k" * 513, "Value": "", "IfMatch": "x"}, "Key"),
    "value over 1 KB": ("put_key", {"Key": "a", "Value": "v" * 1025, "IfMatch": "x"}, "Value"),
    "more than 50 keys": (
        "update_keys",
        {"Puts": [{"Key": f"k{number}", "Value": ""} for number in range(51)], "IfMatch": "x"},
        "50",
    ),
    "a key twice": ("update_keys", {"Puts": [{"Key": "a", "Value": ""}] * 2, "IfMatch": "x"}, "more than once"),
    "nothing at all": ("update_keys", {"IfMatch": "x"}, "empty"),
}


@pytest.mark.parametrize(("call", "members", "named"), KEY_VALUE_CALLS.values(), ids=KEY_VALUE_CALLS)
def test_key_value_calls_are_checked(call: str, members: dict[str, Any], named: str, endpoint: Endpoint) -> None:
    kvs = keyvaluestore(endpoint.url, **LOOSE)
    with pytest.raises(ClientError) as caught:
        getattr(kvs, call)(KvsARN=KVS_ARN, **members)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
    assert named in error["Error"]["Message"]


def call_of(target: str, body: dict[str, Any]) -> Call:
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/apprunner/aws4_request"
    headers = {"x-amz-target": target, "authorization": signed}
    return Call("POST", "/", "", headers, json.dumps(body).encode())


ANSWERS: dict[str, dict[str, Any]] = {
    "required": {},
    "unknown": {"ServiceSummaryList": [], "Extra": 1},
    "unknown, nested": {"ServiceSummaryList": [{"Colour": "blue"}]},
    "enum": {"ServiceSummaryList": [{"Status": "ROLLED_BACK"}]},
    "type": {"ServiceSummaryList": [{"CreatedAt": "yesterday"}]},
    "length": {"ServiceSummaryList": [{"ServiceId": "short"}]},
}


@pytest.mark.parametrize("output", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_breaks_the_model_is_a_defect(output: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    handler: Callable[[Any], Any] = lambda _: output  # noqa: E731  # the handler's type is what matters here
    reply = server.answer_json(
        call_of("AppRunner.ListServices", {}), "apprunner", {"ListServices": handler}, "us-east-1"
    )
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (500, "InternalServiceErrorException")
    assert "breaks AWS's model" in caplog.text


def test_the_waived_rules_contradict_aws() -> None:
    """Remove an exception once botocore corrects its model."""
    shape = model.service_model("apprunner").shape_for("ServiceId")
    uuid_like = "00000000-0000-4000-8000-000000000000"
    assert {("ServiceId", "pattern"), ("TagList", "min")} == model.CONTRADICTIONS
    assert [violation.path for violation in model.violations(shape, uuid_like, "ServiceId")] == ["ServiceId"]
    assert not list(model.violations(shape, "0" * 32, "ServiceId"))

"""The embedded IAM: it allows every action and answers a simulation in AWS's format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import botocore.serialize
import pytest
from botocore.parsers import create_parser

from deployment.model import Caller, Colour
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.identity.permissions import Resources, SimulatedPermissions
from infrastructure.aws.session import Clients
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.iam import Iam
from infrastructure.embedded.aws.protocol.calls import Call
from infrastructure.embedded.aws.protocol.model import service_model
from infrastructure.embedded.aws.protocol.query import query_service
from infrastructure.embedded.aws.protocol.server import answer_query

ACCOUNT = "123456789012"
SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/iam/aws4_request, x"}
STORE = {"key_value_store_arn": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/1"}
RESOURCES = Resources("us-east-1", ACCOUNT, "telehealth-api", "locks", "apprunner", {}, "cloudfront", STORE)


def ask(operation: str, headers: Mapping[str, str] = SIGNED, **members: Any) -> dict[str, Any]:
    """Make one call as botocore serialises it; return the answer as botocore parses it."""
    model = service_model("iam").operation_model(operation)
    serializer = botocore.serialize.create_serializer("query", include_validation=False)
    body = urlencode(serializer.serialize_to_request(members, model)["body"])
    here = Path()
    config = EndpointConfig("h", 1, here, here, here, ACCOUNT, "eu-west-1", "http://h", "d", here, "arn", here)
    call = Call("POST", "/", "", headers, body.encode())
    reply = answer_query(call, query_service(call, ["elbv2", "iam"]), Iam(config).handlers(), "eu-west-1")
    answered = {"status_code": reply.status, "headers": {}, "body": str(reply.body).encode()}
    answer: dict[str, Any] = create_parser("query").parse(answered, model.output_shape)
    return answer


class Answering(Clients):
    """Clients for the adapter that call the embedded IAM."""

    def __init__(self) -> None:
        """Need no connection."""

    def call_once(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        with aws_errors(service, operation):
            return ask(operation, **given)

    def pages(self, *_: Any, **__: Any) -> list[Any]:
        return []


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:sts::{ACCOUNT}:user/moto",
        f"arn:aws:iam::{ACCOUNT}:user/jane",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/release-manager/embedded",
    ],
)
def test_a_deployer_has_all_permissions(arn: str) -> None:
    """The ARN of moto's user, of an IAM user, and of a session, whose role is looked up."""
    permissions = SimulatedPermissions(Answering(), RESOURCES)
    rights = permissions.missing(Caller(arn, ACCOUNT), ["deploy", "promote", "rollback"], Colour.GREEN)
    assert (rights.missing, rights.unchecked) == ((), None)


def test_each_action_on_each_resource() -> None:
    asked: dict[str, Any] = {"ActionNames": ["sns:Publish", "dynamodb:GetItem"], "ResourceArns": ["arn:one", "arn:two"]}
    found = ask("SimulatePrincipalPolicy", PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/x", **asked)
    assert [(one["EvalActionName"], one["EvalResourceName"]) for one in found["EvaluationResults"]] == [
        (action, resource) for action in asked["ActionNames"] for resource in asked["ResourceArns"]
    ]
    assert {one["EvalDecision"] for one in found["EvaluationResults"]} == {"allowed"}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"PolicySourceArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/jane"}, "InvalidInput"),
        ({"PolicySourceArn": "arn:aws:iam::210987654321:role/deployer"}, "NoSuchEntity"),
        ({"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/x", "ResourceHandlingOption": "x"}, "InvalidInput"),
        ({"PolicySourceArn": "x"}, "InvalidInput"),
    ],
)
def test_requests_that_aws_refuses_are_refused(members: dict[str, Any], code: str) -> None:
    assert ask("SimulatePrincipalPolicy", ActionNames=["sns:Publish"], **members)["Error"]["Code"] == code


def test_unsupported_operations_and_foreign_signatures_are_refused() -> None:
    assert (
        ask("CreateRole", RoleName="x", AssumeRolePolicyDocument="{}")["Error"]["Code"] == "UnknownOperationException"
    )
    foreign = {"authorization": SIGNED["authorization"].replace("/iam/", "/s3/")}
    assert ask("GetRole", foreign, RoleName="x")["Error"]["Code"] == "InvalidSignatureException"

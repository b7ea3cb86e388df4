"""The server's side of the query protocol: it reads botocore's requests completely and refuses malformed ones."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import botocore.serialize
import pytest
from botocore.parsers import create_parser

from infrastructure.embedded.aws.errors import AwsError
from infrastructure.embedded.aws.protocol.calls import Call
from infrastructure.embedded.aws.protocol.model import service_model
from infrastructure.embedded.aws.protocol.query import query_error, query_operation, query_parameters, query_reply

MODEL = service_model("elbv2")


def read(form: dict[str, str]) -> dict[str, Any]:
    call = Call("POST", "/", "", {}, urlencode(form).encode())
    return query_parameters(*query_operation(call, "elbv2"))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        (
            "CreateRule",
            {
                "ListenerArn": "arn",
                "Priority": 7,
                "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example", "b.example"]}}],
                "Actions": [
                    {
                        "Type": "forward",
                        "ForwardConfig": {
                            "TargetGroups": [
                                {"TargetGroupArn": "one", "Weight": 0},
                                {"TargetGroupArn": "two", "Weight": 999},
                            ],
                            "TargetGroupStickinessConfig": {"Enabled": False},
                        },
                    }
                ],
            },
        ),
        ("AddTags", {"ResourceArns": ["a", "b"], "Tags": [{"Key": "k:1", "Value": "ä & ö"}]}),
        ("DescribeLoadBalancers", {"Names": []}),
        ("DescribeLoadBalancers", {}),
    ],
)
def test_a_request_of_botocore_is_read_completely(name: str, members: dict[str, Any]) -> None:
    serializer = botocore.serialize.create_serializer("query", include_validation=False)
    body = serializer.serialize_to_request(members, MODEL.operation_model(name))["body"]
    assert read(body) == members


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"Colour": "blue"}, "Colour"),
        ({"Names.member.1": "a", "Names.member.3": "c"}, "Names.member.3"),
        ({"LoadBalancerArns": "arn"}, "LoadBalancerArns"),
    ],
)
def test_an_unknown_key_is_named(form: dict[str, str], named: str) -> None:
    with pytest.raises(AwsError, match=named):
        read({"Action": "DescribeLoadBalancers", "Version": "2015-12-01", **form})


@pytest.mark.parametrize(
    "form", [{"Action": "Explode", "Version": "2015-12-01"}, {"Action": "AddTags", "Version": "1"}]
)
def test_an_unknown_action_or_version_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(AwsError, match="InvalidAction"):
        read(form)


def test_botocore_reads_the_answers() -> None:
    operation = MODEL.operation_model("DescribeTargetGroups")
    group = {"TargetGroupArn": "a <b>", "Port": 3000, "HealthCheckEnabled": True, "LoadBalancerArns": ["x", "y"]}
    reply = query_reply(operation, {"TargetGroups": [group]})
    answer = {"status_code": 200, "headers": {}, "body": str(reply.body).encode()}
    parsed = create_parser("query").parse(answer, operation.output_shape)
    assert parsed["TargetGroups"] == [group]
    refused = query_error(AwsError("TargetGroupNotFound", "One or more & all"))
    answer = {"status_code": refused.status, "headers": {}, "body": str(refused.body).encode()}
    error = create_parser("query").parse(answer, operation.output_shape)["Error"]
    assert (error["Code"], error["Message"], error["Type"]) == ("TargetGroupNotFound", "One or more & all", "Sender")

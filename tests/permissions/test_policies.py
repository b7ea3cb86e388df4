"""The evaluation of policies: what AWS documents for one account, and refusal of everything that it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.aws.session import Connection, Credentials, clients_for
from tests.permissions.calls import Place, requests
from tests.permissions.enforcement import Enforcement, actions, calls
from tests.permissions.policies import Request, allowed

ROLE = "arn:aws:iam::123456789012:role/instance"
PLACE = Place("us-east-1", "123456789012", "arn:aws:kms:us-east-1:123456789012:key/1", "main")


def statement(action: Any, resource: Any, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition["condition"]} if condition else {})


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


CLUSTER = {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:us-east-1:1:cluster/main"}}
RECORDS = {"ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": ["a", "b"]}}
NAMES = "route53:changeresourcerecordsetsnormalizedrecordnames"
PASSED = {"StringEqualsIfExists": {"iam:PassedToService": ["apprunner.amazonaws.com"]}}


@pytest.mark.parametrize(
    ("statements", "request_", "expected"),
    [
        ([statement("ecr:DescribeImages", "arn:r")], Request("ecr:DescribeImages", "arn:r"), True),
        ([statement(["ecr:BatchGetImage"], ["arn:r"])], Request("ecr:DescribeImages", "arn:r"), False),
        ([statement("ecr:DescribeImages", "arn:r")], Request("ecr:DescribeImages", "arn:s"), False),
        ([statement("ecr:Describe*", "arn:*")], Request("ecr:DescribeImages", "arn:r"), True),
        (
            [statement("s3:GetObject", "arn:b/*"), statement("s3:*", "*", "Deny")],
            Request("s3:GetObject", "arn:b/x"),
            False,
        ),
        ([statement("ecs:ListTasks", "*", condition=CLUSTER)], Request("ecs:ListTasks"), False),
        (
            [statement("ecs:ListTasks", "*", condition=CLUSTER)],
            Request("ecs:ListTasks", "*", {"ecs:cluster": ["arn:aws:ecs:us-east-1:1:cluster/main"]}),
            True,
        ),
        (
            [statement("ecs:ListTasks", "*", condition=CLUSTER)],
            Request("ecs:ListTasks", "*", {"ecs:cluster": ["arn:aws:ecs:us-east-1:1:cluster/other"]}),
            False,
        ),
        ([statement("route53:C", "*", condition=RECORDS)], Request("route53:C", "*", {NAMES: ["a"]}), True),
        ([statement("route53:C", "*", condition=RECORDS)], Request("route53:C", "*", {NAMES: ["a", "www"]}), False),
        ([statement("iam:PassRole", ROLE, condition=PASSED)], Request("iam:PassRole", ROLE), True),
        (
            [statement("iam:PassRole", ROLE, condition=PASSED)],
            Request("iam:PassRole", ROLE, {"iam:passedtoservice": ["ec2.amazonaws.com"]}),
            False,
        ),
    ],
)
def test_evaluation(statements: list[dict[str, Any]], request_: Request, expected: bool) -> None:
    assert allowed([policy(*statements)], request_) is expected


@pytest.mark.parametrize(
    "unknown",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        statement("s3:GetObject", "*", condition={"IpAddress": {"aws:SourceIp": "192.0.2.1"}}),
    ],
)
def test_unknown_elements_are_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not evaluated"):
        allowed([policy(unknown)], Request("s3:GetObject", "*"))


def test_a_call_needs_what_depends_on_it() -> None:
    """Roles that are passed on, tags, and the key with which a service decrypts for the caller."""
    given = {"family": "api", "taskRoleArn": ROLE, "tags": [{"key": "a", "value": "b"}]}
    found = [one.action for one in requests(PLACE, "ecs", "RegisterTaskDefinition", given)]
    assert found == ["ecs:RegisterTaskDefinition", "iam:PassRole", "ecs:TagResource"]
    found = [one.action for one in requests(PLACE, "secretsmanager", "GetSecretValue", {"SecretId": "s"})]
    assert found == ["secretsmanager:GetSecretValue", "kms:Decrypt"]
    with pytest.raises(LookupError):
        requests(PLACE, "ecs", "DeleteService", {})


def test_denied_call_is_not_sent(tmp_path: Any) -> None:
    """boto3 raises AWS's error, although nothing listens at the endpoint; an allowed call is sent."""
    keys, nowhere = Credentials("a", "b"), {"default": "http://127.0.0.1:9"}
    clients = clients_for(Connection("us-east-1", "123456789012", credentials=keys, endpoints=nowhere))
    only_read = policy(statement("dynamodb:GetItem", "*"), statement("kms:Decrypt", "*"))
    Enforcement(PLACE, [only_read], tmp_path / "log").enforce(clients)
    with pytest.raises(ClientError) as caught:
        clients.client("dynamodb").update_item(TableName="locks", Key={"id": {"S": "1"}})
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    lines = calls(tmp_path / "log")
    assert (actions(lines), actions(lines, denied=True)) == ([], ["dynamodb:UpdateItem"])

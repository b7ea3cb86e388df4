"""Missing rights: what IAM's simulation says, and what is said where it says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from deployment.access import Duty
from deployment.model import Caller
from infrastructure.aws.duties import PASSED_TO, needs
from infrastructure.aws.permissions import Resources, SimulatedPermissions
from infrastructure.aws.session import Clients, Connection, Credentials, connect
from tests.aws.shapes import checked

ACCOUNT = "123456789012"
USER = Caller(f"arn:aws:iam::{ACCOUNT}:user/jane", ACCOUNT)
SESSION = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/jane", ACCOUNT)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
STORE = {"key_value_store_arn": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/1"}
RESOURCES = Resources("us-east-1", ACCOUNT, "telehealth-api", "locks", "apprunner", (), "cloudfront", STORE)


@pytest.fixture
def stubbed() -> Iterator[tuple[SimulatedPermissions, Stubber]]:
    """IAM that answers what the test says, in that order, and nothing else."""
    clients = connect(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
    client = clients._made["iam, once"] = clients._make("iam")
    with Stubber(client) as stubber:
        yield SimulatedPermissions(clients, RESOURCES), stubber


def answer(stubber: Stubber, actions: Sequence[str], decision: str = "allowed", **more: Any) -> None:
    results: list[Mapping[str, Any]] = [
        {"EvalActionName": name, "EvalResourceName": "*", "EvalDecision": decision, **more} for name in actions
    ]
    stubber.add_response("simulate_principal_policy", {"EvaluationResults": results})


def test_allowed(stubbed: tuple[SimulatedPermissions, Stubber]) -> None:
    permissions, stubber = stubbed
    answer(stubber, needs(["approve"], "apprunner", "cloudfront")["lease"])
    rights = permissions.missing(USER, ["approve"])
    assert (rights.missing, rights.unchecked) == ((), None)
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize("decision", ["implicitDeny", "explicitDeny"])
def test_denied_is_named(stubbed: tuple[SimulatedPermissions, Stubber], decision: str) -> None:
    permissions, stubber = stubbed
    answer(stubber, ["dynamodb:UpdateItem"], decision)
    assert permissions.missing(USER, ["approve"]).missing == ("dynamodb:UpdateItem",)


def test_a_condition_that_only_the_call_can_meet_refuses_nobody(stubbed: tuple[SimulatedPermissions, Stubber]) -> None:
    permissions, stubber = stubbed
    answer(stubber, ["dynamodb:UpdateItem"], "implicitDeny", MissingContextValues=["aws:SourceVpc"])
    rights = permissions.missing(USER, ["approve"])
    assert rights.missing == ()
    assert "dynamodb:UpdateItem" in (rights.unchecked or "")


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InternalFailure", 500), ("NoSuchEntity", 404)])
def test_what_cannot_be_asked_is_said_and_asked_once(
    stubbed: tuple[SimulatedPermissions, Stubber], code: str, status: int
) -> None:
    """A second request would fail the stub: nothing is queued for it."""
    permissions, stubber = stubbed
    stubber.add_client_error("simulate_principal_policy", code, http_status_code=status)
    rights = permissions.missing(USER, ["deploy", "promote"])
    assert rights.missing == ()
    assert code in (rights.unchecked or "")


def test_a_session_is_asked_about_as_its_role_with_its_path(stubbed: tuple[SimulatedPermissions, Stubber]) -> None:
    permissions, stubber = stubbed
    role = {"Path": "/ci/", "RoleName": "deployer", "RoleId": "AROA1234567890123", "Arn": ROLE, "CreateDate": 0}
    stubber.add_response("get_role", {"Role": role}, {"RoleName": "deployer"})
    stubber.add_response(
        "simulate_principal_policy",
        {"EvaluationResults": []},
        {
            "PolicySourceArn": ROLE,
            "ActionNames": ["dynamodb:GetItem", "dynamodb:UpdateItem"],
            "ResourceArns": [f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/locks"],
            "ContextEntries": [],
            "MaxItems": 1000,
        },
    )
    assert permissions.missing(SESSION, ["approve"]).unchecked is None
    stubber.assert_no_pending_responses()


PAIRS = [("apprunner", "cloudfront"), ("ecs", "alb"), ("ecs", "route53")]


@pytest.mark.parametrize(("platform", "router"), PAIRS)
def test_every_duty_has_its_actions(platform: str, router: str) -> None:
    for duty in Duty:
        assert bool(needs([duty.value], platform, router)) is (duty is not Duty.WAIVE)
    writes = ("UpdateService", "PassRole", "RegisterTaskDefinition")
    promote = [action for actions in needs(["promote"], platform, router).values() for action in actions]
    assert not any(action.endswith(writes) for action in promote), (
        "who moves traffic need not be able to change a release"
    )


ELB = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}"
OPTIONS: dict[str, dict[str, Any]] = {
    "alb": {"arn": f"{ELB}:listener-rule/app/l/1/2/3"},
    "route53": {"hosted_zone_id": "Z1", "record_name": "api.example"},
}


@pytest.mark.parametrize("router", OPTIONS)
def test_ecs_is_asked_about_by_its_own_arns(router: str) -> None:
    """Every kind of thing that the duties touch is asked about, with what the call itself would tell a policy."""
    ecs = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
    resources = Resources(
        "us-east-1",
        ACCOUNT,
        "telehealth-api",
        "locks",
        "ecs",
        ("api-blue",),
        router,
        OPTIONS[router],
        "main",
        "arn:topic",
        ("production",),
        ("abc",),
    )
    asked: dict[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]] = {}

    class Answering(Clients):
        def __init__(self) -> None:
            """Of nothing real."""

        def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
            if operation == "DescribeServices":
                services = [
                    {
                        "serviceArn": f"{ecs}:service/main/api-blue",
                        "status": "ACTIVE",
                        "taskDefinition": f"{ecs}:task-definition/api-blue:7",
                    }
                ]
                return checked(service, operation, given, {"services": services})
            roles = {"taskRoleArn": "arn:task", "executionRoleArn": "arn:execution"}
            return checked(service, operation, given, {"taskDefinition": roles})

        def call_once(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
            asked.update(dict.fromkeys(given["ActionNames"], (given["ResourceArns"], given["ContextEntries"])))
            return checked(service, operation, given, {"EvaluationResults": []})

    SimulatedPermissions(Answering(), resources).missing(USER, ["deploy", "promote", "rollback"])
    assert set(asked) >= {
        action for part in needs(["deploy", "promote", "rollback"], "ecs", router).values() for action in part
    }
    assert asked["ecs:UpdateService"][0] == [f"{ecs}:service/main/api-blue"]
    assert asked["ecs:RegisterTaskDefinition"][0] == [f"{ecs}:task-definition/api-blue:*"]
    assert asked["iam:PassRole"][0] == ["arn:execution", "arn:task"]
    assert asked["iam:PassRole"][1][0]["ContextKeyValues"] == list(PASSED_TO["ecs"])
    assert asked["ecs:DescribeTasks"][1][0]["ContextKeyValues"] == [f"{ecs}:cluster/main"]
    if router == "alb":
        assert asked["elasticloadbalancing:ModifyRule"][0] == [OPTIONS["alb"]["arn"]]
        assert asked["elasticloadbalancing:DescribeRules"][0] == ["*"]
        assert not {"elasticloadbalancing:ModifyListener", "elasticloadbalancing:DescribeListeners"} & set(asked)
    else:
        arns, context = asked["route53:ChangeResourceRecordSets"]
        assert arns == ["arn:aws:route53:::hostedzone/Z1"]
        assert context[0]["ContextKeyValues"] == ["api.example", "_deployment-routes.api.example"]


def test_alarms_and_health_checks_are_asked_about_where_there_are_some() -> None:
    clients = connect(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
    client = clients._made["iam, once"] = clients._make("iam")
    watched = replace(RESOURCES, alarms=("production",), health_checks=("abc",))
    expected = [
        ("dynamodb:GetItem", f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/locks"),
        ("cloudfront-keyvaluestore:DescribeKeyValueStore", RESOURCES.options["key_value_store_arn"]),
        ("cloudwatch:DescribeAlarms", "*"),
        ("route53:GetHealthCheckStatus", "arn:aws:route53:::healthcheck/abc"),
    ]
    with Stubber(client) as stubber:
        for action, arn in expected:
            result = {"EvalActionName": action, "EvalResourceName": arn, "EvalDecision": "implicitDeny"}
            asked = dict.fromkeys(("PolicySourceArn", "ActionNames", "ContextEntries", "MaxItems"), ANY)
            stubber.add_response(
                "simulate_principal_policy", {"EvaluationResults": [result]}, {**asked, "ResourceArns": [arn]}
            )
        missing = SimulatedPermissions(clients, watched).missing(USER, ["promote"]).missing
    assert set(missing) == {action for action, _ in expected}


DUTIES = Path(__file__).resolve().parents[2] / "infrastructure" / "terraform" / "modules" / "iam" / "duties.tf"


@pytest.mark.parametrize(("platform", "router"), PAIRS)
def test_the_estate_s_policies_know_every_action(platform: str, router: str) -> None:
    """A call that a new adapter makes and no role may make is found here, not by the first deployment."""
    allowed = set(re.findall(r'"([a-z0-9-]+:[A-Za-z]+)"', DUTIES.read_text(encoding="utf-8")))
    assert len(allowed) > 30
    wanted = {action for part in needs([duty.value for duty in Duty], platform, router).values() for action in part}
    assert sorted(wanted - allowed) == []

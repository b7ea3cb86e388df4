"""Missing permissions: the results of IAM's simulation, and the report if IAM does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from deployment.access import Duty
from deployment.model import Caller, Colour
from infrastructure.aws.identity.duties import PASSED_TO, needs
from infrastructure.aws.identity.permissions import Resources, SimulatedPermissions
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.shapes import checked
from tests.permissions.policies import Request, allowed

ACCOUNT = "123456789012"
USER = Caller(f"arn:aws:iam::{ACCOUNT}:user/jane", ACCOUNT)
SESSION = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/jane", ACCOUNT)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
STORE = {"key_value_store_arn": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/1"}
RESOURCES = Resources("us-east-1", ACCOUNT, "telehealth-api", "locks", "apprunner", {}, "cloudfront", STORE)


@pytest.fixture
def stubbed() -> Iterator[tuple[SimulatedPermissions, Stubber]]:
    """A stub of IAM that gives only the test's answers, in their order."""
    clients = clients_for(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
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
def test_denied_action_is_named(stubbed: tuple[SimulatedPermissions, Stubber], decision: str) -> None:
    permissions, stubber = stubbed
    answer(stubber, ["dynamodb:UpdateItem"], decision)
    assert permissions.missing(USER, ["approve"]).missing == ("dynamodb:UpdateItem",)


def test_condition_that_iam_cannot_evaluate_denies_nothing(stubbed: tuple[SimulatedPermissions, Stubber]) -> None:
    permissions, stubber = stubbed
    answer(stubber, ["dynamodb:UpdateItem"], "implicitDeny", MissingContextValues=["aws:SourceVpc"])
    rights = permissions.missing(USER, ["approve"])
    assert rights.missing == ()
    assert "dynamodb:UpdateItem" in (rights.unchecked or "")


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InternalFailure", 500), ("NoSuchEntity", 404)])
def test_failed_simulation_is_reported_and_not_retried(
    stubbed: tuple[SimulatedPermissions, Stubber], code: str, status: int
) -> None:
    """A second request would fail: the stub has no second answer."""
    permissions, stubber = stubbed
    stubber.add_client_error("simulate_principal_policy", code, http_status_code=status)
    rights = permissions.missing(USER, ["deploy", "promote"])
    assert rights.missing == ()
    assert code in (rights.unchecked or "")


def test_session_is_simulated_as_its_role_with_its_path(stubbed: tuple[SimulatedPermissions, Stubber]) -> None:
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
        "a role that moves traffic must not be able to change a release"
    )


ELB = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}"
OPTIONS: dict[str, dict[str, Any]] = {
    "alb": {"arn": f"{ELB}:listener-rule/app/l/1/2/3"},
    "route53": {"hosted_zone_id": "Z1", "record_name": "api.example"},
}


ECS = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
APP_RUNNER = f"arn:aws:apprunner:us-east-1:{ACCOUNT}:service"
NAMES = {Colour.BLUE: "api-blue", Colour.GREEN: "api-green"}
Asked = dict[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]


class Answering(Clients):
    """Clients with two services on each platform, each with its own roles; ``asked`` holds IAM's requests by action."""

    def __init__(self) -> None:
        self.asked: Asked = {}

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        return checked(service, operation, given, self._answer(operation, given))

    def pages(self, service: str, operation: str, member: str, /, **given: Any) -> list[Mapping[str, Any]]:
        services = [
            {"ServiceName": name, "ServiceArn": f"{APP_RUNNER}/{name}/0", "Status": "RUNNING"}
            for name in NAMES.values()
        ]
        return checked(service, operation, given, {member: services})[member]  # type: ignore[no-any-return]  # a list of items

    def call_once(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        self.asked.update(dict.fromkeys(given["ActionNames"], (given["ResourceArns"], given["ContextEntries"])))
        return checked(service, operation, given, {"EvaluationResults": []})

    def _answer(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeServices":
            services = [
                {
                    "serviceName": name,
                    "serviceArn": f"{ECS}:service/main/{name}",
                    "status": "ACTIVE",
                    "taskDefinition": f"{ECS}:task-definition/{name}:7",
                }
                for name in given["services"]
            ]
            return {"services": services}
        if operation == "DescribeTaskDefinition":
            family = given["taskDefinition"].rpartition("/")[2].partition(":")[0]
            return {
                "taskDefinition": {"taskRoleArn": f"arn:{family}-task", "executionRoleArn": f"arn:{family}-execution"}
            }
        name = given["ServiceArn"].split("/")[1]
        roles = {"InstanceConfiguration": {"InstanceRoleArn": f"{ROLE}-{name}-instance"}}
        source = {"AuthenticationConfiguration": {"AccessRoleArn": f"{ROLE}-{name}-access"}}
        return {"Service": SERVICE | roles | {"SourceConfiguration": source}}


SERVICE: dict[str, Any] = {
    "ServiceName": "api-",
    "ServiceId": "0" * 32,
    "ServiceArn": f"{APP_RUNNER}/api/0",
    "CreatedAt": 0,
    "UpdatedAt": 0,
    "Status": "RUNNING",
    "AutoScalingConfigurationSummary": {},
    "NetworkConfiguration": {},
}


def resources_on_ecs(router: str) -> Resources:
    return Resources(
        "us-east-1",
        ACCOUNT,
        "telehealth-api",
        "locks",
        "ecs",
        NAMES,
        router,
        OPTIONS[router],
        "main",
        "arn:topic",
        ("production",),
        ("abc",),
    )


@pytest.mark.parametrize("router", OPTIONS)
def test_ecs_actions_are_simulated_on_their_own_arns(router: str) -> None:
    """Every kind of resource of the duties is simulated, with the context values of the call itself."""
    clients = Answering()
    SimulatedPermissions(clients, resources_on_ecs(router)).missing(USER, ["deploy", "promote", "rollback"])
    asked = clients.asked
    assert set(asked) >= {
        action for part in needs(["deploy", "promote", "rollback"], "ecs", router).values() for action in part
    }
    assert asked["ecs:UpdateService"][0] == [f"{ECS}:service/main/{name}" for name in NAMES.values()]
    assert asked["ecs:RegisterTaskDefinition"][0] == [f"{ECS}:task-definition/{name}:*" for name in NAMES.values()]
    assert len(asked["iam:PassRole"][0]) == 4
    assert asked["iam:PassRole"][1][0]["ContextKeyValues"] == list(PASSED_TO["ecs"])
    for action, kind in (("ecs:DescribeTasks", "task"), ("ecs:ListTasks", "container-instance")):
        arns, context = asked[action]
        assert arns == [f"{ECS}:{kind}/main/*"], "AWS knows no other type of resource for it"
        assert context[0]["ContextKeyValues"] == [f"{ECS}:cluster/main"]
    if router == "alb":
        assert asked["elasticloadbalancing:ModifyRule"][0] == [OPTIONS["alb"]["arn"]]
        assert asked["elasticloadbalancing:DescribeRules"][0] == ["*"]
        assert not {"elasticloadbalancing:ModifyListener", "elasticloadbalancing:DescribeListeners"} & set(asked)
    else:
        arns, context = asked["route53:ChangeResourceRecordSets"]
        assert arns == ["arn:aws:route53:::hostedzone/Z1"]
        assert context[0]["ContextKeyValues"] == ["api.example", "_deployment-routes.api.example"]


class Evaluating(Answering):
    """Clients whose IAM evaluates a policy that allows these actions, each only on these resources."""

    def __init__(self, resources: Mapping[str, str]) -> None:
        super().__init__()
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in resources.items()
        ]
        self._policy = {"Statement": statements}

    def call_once(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        results = [
            {"EvalActionName": action, "EvalDecision": "allowed" if self._allows(action, arn) else "implicitDeny"}
            for action in given["ActionNames"]
            for arn in given["ResourceArns"]
        ]
        return checked(service, operation, given, {"EvaluationResults": results})

    def _allows(self, action: str, arn: str) -> bool:
        return allowed([self._policy], Request(action, arn))


@pytest.mark.parametrize(
    ("listed", "described", "missing"),
    [
        ("container-instance/main/*", "task/main/*", set()),
        ("container-instance/other/*", "task/main/*", {"ecs:ListTasks"}),
        ("container-instance/main/*", "task/other/*", {"ecs:DescribeTasks"}),
    ],
)
def test_policy_may_allow_each_action_on_its_own_type_of_resource(
    listed: str, described: str, missing: set[str]
) -> None:
    allows = {"ecs:ListTasks": f"{ECS}:{listed}", "ecs:DescribeTasks": f"{ECS}:{described}"}
    rights = SimulatedPermissions(Evaluating(allows), resources_on_ecs("alb")).missing(USER, ["deploy"])
    assert set(rights.missing) & set(allows) == missing


def test_other_colour_needs_read_permissions_only() -> None:
    """Some roles may change only one colour."""
    ecs, app_runner = Answering(), Answering()
    duties = ["deploy", "promote"]
    SimulatedPermissions(ecs, resources_on_ecs("alb")).missing(USER, duties, Colour.GREEN)
    SimulatedPermissions(app_runner, replace(RESOURCES, services=NAMES)).missing(USER, duties, Colour.GREEN)
    assert {kind: ecs.asked[kind][0] for kind in ("ecs:DescribeServices", "ecs:UpdateService", "iam:PassRole")} == {
        "ecs:DescribeServices": [f"{ECS}:service/main/api-blue", f"{ECS}:service/main/api-green"],
        "ecs:UpdateService": [f"{ECS}:service/main/api-green"],
        "iam:PassRole": ["arn:api-green-execution", "arn:api-green-task"],
    }
    assert app_runner.asked["apprunner:DescribeService"][0] == [f"{APP_RUNNER}/{name}/0" for name in NAMES.values()]
    for changes in ("UpdateService", "StartDeployment", "ResumeService", "PauseService"):
        assert app_runner.asked[f"apprunner:{changes}"][0] == [f"{APP_RUNNER}/api-green/0"]
    assert app_runner.asked["iam:PassRole"][0] == [f"{ROLE}-api-green-access", f"{ROLE}-api-green-instance"]


ACL = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:regional/webacl/colours/{'0' * 8}-0000-0000-0000-{'0' * 12}"
LISTS = {"wafv2:ListResourcesForWebACL": ACL, "apprunner:ListAssociatedServicesForWebAcl": ACL}
ASSOCIATES = ("wafv2:AssociateWebACL", "apprunner:AssociateWebAcl")


@pytest.mark.parametrize(
    ("allows", "missing"),
    [
        ({}, {*LISTS, *ASSOCIATES}),
        (LISTS, set(ASSOCIATES)),
        (LISTS | dict.fromkeys(ASSOCIATES, ACL), set(ASSOCIATES)),
        (LISTS | dict.fromkeys(ASSOCIATES, f"{APP_RUNNER}/api-green/*"), set(ASSOCIATES)),
        (LISTS | dict.fromkeys(ASSOCIATES, "*"), set()),
    ],
)
def test_rights_on_the_web_acl_are_simulated_if_configured(allows: Mapping[str, str], missing: set[str]) -> None:
    """Every deployment reads the list; associating needs the right on the service and on the web ACL."""
    ours = {*LISTS, *ASSOCIATES}
    protected = replace(RESOURCES, services=NAMES, web_acl=ACL)
    rights = SimulatedPermissions(Evaluating(allows), protected).missing(USER, ["deploy"], Colour.GREEN)
    assert set(rights.missing) & ours == missing
    clients = Answering()
    SimulatedPermissions(clients, replace(protected, web_acl=None)).missing(USER, ["deploy"])
    assert not ours & set(clients.asked)


@pytest.mark.parametrize("duties", [["promote"], ["rollback"], ["approve"]])
def test_only_a_deployment_needs_rights_on_the_web_acl(duties: Sequence[str]) -> None:
    clients = Answering()
    SimulatedPermissions(clients, replace(RESOURCES, services=NAMES, web_acl=ACL)).missing(USER, duties)
    assert not {*LISTS, *ASSOCIATES} & set(clients.asked)


def test_alarms_and_health_checks_are_simulated_if_configured() -> None:
    clients = clients_for(Connection("us-east-1", ACCOUNT, credentials=Credentials("key", "secret")))
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
def test_estate_policies_contain_every_action(platform: str, router: str) -> None:
    """This test, not the first deployment, finds a new adapter's call that no role may make."""
    allowed = set(re.findall(r'"([a-z0-9-]+:[A-Za-z]+)"', DUTIES.read_text(encoding="utf-8")))
    assert len(allowed) > 30
    wanted = {action for part in needs([duty.value for duty in Duty], platform, router).values() for action in part}
    assert sorted(wanted - allowed) == []

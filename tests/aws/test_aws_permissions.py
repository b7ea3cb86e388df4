"""Missing rights: what IAM's simulation says, and what is said where it says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from botocore.stub import Stubber

from deployment.access import Duty
from deployment.model import Caller
from infrastructure.aws.permissions import ACTIONS, Resources, SimulatedPermissions
from infrastructure.aws.session import Connection, Credentials, connect

ACCOUNT = "123456789012"
USER = Caller(f"arn:aws:iam::{ACCOUNT}:user/jane", ACCOUNT)
SESSION = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/jane", ACCOUNT)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
RESOURCES = Resources(
    "us-east-1", ACCOUNT, "telehealth-api", "locks", f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/1", ()
)


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
    answer(stubber, ACTIONS["approve"]["lease"])
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


def test_every_duty_has_its_actions() -> None:
    assert set(ACTIONS) == {duty.value for duty in Duty}

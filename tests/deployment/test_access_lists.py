"""Access lists: principals, patterns, role sessions, overrides per environment, and the messages of refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from deployment.access import DEPLOYMENT, RECOVERING, Access, Duty, admit, demand, demand_any, listed, permits
from deployment.errors import NotPermitted, SettingsError
from deployment.model import Caller, Colour, Rights
from deployment.settings import load

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deployer"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/jane@example.com"
USER = f"arn:aws:iam::{ACCOUNT}:user/jane"
HEAD = 'default_environment = "e"\n'
BODY = '[environments.e]\nprovider = "embedded"\n'


@pytest.mark.parametrize(
    ("arn", "principal", "matches"),
    [
        (USER, USER, True),
        (USER, USER + "t", False),
        (USER + "t", USER, False),
        (SESSION, SESSION, True),
        (SESSION, ROLE, True),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:role/ci/eu/deployer", True),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:role/ci/deployer2", False),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:user/deployer", False),
        (SESSION, "arn:aws:iam::210987654321:role/deployer", False),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:role/deploy*", True),
        (SESSION, f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/*@example.com", True),
        (SESSION, f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/john*", False),
        (ROLE, SESSION, False),
        (USER, "*", True),
        (USER, f"arn:aws:iam::{ACCOUNT}:user/jan?", False),
        (USER, f"arn:aws:iam::{ACCOUNT}:user/[j]ane", False),
        (USER, "arn.aws:iam::123456789012:user/jane", False),
    ],
)
def test_principal_matches_caller(arn: str, principal: str, matches: bool) -> None:
    """A role matches its sessions under any path; only ``*`` is a wildcard."""
    assert listed(arn, ["arn:aws:iam::1:user/nobody", principal]) is matches


def test_missing_list_permits_all_and_empty_list_permits_none() -> None:
    access = Access({Duty.PROMOTE: ()}, {Duty.PROMOTE: "access.promote"})
    assert permits(access, Duty.DEPLOY, USER)
    assert not permits(access, Duty.PROMOTE, USER)


def test_environment_overrides_single_lists(tmp_path: Path) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(
        f'{HEAD}[access]\ndeploy = ["{ROLE}"]\nwaive = []\n{BODY}[environments.e.access]\ndeploy = ["{USER}"]\n'
    )
    access = load(file).access
    assert access.lists == {Duty.DEPLOY: (USER,), Duty.WAIVE: ()}
    assert access.places == {Duty.DEPLOY: "environments.e.access.deploy", Duty.WAIVE: "access.waive"}
    assert load(file).estate == {"provider": "embedded"}


@pytest.mark.parametrize("entry", ['"jane"', '"arn:aws:s3:::bucket"', "5"])
def test_invalid_principal_is_refused(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(f"{HEAD}{BODY}[environments.e.access]\ndeploy = [{entry}]\n")
    with pytest.raises(SettingsError, match=r"environments\.e\.access\.deploy"):
        load(file)


def test_an_unknown_duty_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(f'{HEAD}[access]\nroll_back = ["*"]\n{BODY}')
    with pytest.raises(SettingsError, match="did you mean 'rollback'"):
        load(file)


def test_a_refusal_names_caller_duty_and_list() -> None:
    access = Access({Duty.PROMOTE: (USER,)}, {Duty.PROMOTE: "environments.e.access.promote"})
    with pytest.raises(NotPermitted) as refusal:
        demand(access, DEPLOYMENT, Caller(SESSION, ACCOUNT))
    for word in (SESSION, "may not promote", "environments.e.access.promote"):
        assert word in str(refusal.value)


def test_either_duty_is_enough_to_clear_up() -> None:
    places = {Duty.DEPLOY: "access.deploy", Duty.ROLLBACK: "access.rollback"}
    demand_any(Access({Duty.DEPLOY: (), Duty.ROLLBACK: (USER,)}, places), RECOVERING, Caller(USER, ACCOUNT))
    with pytest.raises(NotPermitted, match=r"access\.deploy"):
        demand_any(Access({Duty.DEPLOY: (), Duty.ROLLBACK: ()}, places), RECOVERING, Caller(USER, ACCOUNT))


class FakeRights:
    """Returns the rights that a test sets, and records the questions."""

    def __init__(self, rights: Rights) -> None:
        self.rights = rights
        self.asked: list[tuple[str | None, ...]] = []

    def missing(self, caller: Caller, duties: Sequence[str], target: Colour | None = None) -> Rights:
        assert caller.arn
        self.asked.append((*duties, target))
        return self.rights


def test_missing_aws_rights_are_named() -> None:
    fake = FakeRights(Rights(("dynamodb:UpdateItem", "apprunner:UpdateService")))
    with pytest.raises(NotPermitted, match=r"rights on AWS: dynamodb:UpdateItem, apprunner:UpdateService"):
        admit(Access(), DEPLOYMENT, Caller(USER, ACCOUNT), fake)
    with pytest.raises(NotPermitted, match=r"rights on AWS for green: dynamodb:UpdateItem"):
        admit(Access(), DEPLOYMENT, Caller(USER, ACCOUNT), fake, Colour.GREEN)
    assert fake.asked == [("deploy", "promote", None), ("deploy", "promote", "green")]


def test_rights_are_not_checked_for_a_caller_refused_by_the_lists() -> None:
    fake = FakeRights(Rights())
    with pytest.raises(NotPermitted):
        admit(Access({Duty.DEPLOY: ()}, {Duty.DEPLOY: "access.deploy"}), DEPLOYMENT, Caller(USER, ACCOUNT), fake)
    assert fake.asked == []


def test_unchecked_rights_are_reported_but_do_not_refuse() -> None:
    assert admit(Access(), DEPLOYMENT, Caller(USER, ACCOUNT), FakeRights(Rights((), "denied"))).unchecked == "denied"
    assert admit(Access(), DEPLOYMENT, Caller(USER, ACCOUNT), None).unchecked
    assert admit(Access(), DEPLOYMENT, Caller(USER, ACCOUNT), FakeRights(Rights())).unchecked is None

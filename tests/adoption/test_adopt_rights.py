"""`adopt` only reads, and it needs exactly the rights in docs/adopt.md."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import NotPermitted
from infrastructure.aws.session import Clients, clients_for
from scripts.commands.adoption.adopt import Places, adopt
from scripts.commands.adoption.model import Request
from tests.adoption import bakery
from tests.adoption.bakery import Bakery
from tests.docs.documents import ROOT, document
from tests.permissions.calls import Place
from tests.permissions.enforcement import Enforcement, actions, calls

READS = re.compile(r"[a-z0-9-]+:(Describe|Get|List)[A-Z]\w+")
PLACE = Place("us-east-1", "123456789012", "arn:aws:kms:us-east-1:123456789012:key/1")
ENVIRONMENT = "rights"


def statements() -> Mapping[str, Mapping[str, Any]]:
    """Return the statements of the policy in the document, by their names."""
    (block,) = [one for one in document("docs/adopt.md").blocks() if one.language == "json"]
    return {one["Sid"]: one for one in json.loads(block.text)["Statement"]}


ON_ECS = [action for name in ("Ecs", "Parts") for action in statements()[name]["Action"]]


@pytest.fixture(scope="module")
def estate(clients: Clients) -> Bakery:
    """Return an estate in which nothing is missing, so that every call is made."""
    own = bakery.made(clients)
    bakery.mend(clients, own)
    bakery.complete(clients, own, ENVIRONMENT)
    return own


class Enforced:
    """Runs adopt with rights for some actions; one set of clients, because each takes long to make."""

    def __init__(self, clients: Clients, estate: Bakery, folder: Path) -> None:
        self._statement: dict[str, Any] = {"Effect": "Allow", "Action": [], "Resource": "*"}
        self._log = folder / "calls.jsonl"
        self._clients = clients_for(clients.target)
        policy = {"Version": "2012-10-17", "Statement": [self._statement]}
        Enforcement(PLACE, [policy], self._log).enforce(self._clients)
        self._settings = Path(shutil.copy(ROOT / "deployment.toml", folder))
        self._request = Request(ENVIRONMENT, estate.service, estate.cluster, PLACE.account, PLACE.region)

    def run(self, allowed: Sequence[str]) -> list[str]:
        """Run adopt; return the actions that it needed."""
        self._statement["Action"] = list(allowed)
        self._log.unlink(missing_ok=True)
        assert adopt(self._clients, self._request, Places(self._settings)) == 0
        return actions(calls(self._log))


@pytest.fixture(scope="module")
def enforced(clients: Clients, estate: Bakery, tmp_path_factory: pytest.TempPathFactory) -> Enforced:
    return Enforced(clients, estate, tmp_path_factory.mktemp("enforced"))


def test_every_right_in_the_document_reads() -> None:
    every = [action for one in statements().values() for action in one["Action"]]
    assert len(every) > 15
    assert [action for action in every if not READS.fullmatch(action)] == []
    assert {one["Effect"] for one in statements().values()} == {"Allow"}


def test_adopt_makes_exactly_the_documented_calls(enforced: Enforced) -> None:
    assert enforced.run(ON_ECS) == sorted(ON_ECS)


@pytest.mark.parametrize("action", ON_ECS)
def test_a_missing_right_is_named(action: str, enforced: Enforced) -> None:
    with pytest.raises(NotPermitted, match=rf"may not call {action}\n.*docs/adopt\.md"):
        enforced.run([one for one in ON_ECS if one != action])


def test_nothing_in_aws_changes(clients: Clients, estate: Bakery, enforced: Enforced) -> None:
    """Besides the calls, the estate itself: the same before and after."""

    def state() -> str:
        rules = clients.call("elbv2", "DescribeRules", ListenerArn=estate.listener)["Rules"]
        services = clients.call(
            "ecs", "DescribeServices", cluster=estate.cluster, services=[estate.service, "storefront-green"]
        )["services"]
        tables = clients.call("dynamodb", "ListTables")["TableNames"]
        return json.dumps([rules, services, tables], default=str)

    before = state()
    enforced.run(ON_ECS)
    assert state() == before

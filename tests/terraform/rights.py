"""The permissions of an estate's roles, read from the policies that Terraform made."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.terraform.conftest import Estate


@dataclass(frozen=True)
class Right:
    """One action on one resource, as a policy allows it; ``condition`` is None if there is none."""

    action: str
    resource: str
    condition: str | None


def of_roles(estate: Estate) -> Mapping[str, set[Right]]:
    """Return the permissions of each role, by the role's short name."""
    policies = {values["arn"]: values["policy"] for values in estate.of("aws_iam_policy").values()}
    prefix = "production-telehealth-"
    found: dict[str, set[Right]] = {}
    for values in estate.of("aws_iam_role_policy_attachment").values():
        if values["policy_arn"] in policies:
            role = values["role"].removeprefix(prefix)
            found.setdefault(role, set()).update(_rights(json.loads(policies[values["policy_arn"]])))
    return found


def trust(estate: Estate) -> list[Mapping[str, Any]]:
    """Return the trust statements of the roles; all roles have the same."""
    documents = {
        values["assume_role_policy"]
        for address, values in estate.of("aws_iam_role").items()
        if address.startswith("module.iam.")
    }
    assert len(documents) == 1
    return list(json.loads(documents.pop())["Statement"])


def allows(rights: set[Right], action: str, resource: str) -> bool:
    """Return whether a role may perform the action on the resource, if all conditions are met."""
    return any(
        right.action == action and (resource == right.resource or fnmatch.fnmatchcase(resource, right.resource))
        for right in rights
    )


def _rights(policy: Mapping[str, Any]) -> Iterator[Right]:
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        condition = json.dumps(statement["Condition"]) if "Condition" in statement else None
        for action in _many(statement["Action"]):
            for resource in _many(statement["Resource"]):
                yield Right(action, resource, condition)


def _many(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]

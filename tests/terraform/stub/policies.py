"""``aws_iam_policy_document`` as the real provider renders it: the only data source whose result tests read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LISTS = {"actions": "Action", "not_actions": "NotAction", "resources": "Resource", "not_resources": "NotResource"}
_PRINCIPALS = {"principals": "Principal", "not_principals": "NotPrincipal"}


def render(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the policy that the blocks of a data source describe."""
    statements = [_statement(one) for one in _known(config.get("statement"))]
    return {"Version": config.get("version") or "2012-10-17", "Statement": statements}


def _statement(given: Mapping[str, Any]) -> Mapping[str, Any]:
    statement: dict[str, Any] = {"Effect": given.get("effect") or "Allow"}
    if given.get("sid"):
        statement["Sid"] = given["sid"]
    for key, word in _LISTS.items():
        if values := _known(given.get(key)):
            statement[word] = _one_or_many(sorted(map(str, values)))
    for key, word in _PRINCIPALS.items():
        if found := _known(given.get(key)):
            statement[word] = {one["type"]: _one_or_many(one["identifiers"]) for one in found}
    for one in _known(given.get("condition")):
        statement.setdefault("Condition", {}).setdefault(one["test"], {})[one["variable"]] = _one_or_many(one["values"])
    return statement


def _known(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _one_or_many(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)

"""The evaluation of IAM policies that are attached to a role: action, resource and conditions.

The rules are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html for one account
without boundaries. No kept package on PyPI evaluates conditions: moto's policies compare them only for roles' trust, policyuniverse,
parliament and policy-sentry read policies without a request, and principalmapper does not import on Python 3.11.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One action on one resource, with the values of the condition keys that AWS gives to the evaluation."""

    action: str
    resource: str = "*"
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def allowed(policies: Iterable[Policy], request: Request) -> bool:
    """Return whether the policies allow the request: one statement allows it, and none denies it.

    Raises ValueError for an element or an operator that this evaluation does not know.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in _many(policy["Statement"])
        if _matches(statement, request)
    }
    return effects == {"Allow"}


def _matches(statement: Mapping[str, Any], request: Request) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"elements that are not evaluated: {sorted(unknown)}")
    return (
        any(_like(request.action.lower(), pattern.lower()) for pattern in _many(statement["Action"]))
        and any(_like(request.resource, pattern) for pattern in _many(statement["Resource"]))
        and all(
            _holds(operator, request.context.get(key.lower(), ()), _many(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, found: Sequence[str], wanted: Sequence[str]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    plain = name.removesuffix("IfExists")
    if plain != name and not found:
        return True
    compare = _OPERATORS.get(plain)
    if compare is None or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise ValueError(f"condition operator {operator} is not evaluated")
    hits = [any(compare(value, one) for one in wanted) for value in found]
    if quantifier == "ForAllValues":
        return all(hits)  # also if the request has no such key
    return any(hits)


def _like(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(text, re.sub(r"([\[\]])", r"[\1]", pattern))


def _arn_like(text: str, pattern: str) -> bool:
    """Compare two ARNs part by part: a wildcard does not reach over a colon."""
    parts, patterns = text.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(_like, parts, patterns))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}


def _many(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]

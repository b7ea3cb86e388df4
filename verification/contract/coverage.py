"""Compares the contract's documented answers with those that a run received: ``GET /orders/{id} 404``, and of which check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from verification.contract.openapi import Contract


def documented(contract: Contract) -> list[str]:
    """Return every documented answer: method, path and status, ``4XX`` or ``default``, with blanks between them."""
    return [f"{one.method} {one.path} {status}" for one in contract.operations for status in sorted(one.answers)]


def answer_of(contract: Contract, method: str, path: str, status: int) -> str | None:
    """Return the documented answer that fits an answer, None if the contract does not have it.

    ``path`` is the path as it was sent, without the query.
    """
    operation = contract.operation_for(method, path)
    key = operation.key_of(status) if operation is not None else None
    return f"{operation.method} {operation.path} {key}" if operation is not None and key is not None else None


def demanded(answers: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """Return the answers that patterns demand. ``*`` stands for any text; ``!`` before a pattern takes answers away again.

    Raises ValueError for a pattern that fits no documented answer.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        fitting = [one for one in answers if fnmatchcase(one, pattern.removeprefix("!").strip().replace("[", "[[]"))]
        if not fitting:
            raise ValueError(
                f"{pattern!r} fits no answer that the contract documents: write METHOD PATH STATUS, such as "
                f"{next(iter(answers), 'GET /health 200')!r}, with * for any text"
            )
        for one in fitting:
            if pattern.startswith("!"):
                found.pop(one, None)
            else:
                found[one] = None
    return [one for one in answers if one in found]


def missing(answers: Sequence[str], patterns: Iterable[str], met: Mapping[str, Any]) -> list[str]:
    """Return the demanded answers that no check met. Raises ValueError as ``demanded`` does."""
    return [one for one in demanded(answers, patterns) if not met.get(one)]

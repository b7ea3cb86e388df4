"""Requests whose answers are not compared with the contract, because it has no such operation."""

from __future__ import annotations

import difflib
import re

import httpx

from verification.contract.openapi import Contract, Operation
from verification.contract.servers import normal
from verification.contract.templates import PARAMETER, pattern

_HOLE = re.compile(r"\$\{[^{}]*\}")
BEGINS = "not compared with the contract: "
HOW = "correct the request or the contract, or write `contract: false` into its expect"


def uncompared(contract: Contract, request: httpx.Request, shown: str) -> str | None:
    """Return a sentence if the contract has no operation for a request that was sent, else None.

    The sentence has the path ``shown`` instead of the one that was sent; it may have placeholders and a query.
    """
    if contract.operation_of(request) is not None:
        return None
    return said(contract, request.method, shown.partition("?")[0])


def said(contract: Contract, method: str, path: str) -> str:
    """Return the sentence about a request that is no operation of the contract."""
    return f"{BEGINS}{method} {path} is none of its operations{nearest(contract, method, path)}; {HOW}"


def may_be_compared(contract: Contract, method: str, path: str) -> bool:
    """Return whether the contract may have the operation of a request; a placeholder ``${…}`` in its path may have any value."""
    if not path.startswith("/"):
        return True  # the placeholder stands for a whole path
    if contract.operation_for(method, _HOLE.sub("0", path)) is not None:
        return True
    return "${" in path and any(
        _may_be(contract, one, path) for one in contract.operations if one.method == method.upper()
    )


def _may_be(contract: Contract, operation: Operation, path: str) -> bool:
    """Return whether the placeholders of a path can have values with which it is this operation's."""
    template = operation.path.split("/")[1:]
    asked = path.split("/")
    head, tail = asked[: -len(template)], asked[-len(template) :]
    filled = [
        wanted if _HOLE.search(given) and not PARAMETER.search(wanted) else _HOLE.sub("0", given)
        for given, wanted in zip(tail, template, strict=False)
    ]
    if len(tail) < len(template) or not re.fullmatch(pattern(operation.path), normal("/" + "/".join(filled))):
        return False
    prefix = "/".join(head)  # a server of the contract may have it, or the address of the service
    return (
        bool(_HOLE.search(prefix)) or contract.operation_for(operation.method, "/".join([prefix, *filled])) is not None
    )


def nearest(contract: Contract, method: str, path: str) -> str:
    """Return the operation that was probably meant, as ``; nearest: GET /orders``; empty if the contract has none.

    The contract keeps the answer: a gate may send the same request a thousand times, and the search takes milliseconds.
    """
    found = contract.nearest.get((method, path))
    if found is None:
        found = contract.nearest[method, path] = _nearest(contract, method, path)
    return found


def _nearest(contract: Contract, method: str, path: str) -> str:
    # The operation whose path the request ends with is the best hint: only the path of a server before it differs.
    ends = [one for one in contract.operations if one.method == method.upper() and _ends_with(path, one)]
    names = {PARAMETER.sub("0", name): name for one in ends or contract.operations for name in [_name(one)]}
    asked = f"{method.upper()} {_HOLE.sub('0', path).rstrip('/') or '/'}"
    found = difflib.get_close_matches(asked, names, n=1, cutoff=0.0)
    return f"; nearest: {names[found[0]]}" if found else ""


def _ends_with(path: str, operation: Operation) -> bool:
    return re.fullmatch(".*" + pattern(operation.path), normal(_HOLE.sub("0", path))) is not None


def _name(operation: Operation) -> str:
    """Return method and template of an operation, with the path of its first server before it."""
    servers = operation.pattern.pattern.removesuffix(pattern(operation.path))
    if not servers.startswith("(?:") or servers == operation.pattern.pattern:
        return f"{operation.method} {operation.path}"
    first = servers.removeprefix("(?:").removesuffix(")").split("|")[0]
    server = re.sub(r"\\(.)", r"\1", first.replace("[^/]+", "*"))
    return f"{operation.method} {server}{operation.path}"

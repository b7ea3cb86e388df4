"""Asks what a declared check asks, and judges the answer: every mismatch is said, with got, expected and how to see it again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from verification.contract.openapi import Contract, ContractViolation, explain, show
from verification.declarative.checks import DeclaredCheck, fill, spelt
from verification.declarative.placeholder_rules import nearest
from verification.http.client import curl_for
from verification.redaction.redactor import is_secret_name


class CheckFailed(AssertionError):
    """An answer that is not what a file of checks expects."""


def ask(
    client: httpx.Client, check: DeclaredCheck, parameters: Mapping[str, Any], headers: Mapping[str, str]
) -> httpx.Response:
    """Sends the check's request, with its own headers before those of the session. Raises CheckFailed where no answer came."""
    request = fill(dict(check.request), parameters)
    sent: dict[str, Any] = {
        "headers": {**headers, **{name: spelt(value) for name, value in request.get("headers", {}).items()}}
    }
    if "json" in request:
        sent["json"] = request["json"]
    elif "body" in request:
        sent["content"] = spelt(request["body"])
    if "query" in request:
        sent["params"] = {name: spelt(value) for name, value in request["query"].items()}
    try:
        return client.request(request["method"], request["path"], **sent)
    except httpx.TransportError as error:
        asked = f"{request['method']} {request['path']}"
        raise CheckFailed(f"{check.place}: {asked}: no answer ({type(error).__name__}: {error})") from None


def judge(check: DeclaredCheck, response: httpx.Response, contract: Contract, parameters: Mapping[str, Any]) -> None:
    """Raises CheckFailed with everything that is not as expected."""
    expect = fill(dict(check.expect), parameters)
    wrong = list(_mismatches(expect, response, contract))
    if not wrong:
        return
    request = response.request
    begin = f"{check.place}: {request.method} {request.url.raw_path.decode()}"
    raise CheckFailed("\n".join([*(f"{begin}: {one}" for one in wrong), f"  again:    {curl_for(request)}"]))


def statuses(expect: Mapping[str, Any]) -> list[int]:
    """The statuses that are expected, of a filled ``expect``."""
    wanted = expect["status"]
    return list(wanted) if isinstance(wanted, list) else [int(wanted)]


def _mismatches(expect: Mapping[str, Any], response: httpx.Response, contract: Contract) -> Iterator[str]:
    if response.status_code not in statuses(expect):
        yield f"status {response.status_code}, expected {' or '.join(map(str, statuses(expect)))}"
    elapsed = response.elapsed.total_seconds() * 1000
    if elapsed > expect.get("within_ms", elapsed):
        yield f"answered in {elapsed:.0f} ms, expected within {expect['within_ms']:g} ms"
    for name, wanted in expect.get("headers", {}).items():
        yield from _header(name, wanted, response.headers.get(name))
    yield from _documented(expect, response, contract)
    if "schema" not in expect and "body" not in expect:
        return
    try:
        value = response.json()
    except ValueError:
        yield f"a body that is not JSON: {show(response.text)}, expected JSON"
        return
    if "body" in expect:
        yield from _differs(expect["body"], value, "$")
    if "schema" in expect:
        yield from _unfit(expect["schema"], value, contract)


def _header(name: str, wanted: Any, got: str | None) -> Iterator[str]:
    shown = "missing" if got is None else show(got)
    if wanted is None:
        if got is not None:
            yield f"header {name} is {shown}, expected none"
    elif isinstance(wanted, dict):
        if got is None or not re.search(wanted["matches"], got):
            yield f"header {name} is {shown}, expected what matches {wanted['matches']}"
    elif got != wanted:
        yield f"header {name} is {shown}, expected {wanted}"


def _documented(expect: Mapping[str, Any], response: httpx.Response, contract: Contract) -> Iterator[str]:
    known = contract.operation_of(response.request) is not None
    if not known or not expect.get("contract", True):
        return
    try:
        contract.check(response)
    except ContractViolation as violation:
        # The last line is the command, which stands at the end once.
        first, *lines = str(violation).splitlines()
        yield f"not as the contract has it: {first}; {'; '.join(' '.join(line.split()) for line in lines[:-1])}"


def _differs(wanted: Any, got: Any, where: str) -> Iterator[str]:
    """What is expected must be there; what else an object has is not looked at."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, inner in wanted.items():
            at = f"{where}.{key}"
            if key not in got:
                yield f"{at} is missing, expected {_value(inner, key)}{nearest(key, map(str, got))}"
            elif is_secret_name(key):
                if got[key] != inner:
                    yield f"{at} is not what was expected (hidden)"
            else:
                yield from _differs(inner, got[key], at)
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _differs(one, other, f"{where}[{number}]")
    elif (type(wanted) is not type(got) and not _numbers(wanted, got)) or wanted != got:
        yield f"{where} is {show(got)}, expected {show(wanted)}"


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _value(wanted: Any, key: str) -> str:
    return "(hidden)" if is_secret_name(key) else show(wanted)


def _unfit(schema: Any, value: Any, contract: Contract) -> Iterator[str]:
    if isinstance(schema, str):
        try:
            contract.validate(schema, value)
        except KeyError as unknown:
            yield f"{unknown.args[0]}{nearest(schema, contract.schemas)}"
        except ContractViolation as violation:
            yield "; ".join(" ".join(line.split()) for line in str(violation).splitlines())
        return
    checker = Draft202012Validator.FORMAT_CHECKER
    error = best_match(Draft202012Validator(schema, format_checker=checker).iter_errors(value))
    if error is not None:
        got, expected = explain(error)
        yield f"{error.json_path} is {got}, expected {expected}"

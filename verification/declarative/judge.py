"""Sends the requests of a declared check and judges the answers: each mismatch is named, with got, expected and a command to repeat it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from verification.contract.openapi import Contract, ContractViolation, explain
from verification.contract.uncompared import uncompared
from verification.declarative import inline_schemas
from verification.declarative.checks import ONE_STEP, Case, DeclaredCheck, DeclaredStep
from verification.declarative.placeholder_rules import nearest
from verification.http.client import Received, curl_for
from verification.http.cookies import ask_alone
from verification.http.json_body import json_value
from verification.http.pool import Stopped, Turn
from verification.http.text_body import text_of
from verification.journeys.expectations import NOT_JSON, NotCaptured, capturable, capture, problems, show
from verification.journeys.model import Expectation
from verification.journeys.patterns import PatternTooSlow
from verification.journeys.placeholders import UnknownPlaceholder, Values
from verification.journeys.player import Prepared, prepare
from verification.redaction.redactor import is_secret_name

_ACCEPT = {"Accept": "*/*"}
_STOPPED = "not asked, because the run was stopped"


class CheckFailed(AssertionError):
    """An answer that differs from the expectation in a file of checks."""


def _ignore(name: str, response: httpx.Response, expect: Expectation) -> None:
    del name, response, expect


def _silent(warning: str) -> None:
    del warning


@dataclass(frozen=True)
class Asker:
    """Plays the steps of a case against one address.

    ``session`` holds the headers of the session, ``second`` those of the second account's. ``answered`` is called with the step's name, each step's last answer and its
    expectation. ``turn`` paces the requests. ``warn`` is called with a sentence about each request that the contract does not have.
    """

    client: httpx.Client
    contract: Contract | None = None
    session: Mapping[str, str] = field(default_factory=dict, repr=False)
    answered: Callable[[str, httpx.Response, Expectation], None] = _ignore
    turn: Turn = field(default_factory=Turn)
    second: Mapping[str, str] = field(default_factory=dict, repr=False)
    warn: Callable[[str], None] = _silent

    def play(self, check: DeclaredCheck, case: Case, values: Values) -> list[httpx.Response]:
        """Send every step and return the answers. Raise CheckFailed at the first unexpected one.

        The ``undo`` steps are always sent, also if a signal ends the check.
        """
        problem: CheckFailed | None = None
        answers: list[httpx.Response] = []
        try:
            problem = self._steps(check, case, values, answers)
        finally:
            undone = self._undo(check, case, values)
        if (problem := problem or undone) is not None:
            raise problem
        return answers

    def _steps(
        self, check: DeclaredCheck, case: Case, values: Values, answers: list[httpx.Response]
    ) -> CheckFailed | None:
        """Send the steps and add their answers; return the first problem."""
        for number, step in enumerate(case.steps):
            try:
                answers.append(self._ask(check, step, values))
            except CheckFailed as failure:
                left = [one.step.name for one in case.steps[number + 1 :]]
                return CheckFailed(f"{failure}\n  not asked: {', '.join(left)}") if left else failure
        return None

    def _undo(self, check: DeclaredCheck, case: Case, values: Values) -> CheckFailed | None:
        """Send the steps that remove what the check wrote; return the first problem."""
        problem: CheckFailed | None = None
        for step in case.undo:
            try:
                self._ask(check, step, values, undo=True)
            except UnknownPlaceholder:
                continue  # the step that captures the value was not sent or failed, so there is nothing to remove
            except CheckFailed as failure:
                problem = problem or failure
        return problem

    def _ask(
        self, check: DeclaredCheck, declared: DeclaredStep, values: Values, *, undo: bool = False
    ) -> httpx.Response:
        try:
            session = self.second if declared.second else self.session
            prepared = prepare(declared.step, values, {**_ACCEPT, **session}, undoing=undo)
        except OSError as error:
            raise CheckFailed(f"{check.file}:{declared.line}: a file cannot be read: {error.strerror}") from None
        begin = f"{check.file}:{declared.line}: {_named(declared)}{prepared.method} {prepared.path}"
        response, wrong = self._until(declared, prepared, begin, undo=undo)
        self.answered(declared.step.name, response, prepared.expect)
        if self.contract is not None and prepared.expect.contract:
            warning = uncompared(self.contract, response.request, declared.step.request.path)
            if warning is not None:
                self.warn(warning)
        if not wrong:
            try:
                values.learn(capture(declared.step.capture, Received(response)))
            except NotCaptured as error:
                wrong = [str(error)]
        if wrong:
            values.learn(capturable(declared.step.capture, Received(response)))
            again = f"  again:    {curl_for(response.request)}"
            raise CheckFailed("\n".join([*(f"{begin}: {one}" for one in wrong), again]))
        return response

    def _until(
        self, declared: DeclaredStep, prepared: Prepared, begin: str, *, undo: bool
    ) -> tuple[httpx.Response, list[str]]:
        """Send the request, repeatedly if the check has ``until``, and return the last answer and its mistakes."""
        started, asked = self.turn.now(), 0
        while True:
            asked += 1
            response = self._send(declared, prepared, begin, undo=undo)
            wrong = list(_mismatches(prepared.expect, response, self.contract))
            until = declared.until
            if not wrong or until is None:
                return response, wrong
            if self.turn.now() - started + until.every_s > until.within_s:
                return response, [f"{one}, {asked} times in {until.within_s:g} s" for one in wrong]
            self.turn.sleep(until.every_s, undo=undo)

    def _send(self, declared: DeclaredStep, prepared: Prepared, begin: str, *, undo: bool) -> httpx.Response:
        if self.turn.cancelled and not undo:
            raise CheckFailed(f"{begin}: {_STOPPED}")
        try:
            with self.turn.slot(undo=undo):
                if declared.second:  # without the cookies of the first account
                    return ask_alone(self.client, prepared.method, prepared.path, prepared.headers, prepared.body)
                return self.client.request(
                    prepared.method, prepared.path, headers=dict(prepared.headers), content=prepared.body
                )
        except Stopped:
            raise CheckFailed(f"{begin}: {_STOPPED}") from None
        except (httpx.TransportError, UnicodeError) as error:
            raise CheckFailed(f"{begin}: no answer ({type(error).__name__}: {error})") from None


def _named(declared: DeclaredStep) -> str:
    return "" if declared.step.name == ONE_STEP else f"step {declared.step.name!r}: "


def differences(
    check: DeclaredCheck, candidate: Sequence[httpx.Response], live: Sequence[httpx.Response]
) -> Iterator[str]:
    """Yield the differences between both colours' answers to the same requests, except those that the check allows."""
    for one, other in zip(candidate, live, strict=True):
        begin = f"{check.place}: {one.request.method} {one.request.url.raw_path.decode()}: the colours differ: "
        if one.status_code != other.status_code:
            yield f"{begin}status {one.status_code} on the candidate, {other.status_code} on live"
            continue
        try:
            bodies = [_comparable(response, check.differ) for response in (one, other)]
        except PatternTooSlow as slow:  # of match() or search() in a path of `differ`
            yield f"{begin}{slow}"
            continue
        for path in check.differ:
            if not any(path in selected for _, selected in bodies):
                yield f"{begin}differ names {path}, which neither answer has"
        yield from (f"{begin}{what}" for what in _unequal(bodies[0][0], bodies[1][0], "$"))


def _comparable(response: httpx.Response, differ: Sequence[str]) -> tuple[Any, set[str]]:
    """Return the JSON body without the parts that may differ, and the paths that selected something; the text if it is not JSON."""
    try:
        document = json_value(response.content)
    except ValueError:
        return text_of(response), set()
    if not differ:
        return document, set()
    from verification.journeys.json_paths import without

    return without(differ, document)


def _unequal(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other:
                yield f"{where}.{key} is only on {'live' if key not in one else 'the candidate'}"
            elif is_secret_name(key):
                if one[key] != other[key]:
                    yield f"{where}.{key} (hidden)"
            else:
                yield from _unequal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _unequal(first, second, f"{where}[{number}]")
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield f"{where} is {_kind(one)} on the candidate, {_kind(other)} on live"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    return f"an array of {len(value)}" if isinstance(value, list) else show(value)


def _mismatches(expect: Expectation, response: httpx.Response, contract: Contract | None) -> Iterator[str]:
    for problem in problems(expect, Received(response)):
        yield f"{NOT_JSON}: {show(text_of(response))}" if problem == NOT_JSON else problem
    elapsed = response.elapsed.total_seconds() * 1000
    if expect.within_ms is not None and elapsed > expect.within_ms:
        yield f"answered in {elapsed:.0f} ms, expected within {expect.within_ms:g} ms"
    if contract is not None:
        yield from _documented(expect, response, contract)
    if expect.schema is None:
        return
    try:
        value = json_value(response.content)
    except ValueError:
        if not expect.has_body and not expect.json:  # these have reported it already
            yield f"{NOT_JSON}: {show(text_of(response))}"
        return
    yield from _unfit(expect.schema, value, contract)


def _documented(expect: Expectation, response: httpx.Response, contract: Contract) -> Iterator[str]:
    known = contract.operation_of(response.request) is not None
    if not known or not expect.contract:
        return
    try:
        contract.check(response)
    except ContractViolation as violation:
        # The last line is the command, which is printed once at the end.
        first, *lines = str(violation).splitlines()
        yield f"not as the contract has it: {first}; {'; '.join(' '.join(line.split()) for line in lines[:-1])}"


def _unfit(schema: Any, value: Any, contract: Contract | None) -> Iterator[str]:
    if isinstance(schema, str):
        if contract is None:
            yield f"the schema {schema!r} is unknown, because suites/service.yaml names no contract"
            return
        try:
            contract.validate(schema, value)
        except KeyError as unknown:
            yield f"{unknown.args[0]}{nearest(schema, contract.schemas)}"
        except ContractViolation as violation:
            yield "; ".join(" ".join(line.split()) for line in str(violation).splitlines())
        return
    try:
        error = inline_schemas.error(schema, value)
    except PatternTooSlow as slow:
        yield str(slow)
        return
    if error is not None:
        got, expected = explain(error)
        yield f"{error.json_path} is {got}, expected {expected}"

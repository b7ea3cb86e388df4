"""What checks in YAML need of the project and of the process's environment, and how to remove what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

import httpx

from verification.contract.openapi import Contract
from verification.contract.uncompared import may_be_compared, said
from verification.contract.uncompared import nearest as nearest_operation
from verification.declarative.checks import DeclaredCheck
from verification.declarative.placeholder_rules import nearest
from verification.http.cookies import ask_alone
from verification.journeys.model import Service, Session, Step
from verification.journeys.placeholders import SHORTEST_SECRET, variable
from verification.redaction.redactor import is_secret_name

_NOT_SENT = ("cookie", "idempotency-key")
"""Headers of a POST that its clean-up does not send again: the client has the newest cookies, and the key belongs to one request."""


def names_a_schema(checks: Sequence[DeclaredCheck]) -> bool:
    """Return whether a check names a schema of the contract."""
    cases = (case for check in checks for case in check.cases[:1])
    return any(isinstance(one.step.expect.schema, str) for case in cases for one in (*case.steps, *case.undo))


def unknown_sessions(checks: Sequence[DeclaredCheck], known: Mapping[str, Session]) -> Iterator[str]:
    """Yield the checks whose session the description does not have, or whose session is the same for each account."""
    first = next((one for one in known.values() if one.kind != "none"), None)
    for check in checks:
        if check.signed_in and first is None:
            yield f"{check.place}: check {check.name!r} has signed_in, but suites/service.yaml describes no session"
        session = first if check.session is None else known.get(check.session)
        if check.needs_second and session is not None and not session.needs_account:
            yield (
                f"{check.place}: check {check.name!r} has a step with account: second, but session {session.name!r} is "
                "opened without an account; write a check for each session"
            )
        if check.session is not None and check.session not in known:
            hint = nearest(check.session, known) or f"; there are {', '.join(known) or 'none'}"
            yield f"{check.place}: suites/service.yaml has no session {check.session!r} for check {check.name!r}{hint}"


def uncompared_checks(checks: Sequence[DeclaredCheck], contract: Contract) -> Iterator[str]:
    """Yield a sentence for each request of the checks that is no operation of the contract, unless it has ``contract: false``."""
    for check in checks:
        steps = [one.step for case in check.cases for one in (*case.steps, *case.undo)]
        yield from (f"{check.place}: {said(contract, *_asked(step))}" for step in _outside(steps, contract))


def uncompared_parts(service: Service, contract: Contract) -> Iterator[str]:
    """Yield the same for each request of the description that is compared: of health, dependencies and journeys."""
    for part, steps in _parts(service):
        yield from (f"{part}, {step.name}: {said(contract, *_asked(step))}" for step in _outside(steps, contract))


def undescribed(service: Service, contract: Contract, base: str = "") -> tuple[str, str] | None:
    """Return a part of the description of which the contract has no request at all, and one of its requests with the nearest operation.

    The part is the whole description or a journey; a journey that only asks for the health or a dependency may be outside.
    ``base`` is the path of the address that is asked, without a slash at its end. None: no such part.
    """
    # Only an answer says which operation a path from a captured value is.
    parts = [
        (part, [step for step in steps if step.expect.contract and step.request.path.startswith("/")])
        for part, steps in _parts(service)
    ]
    every = [step for _, steps in parts for step in steps]
    asked_alone = {str(step.request) for step in (service.health.step, *filter(None, service.dependencies.values()))}
    for part, steps in [("the description", every), *parts]:
        apart = part == "the description" or not {str(step.request) for step in steps} <= asked_alone
        if steps and apart and len(list(_outside(steps, contract, base))) == len(steps):
            method, path = _asked(steps[0])
            return part, f"{method} {path}{nearest_operation(contract, method, base + path)}"
    return None


def _parts(service: Service) -> Iterator[tuple[str, Sequence[Step]]]:
    """Yield the parts of a description whose answers are compared with the contract, each with its requests."""
    yield "health", [service.health.step]
    yield from ((f"dependency {name}", [step]) for name, step in service.dependencies.items() if step is not None)
    yield from ((f"journey {one.name}", [*one.steps, *one.undo]) for one in service.journeys)


def _outside(steps: Sequence[Step], contract: Contract, base: str = "") -> Iterator[Step]:
    for step in steps:
        method, path = _asked(step)
        if step.expect.contract and not may_be_compared(contract, method, base + path if path[0] == "/" else path):
            yield step


def _asked(step: Step) -> tuple[str, str]:
    return step.request.method, step.request.path.partition("?")[0]


def unusable_variables(
    checks: Sequence[DeclaredCheck],
    environment: Mapping[str, str],
    learn: Callable[[str], None],
    named: Collection[str] = (),
) -> Iterator[str]:
    """Call ``learn``, which redacts, with the variables that the checks use; yield those that are not set, or too short to be redacted.

    ``named`` are the secrets that the settings name; their values are read and redacted later, before the first request.
    """
    for check in checks:
        for name in check.variables:
            if (problem := unusable(name, environment, learn, named)) is not None:
                yield f"{check.place}: ${{{name}}} in check {check.name!r} {problem}"


def unusable(
    name: str, environment: Mapping[str, str], learn: Callable[[str], None], named: Collection[str]
) -> str | None:
    """Return why ``secret.NAME`` or ``env.NAME`` cannot be used, as the end of a sentence; else call ``learn`` and return None."""
    own, secret = variable(name) or "", name.startswith("secret.")
    value = environment.get(own)
    if value is None:
        if secret and own in named:
            return None
        return f"has no value; set the variable {own}" + (", or name the secret in the environment's settings" * secret)
    if secret and len(value) < SHORTEST_SECRET:
        return (
            f"cannot be used: the variable {own} is too short to be redacted; "
            f"a secret has at least {SHORTEST_SECRET} characters"
        )
    learn(value)
    return None


def clean_up(
    client: httpx.Client,
    contract: Contract,
    response: httpx.Response,
    session: Mapping[str, str],
    second: Mapping[str, str] | None = None,
) -> None:
    """Delete the resource that a POST created, if the contract has ``DELETE`` for its path and the ``id`` in the answer.

    ``session`` and ``second`` hold the headers of the sessions of both accounts: the one that sent the POST deletes. The
    answer is not judged.
    """
    request = response.request
    if request.method != "POST" or not response.is_success:
        return
    try:
        made = response.json() if "json" in response.headers.get("content-type", "") else None
    except (ValueError, RecursionError):
        return  # the check itself says that the body is not JSON
    made_id = made.get("id") if isinstance(made, dict) else None
    if isinstance(made_id, bool) or not isinstance(made_id, str | int):
        return
    path = f"{request.url.path}/{made_id}"
    if contract.operation_for("DELETE", path) is None:
        return
    is_second = bool(second) and all(request.headers.get(name) == value for name, value in (second or {}).items())
    headers = dict(httpx.Headers(dict((second or {}) if is_second else session)))
    # A request can have credentials of its own, without a session or instead of those of its session.
    headers |= {
        name: value for name, value in request.headers.items() if is_secret_name(name) and name not in _NOT_SENT
    }
    with suppress(httpx.TransportError):  # the answer is not judged, and neither is a missing one
        if is_second:
            ask_alone(client, "DELETE", path, headers, None)  # without the cookies of the first account
        else:
            client.delete(path, headers=headers)

"""``suites/service.yaml``: read, validated against its JSON Schema, and turned into a ``Service``."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from verification.contract.openapi import Contract
from verification.declarative import placeholder_rules, rules
from verification.declarative.files import Folder, UnusableFile
from verification.declarative.issuers import filled_mistakes, issuer_mistakes, issuer_of
from verification.declarative.source import InvalidChecks, Source, read
from verification.declarative.source import Step as Key
from verification.declarative.vocabulary import expectation_of, request_of
from verification.declarative.wording import expected, expected_text
from verification.journeys.expectations import is_query
from verification.journeys.issuers import token_form
from verification.journeys.model import (
    COGNITO,
    OAUTH2,
    Expectation,
    Health,
    Issuer,
    Journey,
    Request,
    Service,
    Session,
    Step,
    Sweep,
)
from verification.journeys.placeholders import MADE, NAME, holes, is_builtin, names_in, variable

SCHEMA_FILE = Path(__file__).with_name("service.schema.json")
FILE = "service.yaml"
NONE = "none"
FOLDERS = ("project", "shared")
"""Placeholders of ``environment``: the project's folder, and one that all instances of the embedded service share."""
_OK = Expectation((200,))
_SIGNS_IN = ("bearer", "cookie")
_NEARLY = 0.8
_USERS = ("basic", "api-key", "bearer", "cookie", OAUTH2, COGNITO)
_BELONGS: Mapping[str, Sequence[str]] = {
    "key": ("api-key",),
    "header": ("api-key",),
    "sign_out": _USERS,
    "token": tuple(kind for kind in _USERS if kind != "basic"),
    "username": ("basic", COGNITO),
    "password": ("basic", COGNITO),
    "token_url": (OAUTH2,),
    "client_id": (OAUTH2, COGNITO),
    "client_secret": (OAUTH2, COGNITO),
    "authentication": (OAUTH2,),
    "scope": (OAUTH2,),
    "region": (COGNITO,),
    "endpoint": (COGNITO,),
    "use": (COGNITO,),
}
"""The kinds of session that have a key."""
_ALLOWED_OF_ACCOUNT = ("account.email", "account.password")


class InvalidService(InvalidChecks):
    """A description that cannot be used: file, line, what was wrong, what to write instead; a line for each mistake."""


def load_service(path: Path, shown: str) -> Service:
    """Return the service that a file describes; messages call the file ``shown``.

    The contract's path is relative to the file. Raises InvalidService with every mistake, OSError.
    """
    try:
        source = read(path, shown)
    except InvalidChecks as error:
        hint = "; put a text with such a character in quotes" if "but got" in str(error) else ""
        raise InvalidService(f"{error}{hint}") from None
    mistakes = [_explain(source, error) for error in _errors(source.value)]
    folder = Folder.of(path)
    mistakes = mistakes or [*_mistakes(source), *_missing_files(source, folder)]
    if mistakes:
        raise InvalidService("\n".join(dict.fromkeys(mistakes)))
    contract = _contract(source, path)
    if misspelt := list(_private_fields(source, contract)):
        raise InvalidService("\n".join(misspelt))
    service = _service(source.value, contract, folder)
    if contract is not None and service.signed_in is None:
        secured = [one for one in contract.operations if one.secured]
        if secured:
            what = f"sessions are none, but {len(secured)} operations of the contract have security, among them "
            raise InvalidService(source.error(["sessions"], what + f"{secured[0].method} {secured[0].path}"))
    return service


def _contract(source: Source, path: Path) -> Contract | None:
    name = source.value.get("contract")
    if name is None:
        return None
    try:
        return Contract.load(path.parent / name)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValueError as error:
        problem = " ".join(str(error).split())
    raise InvalidService(source.error(["contract"], f"the contract {name} cannot be used: {problem}"))


# -- from YAML to the model ------------------------------------------------------------------------------------------------


def _service(raw: Mapping[str, Any], contract: Contract | None, folder: Folder) -> Service:
    build = _Builder(contract, folder)
    dependencies = _declared(raw["dependencies"])
    return Service(
        name=raw["service"],
        repository=raw.get("repository", raw["service"]),
        contract=raw.get("contract"),
        health=Health(build.step("health", raw["health"]), _version(raw["health"].get("version", "$.version"))),
        dependencies={
            name: None if (asked := dependencies.get(name, NONE)) == NONE else build.step(name, asked)
            for name in ("database", "redis")
        },
        sessions={name: build.session(name, one) for name, one in _declared(raw["sessions"]).items()},
        journeys=tuple(build.journey(name, one) for name, one in raw["journeys"].items()),
        stores=raw.get("stores", {}),
        environment=raw.get("environment", {}),
        private_fields=tuple(raw.get("private_fields", ())),
    )


def _declared(value: Any) -> Mapping[str, Any]:
    return {} if value == NONE else value


def _version(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return f"header {value['header']}"
    return None if value == NONE else str(value)


class _Builder:
    """Builds the parts of a service; the contract names its operations, and ``folder`` has the files that requests send."""

    def __init__(self, contract: Contract | None, folder: Folder) -> None:
        self._contract = contract
        self._folder = folder

    def step(self, name: str, raw: Mapping[str, Any]) -> Step:
        request = request_of(raw["request"], lambda name: str(self._folder.find(name)))
        expect = expectation_of(raw["expect"]) if "expect" in raw else _OK
        operation = self._operation(request)
        return Step(name, operation, request, expect, raw.get("capture", {}), bool(raw.get("private", False)))

    def session(self, name: str, raw: Mapping[str, Any]) -> Session:
        sign_in, token = raw.get("sign_in"), raw.get("token", {})
        session = Session(
            name,
            raw["kind"],
            sign_in=sign_in and self.step("sign in", sign_in),
            sign_out=self.step("sign out", raw["sign_out"]) if "sign_out" in raw else None,
            token=sign_in and sign_in.get("token"),
            expires_in=sign_in and sign_in.get("expires_in"),
            header=raw.get("header", "Authorization"),
            username=raw.get("username", "${account.email}"),
            password=raw.get("key", raw.get("password", "${account.password}")),
            token_format=token.get("format"),
            algorithm=token.get("algorithm"),
        )
        return session if (issuer := issuer_of(raw)) is None else self._issued(session, issuer)

    def _issued(self, session: Session, issuer: Issuer) -> Session:
        """Return a session with its issuer; if that is the service, the request for a token is a sign-in."""
        if issuer.elsewhere:
            return replace(session, issuer=issuer)
        request = Request("POST", issuer.url, body_kind="form", body=token_form(issuer))
        sign_in = Step("sign in", self._operation(request), request, _OK)
        return replace(session, issuer=issuer, sign_in=sign_in, token="$.access_token", expires_in="$.expires_in")  # noqa: S106 - a place

    def journey(self, name: str, raw: Mapping[str, Any]) -> Journey:
        sweep = raw.get("sweep")
        return Journey(
            name,
            tuple(self.step(one["name"], one) for one in raw["steps"]),
            tuple(self.step(one["name"], one) for one in raw.get("undo", ())),
            raw.get("as"),
            raw.get("weight", 1),
            raw.get("live", False),
            sweep
            and Sweep(
                self.step("sweep", {"request": sweep["request"]}), sweep["items"], sweep["where"], sweep["capture"]
            ),
        )

    def _operation(self, request: Request) -> str:
        path = request.path.partition("?")[0]
        if self._contract is not None:
            found = self._contract.operation_for(request.method, re.sub(r"\$\{[^}]*\}", "0", path))
            if found is not None:
                return found.operation_id
        return f"{request.method} {path}"


# -- what is wrong with a file ---------------------------------------------------------------------------------------------


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _errors(value: Any) -> list[ValidationError]:
    return sorted(_validator().iter_errors(value), key=lambda error: [str(key) for key in error.absolute_path])


def _explain(source: Source, error: ValidationError) -> str:
    while error.validator == "oneOf" and error.context:
        # "none" or an object: if the value is an object, report the mistake inside it.
        inner = _inner(error)
        if inner is None or not isinstance(error.instance, Mapping):
            kinds = (
                "'none', or an object" if any(one.validator == "const" for one in error.context) else "another value"
            )
            return source.error(
                list(error.absolute_path), f"{_shown(error.instance)} is not allowed{_where(error)}: expected {kinds}"
            )
        error = inner
    path: list[Key] = list(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = schema.get("properties", {})
        unknown = [str(key) for key in error.instance if key not in known]
        return "\n".join(
            source.error([*path, key], f"unknown key {key!r}{_where(error)}{_nearest(key, known)}") for key in unknown
        )
    if error.validator == "required":
        return source.error(path, f"{error.message.replace(' is a required property', ' is missing')}{_where(error)}")
    return source.error(path, f"{_shown(error.instance)} is not allowed{_where(error)}: {_rule(error)}")


def _inner(error: ValidationError) -> ValidationError | None:
    """Return the mistake in the alternative that has the value's own type."""
    fits = [one for one in error.context if one.validator not in ("const", "type") or len(one.relative_path)]
    found: ValidationError | None = best_match(fits)
    return found


def _where(error: ValidationError) -> str:
    parts = ".".join(str(key) for key in error.absolute_path)
    return f" in {parts}" if parts else ""


def _rule(error: ValidationError) -> str:
    last = str(error.absolute_path[-1]) if error.absolute_path else ""
    if error.validator == "type":
        kinds: Any = error.validator_value
        return expected(last, kinds, error.instance)
    if error.validator == "pattern" and (wanted := expected_text(last, error.instance)) is not None:
        return wanted
    if error.validator in ("minItems", "minProperties", "minLength"):
        return "it must not be empty"
    if error.validator == "enum":
        allowed = [str(one) for one in error.schema["enum"]] if isinstance(error.schema, Mapping) else []
        return f"expected one of {', '.join(allowed)}{_nearest(str(error.instance), allowed, listed=False)}"
    return str(error.message)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _nearest(word: str, known: Iterable[str], *, listed: bool = True) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if listed else ""


def _mistakes(source: Source) -> Iterator[str]:
    """Yield the mistakes that a schema cannot express."""
    raw = source.value
    sessions = _declared(raw["sessions"])
    yield from _requests(source, ["health"], raw["health"], set(), account=False)
    version = raw["health"].get("version", NONE)
    if isinstance(version, str) and version != NONE and not is_query(version):
        what = f"{version!r} does not say where the version is: write $.field, {{header: NAME}} or none"
        yield source.error(["health", "version"], what)
    for name, one in _declared(raw["dependencies"]).items():
        if one != NONE:
            yield from _requests(source, ["dependencies", name], one, set(), account=False)
    for name, one in sessions.items():
        yield from _session_mistakes(source, ["sessions", name], one)
    for name, value in raw.get("environment", {}).items():
        for hole in sorted(set(holes(value)) - set(FOLDERS)):
            hint = f"here are {' and '.join(f'${{{one}}}' for one in FOLDERS)}"
            yield source.error(["environment", name], f"${{{hole}}} has no value here; {hint}")
    for name, one in raw["journeys"].items():
        yield from _journey_mistakes(source, ["journeys", name], one, sessions)


def _session_mistakes(source: Source, path: list[Key], raw: Mapping[str, Any]) -> Iterator[str]:
    kind = raw["kind"]
    if kind in _SIGNS_IN and "sign_in" not in raw:
        yield source.error(path, f"a session of kind {kind} needs sign_in: the request that opens it")
    if kind not in _SIGNS_IN and "sign_in" in raw:
        yield source.error([*path, "sign_in"], f"a session of kind {kind} has no sign_in")
    if kind == "bearer" and "sign_in" in raw and "token" not in raw["sign_in"]:
        yield source.error(
            [*path, "sign_in"], "sign_in lacks token: where the token is in the answer, such as $.access_token"
        )
    for key, kinds in _BELONGS.items():
        if key in raw and kind not in kinds:
            belongs = " or ".join(kinds)
            yield source.error([*path, key], f"{key} belongs to a session of kind {belongs}, this one is {kind}")
    yield from (source.error([*path, *at], what) for at, what in (*issuer_mistakes(raw), *filled_mistakes(raw)))
    for key in ("token", "expires_in"):
        if key in raw.get("sign_in", {}) and not is_query(raw["sign_in"][key]):
            yield source.error([*path, "sign_in", key], _no_query(raw["sign_in"][key]))
    for key in ("sign_in", "sign_out"):
        if key in raw:
            yield from _requests(source, [*path, key], raw[key], set(), account=True)


def _journey_mistakes(
    source: Source, path: list[Key], raw: Mapping[str, Any], sessions: Mapping[str, Any]
) -> Iterator[str]:
    name = raw.get("as")
    if name is not None and name not in sessions:
        yield source.error([*path, "as"], f"there is no session {name!r}{_nearest(name, sessions)}")
    captured: dict[str, list[Key]] = {}
    used: set[str] = set()
    names: set[str] = set()
    for part in ("steps", "undo"):
        for number, step in enumerate(raw.get(part, ())):
            at: list[Key] = [*path, part, number]
            if step["name"] in names:
                yield source.error([*at, "name"], f"two steps are named {step['name']!r}")
            names.add(step["name"])
            yield from _requests(source, at, step, set(captured), account=name is not None)
            used |= names_in(step["request"]) | names_in(step.get("expect", {}))
            for key, query in step.get("capture", {}).items():
                if not is_query(query):
                    yield source.error([*at, "capture", key], _no_query(query))
                if is_builtin(key) or not NAME.fullmatch(key):
                    yield source.error(
                        [*at, "capture", key], f"{key!r} cannot be captured: the name has a meaning of its own"
                    )
                captured.setdefault(key, [*at, "capture", key])
    yield from (
        source.error(
            at, f"nothing uses the captured value {key!r}; use ${{{key}}} in a later step, or delete the capture"
        )
        for key, at in captured.items()
        if key not in used
    )
    if any(request_of(step["request"], str).writes for step in raw["steps"]) and raw.get("live") and "undo" not in raw:
        yield source.error(
            path, "a journey with live: true writes on the live service for as long as a deployment runs; it needs undo"
        )
    yield from _private_mistakes(source, path, raw, name is not None and sessions.get(name, {}).get("kind") != NONE)
    if "sweep" in raw:
        yield from _sweep_mistakes(source, [*path, "sweep"], raw, set(captured))


def _private_mistakes(source: Source, path: list[Key], raw: Mapping[str, Any], has_user: bool) -> Iterator[str]:
    """Yield the steps whose ``private`` would never be asked."""
    for part in ("steps", "undo"):
        for number, step in enumerate(raw.get(part, ())):
            if step.get("private") and part == "undo":
                what = "private has no effect in undo; write it in the step that reads the data"
                yield source.error([*path, part, number, "private"], what)
            elif step.get("private") and not has_user:
                what = "private needs a session, which tells its user from others; write as: SESSION in the journey"
                yield source.error([*path, part, number, "private"], what)


def _sweep_mistakes(source: Source, path: list[Key], raw: Mapping[str, Any], captured: set[str]) -> Iterator[str]:
    sweep = raw["sweep"]
    yield from _requests(source, path, sweep, set(), account="as" in raw)
    if "marker" not in names_in(sweep["where"]):
        yield source.error(
            [*path, "where"], "where must name ${marker}: it is what tells this run's entries from all others"
        )
    for at, query in (("items", sweep["items"]), *((f"capture {key}", one) for key, one in sweep["capture"].items())):
        if not is_query(query) or not query.startswith("$"):
            yield source.error([*path, *at.split(" ")], f"{query!r} is not a place in the body: write $.items or $.id")
    if "undo" not in raw:
        yield source.error(path, "sweep has no effect without undo, which removes the entries that it finds")
        return
    made = {key for step in raw["undo"] for key in step.get("capture", {})}
    needed = {name for step in raw["undo"] for name in names_in(step["request"])} & captured - made
    for key in sorted(sweep["capture"].keys() - needed):
        yield source.error([*path, "capture", key], f"undo does not use the value {key!r}{_nearest(key, needed)}")
    for key in sorted(needed - sweep["capture"].keys()):
        yield source.error([*path, "capture"], f"sweep must capture {key!r}, which undo uses")


def _private_fields(source: Source, contract: Contract | None) -> Iterator[str]:
    """Yield the private fields that nothing has, if a field has nearly the same name: redaction would miss that one."""
    named = source.value.get("private_fields", ())
    known = set(_keys(source.value)) | (contract.fields if contract is not None else set())
    for number, name in enumerate(named):
        close = [] if name in known else difflib.get_close_matches(name, known - set(named), n=1, cutoff=_NEARLY)
        if close:
            what = f"neither the contract nor a request has a field {name!r}; did you mean {close[0]!r}?"
            yield source.error(["private_fields", number], what)


def _keys(value: Any) -> Iterator[str]:
    """Yield the keys of all objects in the bodies of requests and expectations."""
    for key, inner in (
        value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else ())
    ):
        if key in ("json", "body", "form", "multipart"):
            yield from _all_keys(inner)
        else:
            yield from _keys(inner)


def _all_keys(value: Any) -> Iterator[str]:
    for key, inner in (
        value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else ())
    ):
        if isinstance(key, str):
            yield key
        yield from _all_keys(inner)


def _requests(
    source: Source, path: list[Key], raw: Mapping[str, Any], captured: set[str], *, account: bool
) -> Iterator[str]:
    """Yield the mistakes of a request and of the expectation of its answer."""
    for part in ("request", "expect"):
        for name in sorted(names_in(raw.get(part, {}))):
            at = [*path, part]
            if name.startswith("account."):
                if not account:
                    yield source.error(at, f"${{{name}}} needs a session: this request has none")
                elif name not in _ALLOWED_OF_ACCOUNT:
                    yield source.error(at, f"${{{name}}} is unknown{_nearest(name, _ALLOWED_OF_ACCOUNT)}")
            elif name not in captured and not is_builtin(name) and variable(name) is None:
                if (what := placeholder_rules.of_time(name)) is not None:
                    yield source.error(at, what)
                    continue
                known = [*sorted(captured), *sorted(MADE), "now", "now+30d"]
                yield source.error(
                    at,
                    f"${{{name}}} has no value here; captured before: {', '.join(sorted(captured)) or 'nothing'}{_nearest(name, known, listed=False)}",
                )
    texts = [text for part in ("request", "expect") for text in placeholder_rules.texts(raw.get(part, {}), (part,))]
    found = [*rules.in_request(raw["request"]), *rules.in_expectation(raw.get("expect", {}))]
    yield from (
        source.error([*path, *at], what) for at, what in [*found, *placeholder_rules.malformed(texts, captured)]
    )


def _missing_files(source: Source, folder: Folder) -> Iterator[str]:
    """Yield the files that a request sends and that cannot be used."""
    for path, request in _all_requests(source.value, []):
        try:
            request_of(request, lambda name: str(folder.find(name)))
        except UnusableFile as error:
            yield source.error([*path, "request"], str(error))


def _all_requests(value: Any, path: list[Key]) -> Iterator[tuple[list[Key], Mapping[str, Any]]]:
    """Yield every request that is an object, and the path to the object around it."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else ())
    for key, inner in parts:
        if key == "request" and isinstance(inner, Mapping):
            yield path, inner
        elif key not in ("json", "body"):
            yield from _all_requests(inner, [*path, key])


def _no_query(value: str) -> str:
    return f"{value!r} does not say where the value is: write $.field, $.items[0].id or 'header NAME'"

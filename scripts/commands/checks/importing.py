"""``import``: turns recorded requests into checks in YAML, without the secrets in them."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from deployment.errors import Refused
from deployment.project import Project
from deployment.settings import Settings
from infrastructure.description import contract_of, service_of
from scripts.commands.checks import recordings, writing
from scripts.commands.checks.new_check import place
from scripts.commands.checks.recordings import Recorded
from scripts.commands.checks.secrets_out import Secrets
from verification.contract.openapi import Contract
from verification.declarative.source import DEEPEST
from verification.journeys.model import Service
from verification.redaction.redactor import is_secret_name

KINDS: Mapping[str, Callable[[str], list[Recorded]]] = {
    "curl": recordings.from_curl,
    "har": recordings.from_har,
    "postman": recordings.from_postman,
}
LARGEST = 200_000_000
_COVERED = {
    "bearer": "authorization",
    "basic": "authorization",
    "cookie": "cookie",
    "oauth2-client-credentials": "authorization",
    "cognito": "authorization",
}
# Headers of the client and of the connection; the check's own client has its own.
_DROPPED = re.compile(
    r":.*|host|user-agent|accept-encoding|accept-language|connection|content-length|origin|referer|sec-.*|pragma|cache-control|dnt"
    r"|priority|te|upgrade-insecure-requests|if-none-match|if-modified-since|postman-token|traceparent|tracestate|x-forwarded-.*"
)
_MOST_LEVELS = DEEPEST - 10
"""A deeper body in JSON is written as a text: a file of checks has a limit, and some levels around the body."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 _.,'()/-]+")
_OWN_ID = re.compile(r"/(?:\d+|[0-9a-fA-F-]{32,36})(?=/|$)")
_POSTMAN = re.compile(r"\{\{([^{}]+)\}\}")


@dataclass
class _Notes:
    """What the command prints after the file is written."""

    change: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)


def run(settings: Settings, kind: str, text: str, to: str) -> int:
    """Write the recorded requests as checks to ``suites/GATE/FILE.yaml``, name what was taken out, and return 0. Raises Refused."""
    file, shown = _target(settings.project, to)
    writing.refuse_existing(file, shown)
    service, contract = service_of(settings), contract_of(settings)
    if len(text) > LARGEST:
        raise Refused(f"the recording has {len(text):,} letters; the limit is {LARGEST:,}")
    found = KINDS[kind](text)
    notes = _Notes()
    kept = _of_one_origin(found, notes)
    secrets = Secrets()
    build = _Builder(service, contract, secrets, notes)
    checks = _unique(secrets.everywhere([build.check(one) for one in kept]))
    schemas = () if contract is None else contract.schemas
    if writing.mistakes(checks, shown, schemas):  # find those that the format cannot say
        checks = [one for one in checks if not _refused(one, shown, schemas, notes)]
    if not checks:
        raise Refused("no request is left to import", hint="\n  ".join(notes.left_out) or None)
    writing.write(file, shown, checks)
    _report(shown, checks, secrets, notes)
    return 0


def _target(project: Project, to: str) -> tuple[Path, str]:
    parts = Path(to).parts
    if len(parts) != 3 or parts[0] != project.suites.name or not to.endswith(".yaml"):
        raise Refused(f"--to must be a file of a gate such as suites/endpoints/recorded.yaml, got {to!r}")
    file, _ = place(project, parts[1], parts[2].removesuffix(".yaml"))
    return file, f"suites/{parts[1]}/{parts[2]}"


def _of_one_origin(found: Sequence[Recorded], notes: _Notes) -> list[Recorded]:
    """Return the requests to the address that was asked most; checks name no address."""
    usable = [one for one in found if one.left_out is None]
    notes.left_out += [f"{_shown(one)}: {one.left_out}" for one in found if one.left_out is not None]
    count = Counter(recordings.origin(one.url) for one in usable)
    if len(count) > 1:
        first = count.most_common(1)[0][0]
        others = {origin: number for origin, number in count.items() if origin != first}
        notes.left_out += [f"{number} requests to {origin}: another address" for origin, number in others.items()]
        usable = [one for one in usable if recordings.origin(one.url) == first]
    return usable


def _shown(one: Recorded) -> str:
    return f"{one.method} {_parts(one.url)[0]}"


def _parts(url: str) -> tuple[str, str]:
    """Return path and query of an address; a Postman variable at its begin is the origin."""
    variable = _POSTMAN.match(url)
    parts = urlsplit(f"http://x/{url[variable.end() :].lstrip('/')}" if variable else url)
    return unquote(parts.path) or "/", parts.query


class _Builder:
    """Turns one recorded request into a check."""

    def __init__(self, service: Service, contract: Contract | None, secrets: Secrets, notes: _Notes) -> None:
        self._service = service
        self._contract = contract
        self._secrets = secrets
        self._notes = notes

    def check(self, one: Recorded) -> dict[str, Any]:
        """Return the check; its secrets are placeholders."""
        path, query = _parts(one.url)
        where = f"{one.method} {path}"
        segments = [self._secrets.value("path", part, f"path of {one.method} request") for part in path.split("/")]
        path = self._variables("/".join(map(str, segments)))
        request: dict[str, Any] = {"method": one.method, "path": path.replace(" ", "%20")}
        where = f"{one.method} {path}"
        pairs = [
            (key, self._text(key, value, f"query of {where}"))
            for key, value in parse_qsl(query, keep_blank_values=True)
        ]
        if pairs and len(dict(pairs)) == len(pairs):
            request["query"] = dict(pairs)
        elif pairs:  # a name that stands twice
            request["path"] += "?" + "&".join(f"{key}={value}" for key, value in pairs)
        headers, signed_in = self._headers(one, where)
        body = self._body(one, where)
        kind = (one.header("content-type") or "").split(";")[0].strip()
        own = {
            "json": "application/json",
            "form": "application/x-www-form-urlencoded",
            "multipart": "multipart/form-data",
        }
        if body and own.get(next(iter(body))) == kind:
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        if headers:
            request["headers"] = headers
        request.update(body)
        name = self._secrets.everywhere(one.name or where)
        name = re.sub(r"\$\{[^{}]*\}", "", str(name))
        name = " ".join(_NOT_IN_NAMES.sub(" ", name).split()).lstrip("_.,'()/- ")[:100] or one.method
        status = one.status or self._status(one, name)
        if 200 <= status < 300 and _OWN_ID.search(path):
            self._notes.change.append(f"{name!r}: the path holds an id of the recording")
        check: dict[str, Any] = {"name": name}
        if signed_in:
            check["signed_in"] = True
        simple = set(request) == {"method", "path"}
        check["request"] = f"{one.method} {request['path']}" if simple else request
        check["expect"] = {"status": status}
        return check

    def _headers(self, one: Recorded, where: str) -> tuple[dict[str, str], bool]:
        """Return the headers that matter, and whether the session of the service replaces one of them."""
        session = self._service.signed_in
        covered = None if session is None else _COVERED.get(session.kind, session.header.lower())
        headers: dict[str, str] = {}
        signed_in = bool(urlsplit(one.url).username) and covered == "authorization"
        for name, value in one.headers:
            if name.lower() == covered:
                signed_in = True
            elif not _DROPPED.fullmatch(name.lower()) and not (name.lower() == "accept" and value == "*/*"):
                headers[name] = self._text(name, value, f"header {name} of {where}")
        return headers, signed_in

    def _text(self, name: str, value: str, place_: str) -> str:
        return self._variables(str(self._secrets.value(name, value, place_)))

    def _variables(self, text: str) -> str:
        """Return a text whose Postman variables without a value are placeholders; one with the name of a secret is one."""

        def placeholder(hole: re.Match[str]) -> str:
            name = re.sub(r"\W+", "_", hole[1].strip().lstrip("$"), flags=re.ASCII).upper()
            kind = "secret" if is_secret_name(hole[1].strip()) else "env"
            self._notes.variables.add(f"{kind}.{name}")
            return f"${{{kind}.{name}}}"

        return _POSTMAN.sub(placeholder, text)

    def _body(self, one: Recorded, where: str) -> dict[str, Any]:
        place_ = f"body of {where}"
        if one.form:
            return {"multipart": {name: self._text(name, value, place_) for name, value in one.form}}
        if not one.text:
            return {}
        kind = (one.header("content-type") or "").split(";")[0].strip()
        # curl names a body of -d a form, also one in JSON, whose secrets have names of their own.
        if kind == "application/x-www-form-urlencoded" and not one.text.lstrip().startswith(("{", "[")):
            pairs = parse_qsl(one.text, keep_blank_values=True)
            if pairs and len(dict(pairs)) == len(pairs):
                return {"form": {name: self._text(name, value, place_) for name, value in pairs}}
        try:
            value = json.loads(one.text)
            too_deep = _levels(value) > _MOST_LEVELS
        except (ValueError, RecursionError):
            too_deep = True
        if too_deep:
            return {"body": self._variables(self._secrets.text(one.text, place_))}
        if kind.endswith("json"):
            return {"json": self._everywhere(self._secrets.value("", value, place_))}
        hidden = self._secrets.value("", value, place_)
        return {"body": one.text if hidden == value else json.dumps(hidden)}

    def _everywhere(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._everywhere(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._everywhere(inner) for inner in value]
        return self._variables(value) if isinstance(value, str) else value

    def _status(self, one: Recorded, name: str) -> int:
        """Return the documented status of success of a request whose answer was not recorded."""
        operation = None if self._contract is None else self._contract.operation_for(one.method, _parts(one.url)[0])
        good = [] if operation is None else sorted(status for status in operation.statuses if status < 300)
        if not good:
            self._notes.change.append(f"{name!r}: the recording has no answer; the draft expects 200")
        return good[0] if good else 200


def _levels(value: Any) -> int:
    """Return how many levels of objects and arrays a JSON value has, without recursion."""
    levels, inside = 0, [value]
    while inside := [one for one in inside if isinstance(one, Mapping | list)]:
        levels += 1
        inside = [inner for one in inside for inner in (one.values() if isinstance(one, Mapping) else one)]
    return levels


def _unique(checks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the checks without repeated ones, each with a name of its own."""
    kept: dict[str, dict[str, Any]] = {}
    for check in checks:
        name = check["name"]
        for number in range(2, len(checks) + 2):
            if check["name"] not in kept or kept[check["name"]] == check:
                break
            check = {**check, "name": f"{name} {number}"}
        kept[check["name"]] = check
    return list(kept.values())


def _refused(check: Mapping[str, Any], shown: str, schemas: Sequence[str], notes: _Notes) -> bool:
    found = writing.mistakes([check], shown, schemas)
    if found:
        notes.left_out.append(f"{check['name']!r}: {found[0].partition(': ')[2]}")
    return bool(found)


def _report(shown: str, checks: Sequence[Mapping[str, Any]], secrets: Secrets, notes: _Notes) -> None:
    click.echo(f"wrote {shown}: {len(checks)} check{'' if len(checks) == 1 else 's'}")
    sessions = sum("signed_in" in one for one in checks)
    if sessions:
        click.echo(f"  {sessions} use signed_in instead of the recorded credentials")
    for name, places in secrets.places.items():
        click.echo(f"  taken out, set the variable {name}: {', '.join(places)}")
    for name in sorted(notes.variables):
        click.echo(f"  set the variable {name.partition('.')[2]}: a variable of the collection without a value")
    for text in dict.fromkeys(notes.change):
        click.echo(f"  change {text}")
    for text in notes.left_out:
        click.echo(f"  left out: {text}")
    click.echo(f"next: python scripts/deploy.py check {shlex.quote(shown)}")

"""``new-check``: writes a small check in YAML, with the request of an operation of the contract if one is named."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deployment.errors import Refused
from deployment.project import Project
from deployment.settings import Settings
from infrastructure.description import contract_of, service_of
from scripts.commands.checks import writing
from scripts.drafts.document import Document, Operation, read_document
from scripts.drafts.journeys import body_of
from scripts.drafts.values import Body
from verification.declarative.placeholder_rules import nearest
from verification.journeys.model import Service
from verification.journeys.placeholders import Values

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
GATES = ("health", "database", "redis", "auth", "endpoints", "latency", "load", "live")
"""The gates that every service has, with or without a folder."""
_VARIABLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class _Draft:
    """A check, and the parts of it that its author must change."""

    check: dict[str, Any]
    change: tuple[str, ...] = ()


def run(settings: Settings, gate: str, name: str, operation: str | None) -> int:
    """Write ``suites/GATE/NAME.yaml`` with one check, print what to do next, and return 0. Raises Refused."""
    name = name.removesuffix(".yaml")
    file, is_new = place(settings.project, gate, name)
    shown = f"suites/{gate}/{name}.yaml"
    writing.refuse_existing(file, shown)
    service = service_of(settings)
    title = re.sub(r"[_-]+", " ", name)
    if operation is None:
        request, statuses = service.health.step.request, service.health.step.expect.statuses
        draft = _Draft({"name": title, "request": str(request), "expect": {"status": statuses[0]}})
    else:
        draft = _from_contract(settings, service, operation, title)
    contract = contract_of(settings)
    wrong = writing.mistakes([draft.check], shown, () if contract is None else contract.schemas)
    writing.write(file, shown, [draft.check])
    click.echo(f"wrote {shown}")
    if is_new:
        click.echo(f"suites/{gate} is a new gate: it is required from the next run on (docs/settings.md)")
    for text in [*(f"change {one}" for one in draft.change), *wrong]:
        click.echo(f"  {text}")
    click.echo(f"next: python scripts/deploy.py check {shlex.quote(f'{shown}::{title}')}")
    return 0


def place(project: Project, gate: str, name: str) -> tuple[Path, bool]:
    """Return the file of a new check, and whether its gate is new. Raises Refused for a name that cannot be used."""
    for word, what in ((gate, "a gate"), (name, "a file of checks")):
        if not NAME.fullmatch(word):
            raise Refused(f"{word!r} cannot name {what}: use small letters, digits, _ and -")
    folders = [one.name for one in project.suites.iterdir() if one.is_dir() and NAME.fullmatch(one.name)]
    is_new = gate not in folders and gate not in GATES
    close = nearest(gate, {*folders, *GATES}) if is_new else ""
    if close:
        hint = f"For a new gate of that name, make its folder first: mkdir suites/{gate}"
        raise Refused(f"there is no gate {gate!r}{close}", hint=hint)
    return project.suites / gate / f"{name}.yaml", is_new


def _from_contract(settings: Settings, service: Service, wanted: str, title: str) -> _Draft:
    if service.contract is None:
        raise Refused("suites/service.yaml names no contract, so there is no operation", hint="Omit --operation.")
    document = read_document(settings.service_file.parent / service.contract)
    known = {str(one.raw.get("operationId") or one): one for one in document.operations}
    found = known.get(wanted) or next((one for one in document.operations if str(one) == wanted), None)
    if found is None:
        raise Refused(
            f"the contract has no operation {wanted!r}{nearest(wanted, known)}",
            hint=f"It has {', '.join(list(known)[:20])}{' …' if len(known) > 20 else ''}.",
        )
    return _drafted(document, service, found, title)


def _drafted(document: Document, service: Service, operation: Operation, title: str) -> _Draft:
    change: list[str] = []
    check: dict[str, Any] = {"name": title}
    if document.security(operation) is not None and service.signed_in is not None:
        check["signed_in"] = True
    request: dict[str, Any] = {"method": operation.method}
    values = {one["name"]: _value(document, one) for one in operation.parameters if one.get("required")}
    # "id" would name the set of parameters in reports.
    names = {name: "key" if name == "id" else re.sub(r"\W", "_", name) for name in operation.variables}
    request["path"] = _VARIABLE.sub(lambda hole: f"${{{names[hole[1]]}}}", operation.path)
    if names:
        check["parameters"] = [{names[name]: values.get(name, name) for name in names}]
        change.append(f"{', '.join(names.values())} in parameters: the draft has an example")
    for place_, key in (("query", "query"), ("header", "headers")):
        wanted = [one["name"] for one in operation.parameters if one.get("required") and one.get("in") == place_]
        if wanted:
            texts = {name: values[name] for name in wanted}
            request[key] = {name: str(one) for name, one in texts.items()} if key == "headers" else texts
    body, key, unknown = body_of(document, operation)
    if body is not None:
        request[key] = body.value
    change += [text.removeprefix("journeys: ") for text in unknown]
    simple = set(request) == {"method", "path"}
    check["request"] = f"{operation.method} {request['path']}" if simple else request
    check["expect"] = {"status": document.success(operation)[0]}
    return _Draft(check, tuple(change))


def _value(document: Document, parameter: Any) -> Any:
    """Return an example of a parameter: a text, a number or a boolean."""
    if isinstance(parameter.get("example"), str | int | float):
        return parameter["example"]
    made = Body(document, document.flat(document.resolve(parameter.get("schema", {})))).value
    made = Values(None, "smoke check").fill(made)  # no placeholder is filled inside of a parameter
    return made if isinstance(made, str | int | float) else str(made)

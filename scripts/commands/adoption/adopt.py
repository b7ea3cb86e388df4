"""``adopt``: reads an existing estate, prints what it lacks for blue/green, and writes the environment's settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deployment.errors import CloudDenied, NotPermitted, Refused
from deployment.files import replace_file
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.session import Clients
from scripts.commands import configure
from scripts.commands.adoption import apprunner, ecs, hcl
from scripts.commands.adoption.model import Adoption, Finding, Request

MISSING = 1
_OF_OTHER_PAIRS = ("key_value_store_arn", "hosted_zone_id", "record_name", "set_identifiers", "resolvers")
_OF_ECS = ("cluster", "target_groups", "colour_urls", "rehearsal_hosts", "listener_rule_arn", "listener_arn")


@dataclass(frozen=True)
class Places:
    """The files to write: the settings, and the Terraform (None: it is printed); ``replace`` allows to change a table."""

    settings_file: Path
    terraform: Path | None = None
    replace: bool = False


def adopt(clients: Clients, request: Request, places: Places) -> int:
    """Print the findings and write the files; return 0 if nothing is missing, else 1.

    Only reads from AWS. Raises Refused, NotPermitted, CloudError, and then has written nothing.
    """
    platform = apprunner if request.cluster is None else ecs
    found = platform.adopt(Reader(clients), request)
    terraform = _terraform(found, request, places.terraform)
    write = [*_prepared_terraform(terraform, places.terraform), *_prepared_settings(found, request, places)]
    for line in _report(found):
        click.echo(line)
    if terraform and places.terraform is None:
        click.echo(f"\n# Terraform for the missing parts, for a folder and a state of its own:\n\n{terraform}")
    for action in write:
        click.echo(action())
    _say_next(found, request)
    return MISSING if found.findings else 0


def _terraform(found: Adoption, request: Request, place: Path | None) -> str:
    modules = [module for finding in found.findings for module in finding.modules]
    if not modules:
        return ""
    folder = Path().absolute() if place is None else place.absolute().parent
    return hcl.render(hcl.Configuration(request.account, request.region, modules, found.variables), folder)


def _prepared_terraform(text: str, place: Path | None) -> Iterator[Callable[[], str]]:
    """Yield the writing of the Terraform. Raises Refused if the file has other content."""
    if not text or place is None:
        return
    if place.exists():
        if _read(place) != text:
            raise Refused(
                f"{place} exists, with other content: without its parts, Terraform would destroy what it made from them",
                hint="Name a new file with --terraform FILE, such as one beside it.",
            )
        yield lambda: f"{place} is up to date"
        return
    if not place.absolute().parent.is_dir():
        raise Refused(f"{place} cannot be written: its folder does not exist", hint="Create the folder first.")
    yield lambda: _written(place, text, f"written: {place}")


def _prepared_settings(found: Adoption, request: Request, places: Places) -> Iterator[Callable[[], str]]:
    """Yield the writing of the settings. Raises Refused if the table exists with other values, or would be unusable."""
    if found.settings is None:
        yield (
            lambda: (
                f"not written: [environments.{request.environment}] names parts that do not exist yet; "
                "call adopt again after `terraform apply`"
            )
        )
        return
    path = places.settings_file
    before = _read(path)
    removable = _OF_OTHER_PAIRS if found.settings["platform"] == "ecs" else (*_OF_OTHER_PAIRS[1:], *_OF_ECS)
    after = configure.changed(before, request.environment, found.settings, removable)
    if after == before:
        yield lambda: f"{path.name} is up to date"
        return
    configure.require_valid(after, path, request.environment)
    _, _, *lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    if any(line.startswith("-") for line in lines) and not places.replace:
        raise Refused(
            f"[environments.{request.environment}] of {path.name} exists with other values:\n  "
            + "\n  ".join(line for line in lines if line.startswith(("+", "-"))),
            hint="Write it under another name with --environment, or call adopt again with --replace.",
        )
    yield lambda: _written(path, after, f"written: [environments.{request.environment}] in {path.name}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {error}") from None


def _written(path: Path, text: str, said: str) -> str:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        replace_file(path, text, mode=mode)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
    return said


def _report(found: Adoption) -> Iterator[str]:
    yield found.found
    made = [one for one in found.findings if one.modules]
    changed = [one for one in found.findings if not one.modules]
    if not found.findings:
        yield "nothing is missing"
    if made:
        yield "missing, and made by modules of this project:"
        yield from _lines(made)
    if changed:
        yield "to change at the place that owns it:"
        yield from _lines(changed)
    yield from (f"note: {note}" for note in found.notes)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(one.part) for one in findings)
    for one in findings:
        modules = ", ".join(module.module for module in one.modules)
        yield f"  {one.part.ljust(width)}  {one.found}" + (f" (module {modules})" if modules else "")
        if one.change:
            yield f"  {' ' * width}  -> {one.change}"


def _say_next(found: Adoption, request: Request) -> None:
    if found.settings is not None and not found.findings:
        click.echo(f"next: python -m pytest --target=auto --environment {request.environment} --plan")


def account_of(clients: Clients) -> str:
    """Return the account of the credentials. Raises NotPermitted if AWS refuses them, CloudError if it does not answer."""
    try:
        return StsIdentity(clients).caller().account
    except CloudDenied as error:
        raise NotPermitted(f"AWS refuses the credentials: {error.message}", hint=error.hint) from error


def values_of(settings: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """Return region and profile of an environment that exists already; None for each that it does not name."""
    environments = settings.get("environments")
    own = environments.get(name) if isinstance(environments, dict) else None
    found = [own.get(key) if isinstance(own, dict) else None for key in ("region", "profile")]
    region, profile = (value if isinstance(value, str) else None for value in found)
    return region, profile

"""``init``: writes a project folder for another service, and prints what it could not know."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from deployment.errors import Refused
from deployment.project import FRAMEWORK, Project
from scripts.drafts.asking import ask
from scripts.drafts.document import Document, read_document
from scripts.drafts.service import Draft, draft, health_paths
from verification.declarative.service import InvalidService, load_service

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
FILES = {
    "conftest.py": "conftest.py.txt",
    "pytest.ini": "pytest.ini.txt",
    "deployment.toml": "deployment.toml.txt",
    ".gitignore": "gitignore.txt",
    "scripts/deploy.py": "deploy.py.txt",
    ".github/workflows/deploy.yml": "workflow.yml.txt",
    "suites/service.yaml": "service.yaml.txt",
}
"""The files of a project, each with its template."""
ONE_LINE = ("request", "expect", "capture")
SCHEMA = "verification/declarative/service.schema.json"
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9][0-9a-fA-FxXoO_.:+-]*")
"""A text that a reader of YAML may read as a number, such as a phone number: it is written in quotes."""
VERSION_CONTROL = {".git"}
"""The names that the folder may already contain."""


@dataclass(frozen=True)
class Given:
    """What the user gave: the new folder, the service's OpenAPI document, and the URL of a running instance."""

    folder: Path
    contract: Path | None = None
    url: str | None = None


def init(given: Given) -> int:
    """Write the project folder print the parts that a person must check, and return 0.

    Raises Refused, with nothing written, if the folder is not empty, or if the document or the service cannot be read.
    """
    folder = given.folder.resolve()
    _refuse_occupied(folder)
    document = None if given.contract is None else read_document(given.contract)
    name = _name(document.title if document is not None else "", folder)
    contract = None if document is None else f"contract/{_copies(document)[document.files[0]].as_posix()}"
    asked = None if given.url is None else ask(given.url, [one.path for one in health_paths(document)])
    drafted = draft(name, document, contract, asked)
    if given.url is not None and asked is None:
        drafted.unknown.insert(0, f"health: {given.url} answers 200 on no usual path")
    try:
        unknown = _write(folder, drafted, {} if document is None else _copies(document))
    except OSError as error:
        raise Refused(
            f"{folder} cannot be written: {error.strerror or error}", hint="Name another folder, or free the disk."
        ) from error
    _report(given.folder, name, drafted.description, unknown)
    return 0


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file", hint="Name a folder that does not exist, or an empty one.")
    try:
        found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise Refused(f"{folder} cannot be read: {error.strerror}") from None
    if set(found) - VERSION_CONTROL:
        raise Refused(
            f"{folder} is not empty: it has {', '.join(found[:5])}{' and more' if len(found) > 5 else ''}",
            hint="Name a folder that does not exist, or an empty one; init changes no existing file.",
        )


def _name(title: str, folder: Path) -> str:
    """Return the service's name, which is also the name of its images' repository: from the title, or from the folder."""
    for text in (re.split(r":|\(| - | \u2013 ", title)[0], folder.name):
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        if name:
            return name
    return "service"


def _copies(document: Document) -> dict[Path, Path]:
    """Return the place of each file of a document below the folder `contract`: as they lie to each other now."""
    above = os.path.commonpath([file.parent for file in document.files])
    return {file: file.relative_to(above) for file in document.files}


def _write(folder: Path, drafted: Draft, copies: Mapping[Path, Path]) -> list[str]:
    """Write all files beside the folder, then move them in; return what is unknown, with the draft's own mistakes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A link to the framework, relative to the project, stays right if both are moved together.
    framework = os.path.relpath(FRAMEWORK, folder)
    values = {
        "FRAMEWORK": shlex.quote(framework),
        "SCHEMA": f"{os.path.relpath(FRAMEWORK, Project(folder).suites)}/{SCHEMA}",
        "DESCRIPTION": _yaml(drafted.description),
    }
    with tempfile.TemporaryDirectory(prefix=".init-", dir=folder.parent) as staged:
        project = Project(Path(staged) / "project")
        for name, template in FILES.items():
            _fill(project.root / name, template, values)
        shutil.copy(Project(FRAMEWORK).checklist_file, project.checklist_file)
        for file, place in copies.items():
            copy = project.suites / "contract" / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        mistakes = _mistakes(project)
        folder.mkdir(exist_ok=True)
        for path in sorted(project.root.iterdir()):
            shutil.move(path, folder / path.name)
    return [*drafted.unknown, *mistakes]


def _fill(target: Path, template: str, values: Mapping[str, str]) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _mistakes(project: Project) -> list[str]:
    """Return the mistakes of the draft, which its author must correct."""
    try:
        load_service(project.suites / "service.yaml", "suites/service.yaml")
    except InvalidService as error:
        return str(error).splitlines()
    return []


def _yaml(description: Mapping[str, Any]) -> str:
    """Return the description as YAML, with an empty line before each of its parts."""
    parts = [
        yaml.dump({key: _styled(value)}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
        for key, value in description.items()
    ]
    return "".join(part if part.count("\n") == 1 else f"\n{part}" for part in parts)


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes requests and expectations on one line, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own parameter
        super().increase_indent(flow, False)


_Dumper.add_representer(
    _OneLine, lambda dumper, value: dumper.represent_mapping(dumper.DEFAULT_MAPPING_TAG, value, True)
)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, "'" if _LIKE_A_NUMBER.fullmatch(text) else None
    ),
)


def _styled(value: Any, key: str = "") -> Any:
    """Return the value with its requests, expectations and captures on one line each."""
    if isinstance(value, Mapping):
        kind = _OneLine if key in ONE_LINE else dict
        return kind({name: _styled(inner, name) for name, inner in value.items()})
    return [_styled(inner) for inner in value] if isinstance(value, list) else value


def _report(folder: Path, name: str, description: Mapping[str, Any], unknown: list[str]) -> None:
    journeys = description["journeys"]
    many = "1 journey" if len(journeys) == 1 else f"{len(journeys)} journeys"
    click.echo(f"wrote {folder}, the project of {name}: {many} in suites/service.yaml")
    click.echo("what this command could not know:")
    for text in [
        *unknown,
        f"the image: put one into registry/{name}/TAG/, with VERSION and Procfile (docs/embedded.md)",
    ]:
        click.echo(f"  {text}")
    click.echo(f"next: cd {shlex.quote(str(folder))} && python -m pytest --target=auto --plan")

"""``audit list``, ``fetch`` and ``render``: evidence from the audit store, else from the reports' folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import jinja2

from deployment.errors import DeploymentError, Refused, first_line
from deployment.evidence import keys
from deployment.evidence.attestation import Checker
from deployment.evidence.data.content import DATA_FILE, parse
from deployment.evidence.journal import JOURNAL_FILE
from deployment.evidence.past.runs import NOT_A_REPORT
from deployment.evidence.store import copies
from deployment.files import problem_of
from deployment.ports import AuditStore
from deployment.settings import Settings
from infrastructure.compose import Environment
from infrastructure.estate import audit_folder
from plugins.page import render as page_of
from scripts.commands.audit import checker_of, environment_of
from scripts.commands.console import one_line

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Found:
    """Where evidence is read: ``store`` is None without a store; ``problem`` says why a configured one was not reached."""

    environment: str
    reports: Path
    store: AuditStore | None
    problem: str | None = None
    checker: Callable[[], Checker] = keys.no_checker

    @classmethod
    def of(cls, settings: Settings, reports: Path, connect: Callable[[], Environment]) -> Found:
        """Return the place; an environment that is not reached has no store, and only the keys that the settings name."""
        try:
            environment = connect()
        except DeploymentError as error:
            problem = first_line(error)
            folder = audit_folder(settings)
            why = None if folder is not None else problem
            return cls(settings.environment, reports, folder, why, checker_of(settings, None, problem))
        return cls(settings.environment, reports, environment.store, None, environment.checker)

    @property
    def place(self) -> str:
        """The place's name for messages."""
        return "the audit store" if self.store is not None else str(self.reports)

    def runs(self) -> Mapping[str, list[str]]:
        """Return the names of the files of each run of the environment, by id, oldest first. Raises CloudError."""
        if self.store is not None:
            return copies.runs(self.store, self.environment)
        folders = sorted(path.parent for path in self.reports.glob(f"*/{JOURNAL_FILE}"))
        return {
            folder.name: [name for name in copies.KEPT_FILES if (folder / name).is_file()]
            for folder in folders
            if not folder.is_symlink() and environment_of(folder) == self.environment
        }

    def read(self, run_id: str) -> dict[str, bytes]:
        """Return the evidence of a run by file name. Raises Refused if it has none here, CloudError."""
        found: dict[str, bytes] = {}
        if ID.fullmatch(run_id):
            if self.store is not None:
                found = copies.fetch(self.store, self.environment, run_id)
            else:
                paths = {name: self.reports / run_id / name for name in copies.KEPT_FILES}
                found = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
        if not found:
            here = bool(ID.fullmatch(run_id)) and (self.reports / run_id / JOURNAL_FILE).is_file()
            local = f" {self.reports / run_id} has it: `audit verify {run_id}` checks that copy." if here else ""
            raise Refused(
                f"run {run_id} of environment {self.environment} was not found in {self.place}",
                hint=f"`audit list` shows the runs; --environment NAME chooses another environment.{local}",
            )
        return found

    def warn(self) -> None:
        """Print why the store was not read, if there is a reason."""
        if self.problem is not None:
            click.echo(f"the audit store was not read: {self.problem}", err=True)
            click.echo(f"this is the content of {self.reports}", err=True)


def show(found: Found, as_json: bool) -> int:
    """Print the runs and what is kept of each; return 0."""
    found.warn()
    runs = found.runs()
    if as_json:
        click.echo(json.dumps({"environment": found.environment, "from": found.place, "runs": runs}, indent=2))
        return 0
    click.echo(f"{len(runs)} run{'' if len(runs) == 1 else 's'} of {found.environment} in {found.place}")
    for run_id, files in runs.items():
        click.echo(one_line(f"  {run_id}  {', '.join(files)}"))
    return 0


def fetch(found: Found, run_id: str, target: Path) -> int:
    """Write a run's evidence to ``target/ID`` and return 0. Raises Refused, with nothing written, if a file differs."""
    found.warn()
    files = found.read(run_id)
    folder = target / run_id
    for name, content in files.items():
        path = folder / name
        if os.path.lexists(path) and (not path.is_file() or path.read_bytes() != content):
            raise Refused(
                f"{path} exists and is not the copy in {found.place}; nothing was written",
                hint="Fetch into another folder with --to DIR.",
            )
    for name, content in files.items():
        _write(folder / name, content)
    click.echo(f"{len(files)} files of {run_id} from {found.place}: {folder}")
    return 0


def render(found: Found, run_id: str, target: Path | None) -> int:
    """Write the page of a run and return 0. Raises Refused if its evidence has no data, or data of another version."""
    found.warn()
    content = found.read(run_id).get(DATA_FILE)
    if content is None:
        raise Refused(
            f"{run_id} has no {DATA_FILE}: the version that wrote it kept no data for the page, or its audit store got only "
            "the journal and the signature",
            hint=f"`audit fetch {run_id}` copies what there is.",
        )
    try:
        page = page_of(parse(content)).encode()
    except (*NOT_A_REPORT, jinja2.TemplateError) as error:  # a template can meet any value of the data
        raise Refused(f"{DATA_FILE} of {run_id} cannot be rendered: {first_line(error)}") from None
    path = (target or Path(f"{run_id}.html")).absolute()
    if os.path.lexists(path) and (not path.is_file() or path.read_bytes() != page):
        raise Refused(f"{path} exists with other content", hint="Name another file with --to FILE.")
    _write(path, page)
    click.echo(f"page: {path}")
    return 0


def _write(path: Path, content: bytes) -> None:
    """Write a file that does not exist or has this content. Raises Refused if the disk refuses it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {problem_of(error)}", hint="Name another place with --to.") from None

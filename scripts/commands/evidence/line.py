"""The command line for evidence: each command imports what it needs when it runs, so that it starts at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployment.settings import load
from scripts.commands.checks.line import Tools, environment_option

if TYPE_CHECKING:
    from scripts.commands.evidence.stored import Found

reports_option = click.option(
    "--reports", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the reports (default: reports/)."
)


def _found(tools: Tools, environment: str | None, reports: Path | None) -> Found:
    """Return where the evidence of an environment is read."""
    from scripts.commands.evidence.stored import Found

    project = tools.project()
    settings = load(project.settings_file, environment)
    folder = (reports or project.reports).absolute()
    return Found.of(settings.environment, folder, lambda: tools.connect(settings).store)


@click.group("audit", short_help="Check, list and fetch the evidence of runs.")
def audit() -> None:
    """Check, list and fetch the evidence of runs; docs/audit.md describes what it proves."""


@audit.command(short_help="Check a report's journal, files and signature.")
@click.argument("deployment_id", metavar="[ID]", required=False)
@click.option(
    "--environment", metavar="NAME", help="Environment of deployment.toml (default: the report's environment)."
)
@reports_option
@click.pass_obj
def verify(tools: Tools, deployment_id: str | None, environment: str | None, reports: Path | None) -> None:
    """Check a report's journal, files and signature (default: the newest report)."""
    from scripts.commands import audit as command

    folder = command.choose((reports or tools.project().reports).absolute(), deployment_id)
    sys.exit(command.verify(load(tools.project().settings_file, environment or command.environment_of(folder)), folder))


@audit.command("list", short_help="List the runs of the audit store.")
@environment_option
@reports_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def list_runs(tools: Tools, environment: str | None, reports: Path | None, as_json: bool) -> None:
    """List the runs of an environment in the audit store, oldest first; without a store, those of the reports' folder."""
    from scripts.commands.evidence import stored

    sys.exit(stored.show(_found(tools, environment, reports), as_json))


@audit.command(short_help="Copy a run's evidence to a folder.")
@click.argument("deployment_id", metavar="ID")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder that gets the folder ID (default: reports/).",
)
@environment_option
@reports_option
@click.pass_obj
def fetch(tools: Tools, deployment_id: str, target: Path | None, environment: str | None, reports: Path | None) -> None:
    """Copy a run's evidence from the audit store to DIR/ID; without a store, from the reports' folder.

    A file that exists with other content is refused (4), and nothing is written.
    """
    from scripts.commands.evidence import stored

    found = _found(tools, environment, reports)
    sys.exit(stored.fetch(found, deployment_id, (target or found.reports).absolute()))


@audit.command(short_help="Render a run's page again.")
@click.argument("deployment_id", metavar="ID")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="The page's file (default: ID.html)."
)
@environment_option
@reports_option
@click.pass_obj
def render(
    tools: Tools, deployment_id: str, target: Path | None, environment: str | None, reports: Path | None
) -> None:
    """Render a run's page from its data.json alone, from the audit store or from the reports' folder."""
    from scripts.commands.evidence import stored

    sys.exit(stored.render(_found(tools, environment, reports), deployment_id, target))


COMMANDS = (audit,)

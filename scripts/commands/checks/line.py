"""The command line for people who write checks: each command imports what it needs when it runs, so that it starts at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from deployment.errors import Refused
from deployment.project import Project
from deployment.settings import Settings, load

if TYPE_CHECKING:
    from infrastructure.compose import Environment


@dataclass(frozen=True)
class Tools:
    """What commands get from the script: ``learn`` redacts a secret from now on, ``project`` finds the project, ``connect``
    returns the connected environment. ``named`` holds the environment that the command line names, if it names one.
    """

    learn: Callable[..., None]
    project: Callable[[], Project]
    connect: Callable[[Settings], Environment]
    named: list[str] = field(default_factory=list)


def keep_name(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Keep the environment that the command line names, for the commands that an error suggests."""
    if value:
        context.find_object(Tools).named.append(value)  # type: ignore[union-attr]  # the script gives it to every command
    return value


environment_option = click.option(
    "--environment",
    metavar="NAME",
    callback=keep_name,
    help="Environment of deployment.toml (default: its default_environment).",
)


@click.command("check", short_help="Run one check.")
@click.argument("check", metavar="PATH[::NAME]")
@click.option(
    "--against",
    metavar="live|candidate|URL",
    default="live",
    show_default=True,
    help="The live service, the release on the idle colour, or any address.",
)
@click.option(
    "--accounts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Accounts of the service: a JSON list of {"email", "password"} (default: those of the environment).',
)
@environment_option
@click.pass_obj
def check(tools: Tools, check: str, against: str, accounts: Path | None, environment: str | None) -> None:
    """Run one check, or all checks of a file: suites/GATE/FILE.yaml::NAME.

    0 passed, 1 failed, 4 refused. No report is written, and nothing counts.
    """
    from scripts.commands.checks import check as command

    settings = load(tools.project().settings_file, environment)
    sys.exit(command.run(settings, command.Wanted(check, against, accounts), tools.learn))


@click.command("new-check", short_help="Write a small check in YAML.")
@click.argument("gate", metavar="GATE")
@click.argument("name", metavar="NAME")
@click.option(
    "--operation", metavar="ID", help="Operation of the contract to ask, by its operationId or as 'GET /path'."
)
@environment_option
@click.pass_obj
def new_check(tools: Tools, gate: str, name: str, operation: str | None, environment: str | None) -> None:
    """Write suites/GATE/NAME.yaml with one check, and print the command that runs it.

    Without --operation it asks the health path. An existing file is refused (4).
    """
    from scripts.commands.checks import new_check as command

    sys.exit(command.run(load(tools.project().settings_file, environment), gate, name, operation))


@click.command("import", short_help="Turn recorded requests into checks in YAML.")
@click.argument("kind", metavar="curl|har|postman", type=click.Choice(["curl", "har", "postman"]))
@click.argument("file", metavar="FILE|-", type=click.File(encoding="utf-8"))
@click.option("--to", required=True, metavar="suites/GATE/FILE.yaml", help="The new file of checks.")
@environment_option
@click.pass_obj
def import_recording(tools: Tools, kind: str, file: TextIO, to: str, environment: str | None) -> None:
    """Turn curl commands, a HAR file or a Postman collection into checks in YAML.

    Secrets are taken out and named: credentials become signed_in, others ${secret.NAME}. `-` reads standard input.
    """
    from scripts.commands.checks import importing as command

    try:
        text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Refused(f"{file.name} cannot be read: {problem}") from None
    sys.exit(command.run(load(tools.project().settings_file, environment), kind, text, to))


@click.command("checks", short_help="List all checks with their history.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option(
    "--reports", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the reports (default: reports/)."
)
@click.option("--promote", metavar="ID", help="Make this advisory check required, instead of listing.")
@environment_option
@click.pass_obj
def list_checks(
    tools: Tools, as_json: bool, reports: Path | None, promote: str | None, environment: str | None
) -> None:
    """List all checks: gate, owner (by CODEOWNERS), severity, last result, pass rate, duration, flakiness.

    The history comes from the reports; a cache beside them, which may be deleted, makes it quick. --promote edits a check in
    YAML, and prints the marker to delete for one in Python.
    """
    from scripts.commands.checks import listing as command

    project = tools.project()
    settings = load(project.settings_file, environment)
    if promote is not None:
        from scripts.commands.checks import promoting
        from scripts.commands.checks.collected import collected

        sys.exit(promoting.run(settings, promote, collected(settings)))
    sys.exit(command.run(settings, reports or project.reports, as_json))


COMMANDS = (check, new_check, import_recording, list_checks)

"""The command line for evidence: each command imports what it needs when it runs, so that it starts at once."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployment.errors import Refused
from deployment.settings import load
from scripts.commands.checks.line import Tools, environment_option, keep_name

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
    return Found.of(settings, folder, lambda: tools.connect(settings))


@click.group("audit", short_help="Check, list and fetch the evidence of runs.")
def audit() -> None:
    """Check, list and fetch the evidence of runs; docs/audit.md describes what it proves."""


@audit.command(short_help="Check a report, or a bundle.")
@click.argument("what", metavar="[ID|BUNDLE]", required=False)
@click.option(
    "--environment",
    metavar="NAME",
    callback=keep_name,
    help="Environment of deployment.toml (default: the report's environment).",
)
@click.option(
    "--key",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For a bundle: a public key that you trust, PEM; may be repeated.",
)
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256",
    help="For a bundle: the fingerprint of a key in it that you trust; may be repeated.",
)
@reports_option
@click.pass_obj
def verify(
    tools: Tools,
    what: str | None,
    environment: str | None,
    key_files: tuple[Path, ...],
    fingerprints: tuple[str, ...],
    reports: Path | None,
) -> None:
    """Check a report's journal, files and signature (default: the newest report), or a bundle of `audit export`.

    0: all of it holds. 1: it does not. 6: a part could not be checked, such as the
    signatures of a bundle without a key that you trust: anybody can sign again.
    """
    if what is not None and Path(what).is_file():
        from scripts.commands.evidence import bundles

        sys.exit(bundles.verify(Path(what), key_files, [_fingerprint(one) for one in fingerprints]))
    if key_files or fingerprints:
        raise click.UsageError("--key and --fingerprint are for a bundle, and there is no such file")
    from scripts.commands import audit as command

    folder = command.choose((reports or tools.project().reports).absolute(), what)
    sys.exit(command.verify_named(tools.project().settings_file, environment, folder))


def _fingerprint(text: str) -> str:
    """Return a fingerprint as ``sha256:`` and hexadecimal digits. Raises BadParameter if it is not one."""
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise click.BadParameter(f"{text} is not a SHA-256 in 64 hexadecimal digits", param_hint="--fingerprint")
    return f"sha256:{digits}"


@audit.command("export", short_help="Write a bundle for an auditor.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Runs from this day (UTC) on.")
@click.option("--control", metavar="NAME", help="Only the runs that serve this control, such as CC8.1.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The new file, a tar archive (default: evidence-ENVIRONMENT-DATE.tar).",
)
@environment_option
@reports_option
@click.pass_obj
def export_runs(
    tools: Tools,
    since: datetime | None,
    control: str | None,
    target: Path | None,
    environment: str | None,
    reports: Path | None,
) -> None:
    """Write the evidence of an environment's runs to one file, with a manifest of hashes and the public keys.

    `audit verify FILE --key KEY` checks it on any machine that has this package.
    1: a run was left out, because its evidence is not complete; it is named.
    """
    from scripts.commands.evidence import bundles

    began = None if since is None else since.replace(tzinfo=UTC)
    sys.exit(bundles.export(_found(tools, environment, reports), control, began, target))


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


@click.group("history", invoke_without_command=True, short_help="Write a page about all runs.")
@reports_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of writing the page.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one line for each run as CSV instead.")
@click.option("--environment", metavar="NAME", help="With --json or --csv: only the runs of this environment.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="With --json or --csv: only the runs that started on this day (UTC) or later.",
)
@click.pass_context
def history(
    context: click.Context,
    reports: Path | None,
    as_json: bool,
    as_csv: bool,
    environment: str | None,
    since: datetime | None,
) -> None:
    """Write reports/index.html: every run, DORA's figures and the slowest gates, from the reports alone.

    Each run writes it as well. No verdict depends on it.
    """
    from deployment.evidence.past.runs import read
    from scripts.commands.evidence import history as command

    tools: Tools = context.obj
    folder = (reports or tools.project().reports).absolute()
    if context.invoked_subcommand is not None:
        return
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder of reports", hint="Name one with --reports DIR.")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two formats: use only one of them")
    if not (as_json or as_csv):
        if environment is not None or since is not None:
            raise click.UsageError(
                "--environment and --since need --json or --csv: the page has every run, and a filter"
            )
        sys.exit(command.page(folder))
    past = read(folder, environment, None if since is None else since.replace(tzinfo=UTC))
    sys.exit((command.as_json if as_json else command.as_csv)(folder, past))


@history.command("mark", short_help="Say that a run was a false alarm, or rework.")
@click.argument("deployment_id", metavar="ID")
@click.option(
    "--false-alarm", "kind", flag_value="false_alarm", help="The release was good, and was rolled back or rejected."
)
@click.option("--rework", "kind", flag_value="rework", help="An unplanned deployment after an incident.")
@click.option("--reason", required=True, metavar="TEXT", help="Reason; the history shows it.")
@reports_option
@click.pass_obj
def mark(tools: Tools, deployment_id: str, kind: str | None, reason: str, reports: Path | None) -> None:
    """Mark a run in reports/marks.jsonl, outside of the signed folders; the history shows and counts it."""
    from scripts.commands.evidence import history as command

    if kind is None:
        raise click.UsageError("say what the run was: --false-alarm or --rework")
    if not reason.strip():
        raise click.BadParameter("must not be empty", param_hint="--reason")
    folder = (reports or tools.project().reports).absolute()
    sys.exit(command.mark(folder, deployment_id, kind, reason.strip()))


COMMANDS = (audit, history)

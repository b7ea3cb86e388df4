"""The command line: parses, builds, calls, and turns what came of it into an exit code."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
# `python scripts/deploy.py` puts scripts/ first on the import path; the project's packages lie one level up.
sys.path[0] = str(ROOT)

import click  # noqa: E402  # after the path is right

from deployment.errors import CloudError, DeploymentError, Refused  # noqa: E402
from deployment.recovery import status as environment_status  # noqa: E402
from deployment.recovery.recover import Decision  # noqa: E402
from deployment.settings import (  # noqa: E402
    SETTINGS_FILE,
    Settings,
    load,
)
from deployment.version import framework_version  # noqa: E402
from infrastructure import compose  # noqa: E402
from infrastructure.compose import Environment  # noqa: E402
from scripts.commands import (  # noqa: E402
    approve,
    attest,
    audit,
    build,
    console,
    load_worker,
    recover,
    retire,
    rollback,
    run,
    unlock,
)
from verification.redacted_output import Guard  # noqa: E402
from verification.redaction import LearningRedactor  # noqa: E402

FAILED, INTERRUPTED, REFUSED = 1, 2, 4
REDACTOR = LearningRedactor()
"""Everything that a command prints passes through it."""

environment_option = click.option(
    "--environment", metavar="NAME", help="An environment of deployment.toml (default: its default_environment)."
)
reports_option = click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=ROOT / "reports",
    metavar="DIR",
    help="Folder for the report (default: reports/).",
)


def _worded(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it says nothing", param_hint=parameter.opts[0])
    return value and value.strip()


irreversible_option = click.option(
    "--allow-irreversible",
    metavar="REASON",
    callback=_worded,
    help="Send traffic back although the release's migration is irreversible.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(framework_version(), prog_name="scripts/deploy.py", message="%(prog)s %(version)s")
def cli() -> None:
    """Deploy a release beside the live one, verify it, move traffic to it, and back if need be.

    Start with `up`, then `deploy --image-tag 1.1.0`. Every run leaves a report in reports/latest.

    Exit codes, and what to do about each: docs/run-a-deployment.md.
    """


@cli.command(short_help="Start the embedded environment.")
@click.option("--image-tag", metavar="TAG", help="The release that goes live on blue (default: the lowest version).")
@environment_option
def up(image_tag: str | None, environment: str | None) -> None:
    """Start the embedded environment in the background, blue live; it stays until `down`."""
    url = compose.up(_settings(environment), image_tag, console.say)
    click.echo(f"up: {url}")
    named = f" --environment={environment}" if environment else ""
    click.echo(f"next: python -m pytest --target=green{named}")


@cli.command(short_help="Stop the embedded environment.")
@reports_option
def down(reports: Path) -> None:
    """Stop the embedded environment, and leave no process behind.

    A deployment whose run died in it is settled first, so that its report says what became of it.
    """
    recover.recover_before_down(_settings, _connect, reports.absolute())
    stopped = compose.down()
    click.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was up")


@cli.command(short_help="Show what is live, under way and locked.")
@environment_option
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def status(environment: str | None, as_json: bool) -> None:
    """Show the live and the idle colour, the deployment under way, the lock."""
    settings = _settings(environment)
    if not compose.is_up(settings):
        click.echo(json.dumps({"environment": None}) if as_json else console.nothing_up())
        sys.exit(FAILED)
    connected = _connect(settings)
    document = environment_status.describe(connected.name, connected.live_url, connected.ports, connected.registry)
    click.echo(json.dumps(document, indent=2) if as_json else console.status(document, compose.processes(settings)))


@cli.command(short_help="Deploy a release.", context_settings={"ignore_unknown_options": True})
@click.option("--image-tag", metavar="TAG", help="The release to deploy; on AWS built and pushed where it is unknown.")
@click.option("--image", metavar="REF", help="On AWS: an image that is built already, here or in the registry.")
@click.option(
    "--context",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="On AWS: the folder to build, a clean git tree (default: .).",
)
@click.option(
    "--target", default="auto", show_default=True, metavar="COLOUR", help="blue, green, or auto: the idle one."
)
@environment_option
@click.argument("pytest_options", nargs=-1, type=click.UNPROCESSED)
def deploy(
    image_tag: str | None,
    image: str | None,
    context: Path | None,
    target: str,
    environment: str | None,
    pytest_options: tuple[str, ...],
) -> None:
    """Deploy a release: provision, verify, promote, bake; roll back where it fails.

    On AWS it is built for linux/amd64, pushed and scanned before that, unless the
    registry has the tag.

    Options after `--` are pytest's: deploy --image-tag 1.1.0 -- -n 4
    """
    if not run.ONLY_TELL.intersection(pytest_options):
        image_tag = _made_ready(image_tag, image, context, environment)
    if image_tag is None:
        raise click.MissingParameter(param_hint="'--image-tag'", param_type="option")
    sys.exit(run.deploy(ROOT, image_tag, target, environment, pytest_options))


@cli.command("rollback", short_help="Undo the last promotion.")
@environment_option
@reports_option
@click.option(
    "--wait-for-lock",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long for a deployment that is under way (default: 0).",
)
@irreversible_option
def rollback_command(
    environment: str | None, reports: Path, wait_for_lock: float, allow_irreversible: str | None
) -> None:
    """Undo the last promotion: traffic back first, verified, then the failed colour is stopped."""
    settings = _settings(environment, reports)
    sys.exit(rollback.rollback(settings, _connect(settings), reports.absolute(), wait_for_lock, allow_irreversible))


@cli.command("retire", short_help="Stop the previous colour, once its time has come.")
@environment_option
@reports_option
@click.option("--now", is_flag=True, help="Before its time, or where it was to run for ever.")
def retire_command(environment: str | None, reports: Path, now: bool) -> None:
    """Stop the colour that was live before the last promotion, once retire_after has passed; for a schedule to call.

    A way back to it is a deployment then.
    """
    settings = _settings(environment, reports)
    sys.exit(retire.retire(settings, _connect(settings), reports.absolute(), now=now))


@cli.command("approve", short_help="Say yes to a promotion that waits for it.")
@click.argument("deployment_id", metavar="ID")
@environment_option
@click.option("--reason", metavar="TEXT", help="What it was approved on; stands in the run's journal.")
def approve_command(deployment_id: str, environment: str | None, reason: str | None) -> None:
    """Approve the promotion of deployment ID, which another principal started; `status` shows what waits."""
    settings = _settings(environment)
    sys.exit(approve.approve(settings, _connect(settings), deployment_id, reason))


@cli.command("attest", short_help="Attest items of the checklist.")
@click.argument("release", metavar="TAG|DIGEST")
@click.argument("items", nargs=-1, required=True, metavar="ITEM=WHO/WHAT...")
@environment_option
def attest_command(release: str, items: tuple[str, ...], environment: str | None) -> None:
    """Give somebody's word for items of checklist.toml, for the deployments of one release; it stands in their reports."""
    settings = _settings(environment)
    sys.exit(attest.attest(settings, _connect(settings), release, items))


@cli.command("unlock", short_help="Break a lock by hand.")
@environment_option
@reports_option
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why; stands in the journals of this and of the next run."
)
@click.option("--force", is_flag=True, help="Also where the holder lives: it can change nothing any more then.")
def unlock_command(environment: str | None, reports: Path, reason: str, force: bool) -> None:
    """Break the lock of a deployment that shows no sign of life, on the record. `recover` settles what it left."""
    if not reason.strip():
        raise click.BadParameter("it says nothing", param_hint="--reason")
    settings = _settings(environment, reports)
    sys.exit(unlock.unlock(settings, _connect(settings), reports.absolute(), reason.strip(), force))


@cli.command("recover", short_help="Settle what a killed run left half done.")
@environment_option
@reports_option
@irreversible_option
@click.option(
    "--keep-live",
    metavar="REASON",
    callback=_worded,
    help="End a halted deployment by leaving traffic where it is, if that is well.",
)
def recover_command(
    environment: str | None, reports: Path, allow_irreversible: str | None, keep_live: str | None
) -> None:
    """Finish or undo what a killed run left half done; safe to repeat."""
    if keep_live and allow_irreversible:
        raise click.UsageError("--keep-live leaves traffic, --allow-irreversible sends it back: give one of them")
    settings = _settings(environment, reports)
    if not compose.is_up(settings):
        if not recover.complete_reports(settings, reports.absolute()):
            click.echo("nothing to recover: no embedded environment is up")
        return
    sys.exit(recover.recover(settings, _connect(settings), reports.absolute(), Decision(keep_live, allow_irreversible)))


@cli.command("load-worker", short_help="Make a part of the load that another machine's deployment asks for.")
@click.option("--join", "address", required=True, metavar="HOST:PORT", help="Where it listens: `gates.load.listen`.")
@click.option("--once", is_flag=True, help="End after one load (default: wait for the next, until interrupted).")
@environment_option
def load_worker_command(address: str, once: bool, environment: str | None) -> None:
    """Make a part of the load that another machine's deployment asks for (`gates.load.workers_elsewhere`).

    The smoke users' passwords come from the environment's own secret, and are sent to the service alone.
    """
    host, port = load_worker.parse(address)
    connected = _connect(_settings(environment))
    load_worker.serve(host, port, connected.smoke_users, sys.stdout, once=once)


@cli.group("audit", short_help="Check the evidence of a run.")
def audit_commands() -> None:
    """Check the evidence of a run."""


@audit_commands.command(short_help="Check a report's journal, files and signature.")
@click.argument("deployment_id", metavar="[ID]", required=False)
@click.option(
    "--environment", metavar="NAME", help="An environment of deployment.toml (default: the one that the report names)."
)
@reports_option
def verify(deployment_id: str | None, environment: str | None, reports: Path) -> None:
    """Check a report's journal, files and signature (default: the newest report)."""
    folder = audit.choose(reports.absolute(), deployment_id)
    sys.exit(audit.verify(_settings(environment or audit.environment_of(folder)), folder))


@cli.command("configure", short_help="Write an environment's settings from Terraform's outputs.")
@click.option("--environment", required=True, metavar="NAME", help="The environment that Terraform made.")
@click.option(
    "--outputs",
    type=click.File(encoding="utf-8"),
    default="-",
    metavar="FILE",
    help="What `terraform output -json` printed (default: standard input).",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
def configure_command(environment: str, outputs: TextIO, dry_run: bool) -> None:
    """Write an environment's settings from Terraform's outputs; the rest of deployment.toml stays as it is.

    terraform output -json | python scripts/deploy.py configure --environment production
    """
    from scripts.commands import configure  # reading and writing TOML as it stands is this command's alone

    sys.exit(configure.configure(SETTINGS_FILE, environment, _read(outputs), dry_run=dry_run))


def _read(file: TextIO) -> str:
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file.name} cannot be read: {error}") from None


def _made_ready(tag: str | None, image: str | None, context: Path | None, environment: str | None) -> str | None:
    """The tag to deploy, once the registry of an environment on AWS has it. Raises Refused, StepFailed or CloudError."""
    try:
        settings = _settings(environment)
        connected = None if settings.provider == "embedded" else _connect(settings)
    except (Refused, CloudError):
        if tag is None or image or context:
            raise
        return tag  # the run refuses for the same reason, and leaves a report that says so
    if connected is not None:
        wish = build.BuildRequest(tag, image, (context or Path()).absolute())
        return build.ready(wish, connected, settings.limits, console.say)
    if image or context:
        raise Refused(
            "an image of the embedded registry is a folder, nothing is built for it",
            hint="See docs/embedded.md; --image-tag names its tag.",
        )
    return tag


def _connect(settings: Settings) -> Environment:
    """The environment; from here on no output shows its secrets."""
    connected = compose.connect(settings)
    REDACTOR.learn(*connected.secrets)
    return connected


def _settings(environment: str | None, reports: Path | None = None) -> Settings:
    """The environment's settings. Raises SettingsError, and Refused where a report could not be written to ``reports``."""
    if reports is not None:
        try:
            reports.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=reports).close()
        except OSError as error:
            raise Refused(
                f"reports cannot be written to {reports}: {error.strerror}", hint="Give another with --reports DIR."
            ) from error
    return load(SETTINGS_FILE, environment)


def main() -> None:
    """Runs one command; whatever it prints passes redaction."""
    guard = Guard(REDACTOR.clean, children=False)  # pytest, as a child, has the terminal and a guard of its own
    guard.install()
    try:
        _run()
    finally:
        guard.close()


def _run() -> None:
    """Every error that a user can cause or meet is told in words, without a traceback."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(REFUSED)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Refused as error:
        click.echo(f"refused: {error}", err=True)
        sys.exit(REFUSED)
    except DeploymentError as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()

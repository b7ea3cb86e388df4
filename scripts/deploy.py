"""The command line: parses the arguments, connects to the environment, calls a command, and returns its exit code."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

# `python scripts/deploy.py` puts scripts/ first on the import path; the framework's packages are one level up.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from deployment.project import Project, find, framework_version, wrong_interpreter  # noqa: E402  # after the path is set

if (_problem := wrong_interpreter()) is not None:
    print(f"refused: {_problem}", file=sys.stderr)
    raise SystemExit(4)

import click  # noqa: E402  # after the packages were found

from deployment.errors import CloudError, DeploymentError, Refused  # noqa: E402
from deployment.model import Reads  # noqa: E402
from deployment.settings import Settings, load  # noqa: E402
from scripts.commands.adoption import line as adoption  # noqa: E402
from scripts.commands.checks import line  # noqa: E402
from scripts.commands.evidence import line as evidence  # noqa: E402
from scripts.deferred import deferred  # noqa: E402
from verification.redaction.output import Guard  # noqa: E402
from verification.redaction.redactor import LearningRedactor  # noqa: E402

if TYPE_CHECKING:
    from infrastructure import compose, stopping
    from infrastructure.compose import Environment
    from plugins import options, page
    from scripts.commands import (
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
    from scripts.commands.checks import coverage
else:  # these import boto3 and pytest, which take over a second; each is imported when a command first uses it
    compose = deferred("infrastructure.compose")
    stopping = deferred("infrastructure.stopping")
    options = deferred("plugins.options")
    page = deferred("plugins.page")
    approve = deferred("scripts.commands.approve")
    attest = deferred("scripts.commands.attest")
    audit = deferred("scripts.commands.audit")
    build = deferred("scripts.commands.build")
    console = deferred("scripts.commands.console")
    load_worker = deferred("scripts.commands.load_worker")
    recover = deferred("scripts.commands.recover")
    retire = deferred("scripts.commands.retire")
    rollback = deferred("scripts.commands.rollback")
    run = deferred("scripts.commands.run")
    unlock = deferred("scripts.commands.unlock")
    coverage = deferred("scripts.commands.checks.coverage")

FAILED, INTERRUPTED, REFUSED = 1, 2, 4
REDACTOR = LearningRedactor()
"""Redacts everything that a command prints."""

environment_option = line.environment_option
reports_option = click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=lambda: _project().reports,
    metavar="DIR",
    help="Folder for the report (default: reports/).",
)


def _require_text(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("must not be empty", param_hint=parameter.opts[0])
    return value and value.strip()


irreversible_option = click.option(
    "--allow-irreversible",
    metavar="REASON",
    callback=_require_text,
    help="Send traffic back although the release's migration is irreversible.",
)


reason_option = click.option(
    "--reason",
    metavar="TEXT",
    callback=_require_text,
    help="Reason; the report, its page and the history show it.",
)
WAY_BACK = Reads.USERS_IF_READABLE
TOOLS = line.Tools(REDACTOR.learn, lambda: _project(), lambda settings: _connect(settings))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "obj": TOOLS})
@click.version_option(framework_version(), prog_name="scripts/deploy.py", message="%(prog)s %(version)s")
def cli() -> None:
    """Deploy a release beside the live one, verify it, move traffic to it, and roll back if it fails.

    Start with `up`, then `deploy --image-tag 1.1.0`. Every run writes a report to reports/latest.

    Exit codes and what to do next: docs/run-a-deployment.md.
    """


@cli.command(short_help="Start the embedded environment.")
@click.option("--image-tag", metavar="TAG", help="Release to start live on blue (default: the lowest version).")
@environment_option
def up(image_tag: str | None, environment: str | None) -> None:
    """Start the embedded environment in the background, with blue live; stop it with `down`."""
    url = compose.up(_settings(environment), image_tag, console.say)
    click.echo(f"up: {url}")
    named = f" --environment={environment}" if environment else ""
    click.echo(f"next: python -m pytest --target=auto{named}")


@cli.command(short_help="Stop the embedded environment.")
@reports_option
@click.option("--force", is_flag=True, help="Stop the environment even under a running deployment, which then fails.")
def down(reports: Path, force: bool) -> None:
    """Stop the embedded environment and all its processes.

    Refused (4) while a deployment runs in it, whose holder is named. An interrupted
    deployment is recovered first, so that its report is complete.
    """
    if not force:
        stopping.refuse_to_stop_under_a_run(_project())
    recover.recover_before_down(_settings, lambda own: _connect(own, WAY_BACK), reports.absolute())
    stopped = stopping.stop(_project(), force=force)
    click.echo(f"stopped: {', '.join(stopped)}" if stopped else "no embedded environment was up")


@cli.command(short_help="Show the live colour, the deployment and the lock.")
@environment_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(environment: str | None, as_json: bool) -> None:
    """Show the live and the idle colour, the running deployment and the lock."""
    settings = _settings(environment)
    if not compose.is_up(settings):
        click.echo(json.dumps({"environment": None}) if as_json else console.no_environment())
        sys.exit(FAILED)
    connected = _connect(settings)
    document = console.describe(settings, connected)
    click.echo(json.dumps(document, indent=2) if as_json else console.status(document, compose.processes(settings)))


@cli.command(short_help="Deploy a release.", context_settings={"ignore_unknown_options": True})
@click.option(
    "--image-tag", metavar="TAG", help="Release to deploy; on AWS it is built and pushed if the registry lacks it."
)
@click.option("--image", metavar="REF", help="On AWS: an existing image, local or in the registry.")
@click.option(
    "--context",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="On AWS: folder to build, a clean git tree (default: .).",
)
@click.option(
    "--target", default="auto", show_default=True, metavar="COLOUR", help="blue, green or auto (the idle colour)."
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
    """Deploy a release: provision, verify, promote and bake; roll back if it fails.

    On AWS the release is first built for linux/amd64, pushed and scanned, unless
    the registry has the tag.

    Options after `--` go to pytest: deploy --image-tag 1.1.0 -- -n 4

    The exit code counts only if the run's own closed report has the same one.
    Otherwise the run was cut short: it is recovered, and the command ends with
    0 (promoted), 10 (rolled back), 11 (a person must act) or 3.
    """
    if not run.NO_RUN_OPTIONS.intersection(pytest_options):
        image_tag = _prepare_image(image_tag, image, context, environment)
    if image_tag is None:
        raise click.MissingParameter(param_hint="'--image-tag'", param_type="option")
    command = run.pytest_command(image_tag, target, environment)
    sys.exit(_deploy(command, pytest_options))


@cli.command("rollback", short_help="Undo the last promotion.")
@environment_option
@reports_option
@click.option(
    "--wait-for-lock",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait this long for a running deployment (default: 0).",
)
@irreversible_option
@reason_option
@click.option(
    "--redeploy",
    is_flag=True,
    help="Deploy the previous release again, with every gate, if a later run has overwritten or stopped it.",
)
def rollback_command(
    environment: str | None,
    reports: Path,
    wait_for_lock: float,
    allow_irreversible: str | None,
    reason: str | None,
    redeploy: bool,
) -> None:
    """Undo the last promotion: send traffic back, verify it, then stop the other colour."""
    settings = _settings(environment, reports)
    if redeploy:
        if reason is not None:
            raise click.UsageError("--redeploy deploys, and a deployment records no --reason: use only one of them")
        world = _connect(settings)
        tag, colour = rollback.release_to_redeploy(settings, world, allow_irreversible, wait_for_lock)
        options = [f"--reports={reports.absolute()}", f"--wait-for-lock={wait_for_lock:g}"]
        sys.exit(_deploy(run.pytest_command(tag, colour, settings.environment), options))
    _refresh_after(reports)
    asked = rollback.Request(wait_for_lock, allow_irreversible, reason)
    sys.exit(rollback.rollback(settings, _connect(settings, WAY_BACK), reports.absolute(), asked))


@cli.command("retire", short_help="Stop the previous colour after retire_after.")
@environment_option
@reports_option
@click.option("--now", is_flag=True, help="Ignore retire_after.")
def retire_command(environment: str | None, reports: Path, now: bool) -> None:
    """Stop the previously live colour if retire_after has passed; run it from a schedule.

    After that, returning to this colour requires a new deployment.
    """
    settings = _settings(environment, reports)
    sys.exit(retire.retire(settings, _connect(settings), reports.absolute(), now=now))


@cli.command("approve", short_help="Approve a promotion that waits for approval.")
@click.argument("deployment_id", metavar="ID")
@environment_option
@click.option(
    "--reason", metavar="TEXT", callback=_require_text, help="Reason of the approval; the run's journal records it."
)
def approve_command(deployment_id: str, environment: str | None, reason: str | None) -> None:
    """Approve the promotion of deployment ID, which another principal started; `status` shows the ID."""
    settings = _settings(environment)
    sys.exit(approve.approve(settings, _connect(settings), deployment_id, reason))


@cli.command("attest", short_help="Attest items of the checklist.")
@click.argument("release", metavar="TAG|DIGEST")
@click.argument("items", nargs=-1, required=True, metavar="ITEM=WHO/WHAT...")
@environment_option
def attest_command(release: str, items: tuple[str, ...], environment: str | None) -> None:
    """Attest items of checklist.toml for one release; the reports of its deployments show them."""
    settings = _settings(environment)
    sys.exit(attest.attest(settings, _connect(settings), release, items))


@cli.command("unlock", short_help="Break a lock by hand.")
@environment_option
@reports_option
@click.option(
    "--reason", required=True, metavar="TEXT", help="Reason; the journals of this and of the next run record it."
)
@click.option(
    "--force", is_flag=True, help="Break the lock even if the holder lives, which can then change nothing more."
)
def unlock_command(environment: str | None, reports: Path, reason: str, force: bool) -> None:
    """Break the lock of a deployment that shows no sign of life; run `recover` afterwards."""
    if not reason.strip():
        raise click.BadParameter("must not be empty", param_hint="--reason")
    settings = _settings(environment, reports)
    sys.exit(unlock.unlock(settings, _connect(settings), reports.absolute(), reason.strip(), force))


@cli.command("recover", short_help="Finish or undo an interrupted run.")
@environment_option
@reports_option
@irreversible_option
@click.option(
    "--keep-live",
    metavar="REASON",
    callback=_require_text,
    help="End a halted or baking deployment with traffic unchanged, if the live colour is healthy.",
)
@reason_option
def recover_command(
    environment: str | None, reports: Path, allow_irreversible: str | None, keep_live: str | None, reason: str | None
) -> None:
    """Finish or undo an interrupted run; safe to repeat."""
    if keep_live and allow_irreversible:
        raise click.UsageError("--keep-live keeps traffic and --allow-irreversible sends it back: use only one of them")
    settings = _settings(environment, reports)
    _refresh_after(reports)
    if not compose.is_up(settings):
        if not recover.complete_reports(settings, reports.absolute(), reason=reason):
            click.echo("nothing to recover: no embedded environment is up")
        return
    from deployment.recovery.recover import Decision  # its imports take long

    decision = Decision(keep_live, allow_irreversible, reason)
    sys.exit(recover.recover(settings, _connect(settings, WAY_BACK), reports.absolute(), decision))


@cli.command("load-worker", short_help="Join the load of a deployment on another machine.")
@click.option(
    "--join", "address", required=True, metavar="HOST:PORT", help="Address of the deployment: `gates.load.listen`."
)
@click.option("--once", is_flag=True, help="Stop after one load (default: wait for more loads until interrupted).")
@environment_option
def load_worker_command(address: str, once: bool, environment: str | None) -> None:
    """Join the load of a deployment on another machine (`gates.load.workers_elsewhere`).

    The smoke users' passwords come from the environment's secret and are sent only to the service.
    """
    host, port = load_worker.parse(address)
    connected = _connect(_settings(environment), Reads.USERS)
    load_worker.serve(host, port, connected.smoke_users, sys.stdout, once=once)


@cli.command("coverage", short_help="Show which documented answers the checks met.")
@click.argument("deployment_id", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reports_option
def show_coverage(deployment_id: str | None, as_json: bool, reports: Path) -> None:
    """Show which of the contract's documented answers the checks of a run met (default: the newest run that has checks)."""
    sys.exit(coverage.show(reports.absolute(), deployment_id, as_json))


@cli.command("configure", short_help="Write an environment's settings from Terraform's outputs.")
@click.option("--environment", required=True, metavar="NAME", help="Environment that Terraform created.")
@click.option(
    "--outputs",
    type=click.File(encoding="utf-8"),
    default="-",
    metavar="FILE",
    help="Output of `terraform output -json` (default: standard input).",
)
@click.option("--dry-run", is_flag=True, help="Show the changes and write nothing.")
def configure_command(environment: str, outputs: TextIO, dry_run: bool) -> None:
    """Write an environment's settings from Terraform's outputs; keep the rest of deployment.toml.

    terraform output -json | python scripts/deploy.py configure --environment production
    """
    from scripts.commands import configure  # only this command needs to edit TOML

    sys.exit(configure.configure(_project().settings_file, environment, _read(outputs), dry_run=dry_run))


@cli.command("init", short_help="Write a project folder for another service.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--contract", metavar="FILE", type=click.Path(path_type=Path), help="The service's OpenAPI 3 document.")
@click.option("--url", metavar="URL", help="A running instance, which is asked for its health path.")
def init_command(folder: Path, contract: Path | None, url: str | None) -> None:
    """Write a project folder for another service: settings, checklist, and a description of the service as a draft.

    DIR must not exist, or be empty. `pytest` and `scripts/deploy.py` work in it.
    """
    from scripts.commands import init  # only this command drafts a description

    options.check_url("--url", url)
    sys.exit(init.init(init.Given(folder, contract, url)))


for command in (*line.COMMANDS, *evidence.COMMANDS, *adoption.COMMANDS):
    cli.add_command(command)


def _read(file: TextIO) -> str:
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file.name} cannot be read: {error}") from None


def _prepare_image(tag: str | None, image: str | None, context: Path | None, environment: str | None) -> str | None:
    """Return the tag to deploy; on AWS, build and push the image first. Raises Refused, StepFailed or CloudError."""
    try:
        settings = _settings(environment)
        connected = None if settings.provider == "embedded" else _connect(settings)
    except (Refused, CloudError):
        if tag is None or image or context:
            raise
        return tag  # the run is refused for the same reason, and its report shows it
    if connected is not None:
        request = build.BuildRequest(tag, image, (context or Path()).absolute())
        return build.prepare_image(request, connected, settings.limits, console.say)
    if image or context:
        raise Refused(
            "--image and --context are for AWS: an image of the embedded registry is a folder and is not built",
            hint="Use --image-tag with the folder's tag, see docs/embedded.md.",
        )
    return tag


def _deploy(command: Sequence[str], options: Sequence[str]) -> int:
    """Run pytest, and recover its run if its exit code is not proven; return the exit code."""

    def settle(folder: Path) -> int:
        _refresh_after(folder.parent)
        return recover.settle(lambda: _reach(folder), folder)

    return run.deploy(command, _project().root, options, settle)


def _refresh_after(reports: Path) -> None:
    """Write the index of all reports when the command ends; an error of it changes no exit code."""
    click.get_current_context().call_on_close(lambda: page.refresh(reports.absolute(), console.say))


def _reach(folder: Path) -> tuple[Settings, Environment | None]:
    """Return settings and environment of the run with this report; None instead of one that is not up."""
    settings = _settings(audit.environment_of(folder), folder.parent)
    return settings, _connect(settings, WAY_BACK) if compose.is_up(settings) else None


def _connect(settings: Settings, reads: Reads = Reads.NOTHING) -> Environment:
    """Return the connected environment with the secrets in ``reads``, and redact these from now on."""
    connected = compose.connect(settings, reads)
    REDACTOR.learn(*connected.secrets)
    return connected


def _project() -> Project:
    """Return the project of the working directory, else the one that this script was called in. Raises Refused if there is none."""
    return find(Path.cwd(), Path(sys.argv[0]).parent)


def _settings(environment: str | None, reports: Path | None = None) -> Settings:
    """Return the environment's settings. Raises SettingsError, or Refused if ``reports`` is not writable."""
    if reports is not None:
        try:
            reports.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=reports).close()
        except OSError as error:
            raise Refused(
                f"reports cannot be written to {reports}: {error.strerror}",
                hint="Use another folder with --reports DIR.",
            ) from error
    return load(_project().settings_file, environment)


def main() -> None:
    """Run one command, with everything that it prints redacted."""
    guard = Guard(
        REDACTOR.clean, children=False
    )  # pytest, a child process, writes to the terminal and has its own guard
    guard.install()
    try:
        _run()
    finally:
        guard.close()


def _with_environment(error: DeploymentError) -> str:
    from deployment.evidence.sentence import name_environment  # only for an error

    return name_environment(str(error), TOOLS.named[-1] if TOOLS.named else None)


def _run() -> None:
    """Run the command; print every expected error without a traceback, and exit with its code."""
    TOOLS.named.clear()
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
        click.echo(f"refused: {_with_environment(error)}", err=True)
        sys.exit(REFUSED)
    except DeploymentError as error:
        click.echo(f"failed: {_with_environment(error)}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()

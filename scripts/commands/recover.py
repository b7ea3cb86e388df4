"""``recover``: finishes or undoes an interrupted run."""

from __future__ import annotations

import contextlib
import getpass
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from deployment.access import RECOVERING, demand_any
from deployment.clock import SystemClock
from deployment.errors import DeploymentError, LeaseHeld, StepFailed
from deployment.evidence.archive import NOWHERE, EvidenceWriter
from deployment.evidence.data import content
from deployment.evidence.receipt import report_of
from deployment.evidence.report import REPORT_FILE, VERDICTS
from deployment.evidence.sentence import NEXT, in_environment, is_unrecorded, next_step
from deployment.flow import lost_reports
from deployment.flow.lease import alive, open_deployment
from deployment.flow.notices import Audience
from deployment.phases import EXIT_CODES, Phase
from deployment.recovery.complete_report import (
    Recoverer,
    complete,
    free_lock,
    may_have_moved,
    run_ended,
    touched_runs,
)
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.leftovers import LEDGER_FILE, remove_of_ended_runs
from deployment.recovery.recover import UNDECIDED, Decision
from deployment.settings import Settings
from infrastructure import compose
from infrastructure.compose import Environment
from plugins.modes.scratch import remove_leftovers
from plugins.page import render
from scripts.commands import console
from scripts.commands.audit import environment_of
from verification.redaction.redactor import LearningRedactor

HALTED = 11
CUT_SHORT = 3
SETTLED = {VERDICTS[phase]: EXIT_CODES[phase] for phase in (Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.HALTED)}
"""The exit code of a run that was cut short, by the verdict of its recovered report; any other verdict: CUT_SHORT."""


def recover(settings: Settings, environment: Environment, reports: Path, decision: Decision = UNDECIDED) -> int:
    """Return 0 if the run was recovered or there was none, 11 if it stays halted, 3 if it has no report.

    Raises LeaseHeld if the owner lives.
    """
    demand_any(settings.access, RECOVERING, environment.caller)
    if removed := remove_leftovers(partial(run_ended, reports)):
        click.echo(f"removed the temporary folders of runs that were killed ({removed})")
    found = open_deployment(environment.ports)
    if found is None:
        _clean_up(settings, environment, reports, decision.reason)
        return 0
    ledger = reports / found.record.deployment_id / LEDGER_FILE
    if ledger.exists():  # `recover` plays journeys as well, and may be killed
        front = environment.ports.data.record(ledger, environment.ports.front)
        environment = replace(environment, ports=replace(environment.ports, front=front))
    if environment.unread is not None:
        console.say(f"not checked: {environment.unread}")
    try:
        with console.uninterrupted():
            phase = recover_run(
                found,
                environment.operation(settings.limits),
                reports,
                Audience(console.event, environment.notifier),
                _evidence(environment, leased=True),
                decision,
            )
    except StepFailed as error:
        click.echo(f"{found.record.deployment_id} was not recovered: {error}", err=True)
        return HALTED
    folder = reports / found.record.deployment_id
    written = (folder / REPORT_FILE).exists()
    click.echo(f"{folder.name}: {VERDICTS[phase]}" + (f"; report in {folder}" if written else ""))
    if phase is Phase.HALTED:
        if decision.keep is not None:
            click.echo("Traffic is unchanged and the lock is free: deploy the next release.")
            return 0
        if written and is_unrecorded(report := json.loads((folder / REPORT_FILE).read_bytes())):
            click.echo(f"{report['reason']}\n{next_step(report)}", err=True)
            return HALTED
        if found.record.plan.image.irreversible and decision.back is None:
            choice = NEXT["frozen"].format(named=in_environment(settings.environment))
            click.echo(f"Frozen: the migration of {found.record.plan.image.name} is irreversible. {choice}", err=True)
            return HALTED
        click.echo("The deployment could not be recovered. See docs/roll-back-by-hand.md.", err=True)
        return HALTED
    if not written:
        click.echo("Free space in the folder of the reports and run `recover` again: it writes the report.", err=True)
        return CUT_SHORT
    _complete(settings, reports, environment, decision.reason)
    remove_of_ended_runs(environment.ports.data, reports, click.echo)
    with contextlib.suppress(OSError, ValueError):  # the report's data could not be written
        if live := content.read(folder).get("live"):
            click.echo(f"live now: {live}; {_lock_words(environment)}")
    return 0


def _lock_words(environment: Environment) -> str:
    """Return whether the next deployment finds a free lock. A lock that could not be released expires by itself."""
    try:
        holder = environment.ports.lease.current()
    except DeploymentError:
        return "whether the lock is free is unknown"
    if holder is None:
        return "the lock is free, deploy again at any time"
    return f"the lock of {holder.deployment_id} is not free yet"


def settle(connect: Callable[[], tuple[Settings, Environment | None]], folder: Path) -> int:
    """Recover the run of this report, which ended without one; return 0 promoted, 10 rolled back, 11, otherwise 3.

    ``connect`` returns the run's environment, None if it is not up. No other run is recovered. If the environment does
    not answer, a run that may have moved traffic returns 11, because the live state is unknown.
    """
    try:
        settings, environment = connect()
        if environment is None:
            complete_reports(settings, folder.parent)
        else:
            found = open_deployment(environment.ports)
            if found is not None and found.record.deployment_id == folder.name:
                recover(settings, environment, folder.parent)
            else:
                ended = folder.name in lost_reports.results(environment.ports.lease)
                complete_reports(settings, folder.parent, environment)
                if ended:  # it made the world safe itself, and only its report could not be written
                    return CUT_SHORT
    except DeploymentError as error:
        click.echo(f"{folder.name} was not recovered: {error}", err=True)
        named = in_environment(environment_of(folder))
        command = "python scripts/deploy.py"
        click.echo(f"Run `{command} status{named}`, then `{command} recover{named}`.", err=True)
        return HALTED if may_have_moved(folder) else CUT_SHORT
    report = report_of(folder)
    if report is None:
        return HALTED if may_have_moved(folder) else CUT_SHORT
    return SETTLED.get(report["verdict"], CUT_SHORT)


def recover_before_down(
    settings_of: Callable[[str], Settings], connect: Callable[[Settings], Environment], reports: Path
) -> None:
    """Recover interrupted runs of an embedded environment before it is stopped, because later their state is unknown.

    A run that cannot be recovered is reported; it does not prevent the stop.
    """
    for run, name in touched_runs(reports):
        try:
            settings = settings_of(name)
            if settings.provider != "embedded":
                continue  # an environment on AWS keeps running, so `recover` can handle it later
            if not compose.is_up(settings):
                if compose.sleeps(settings):
                    click.echo(
                        f"{run} was interrupted and its environment does not run: its report",
                        err=True,
                    )
                    click.echo("stays incomplete. Next time: `up`, then `recover`, and only then `down`.", err=True)
                continue
            environment = connect(settings)
            found = open_deployment(environment.ports)
            if found is None or found.record.deployment_id != run:
                continue  # a run of another state folder, for its `recover` or `down`
            click.echo(f"recovering {run}, which died in phase {found.record.phase}")
            recover(settings, environment, reports)
        except DeploymentError as error:
            click.echo(f"{run} was not recovered, and its report stays incomplete: {error}", err=True)


def _clean_up(settings: Settings, environment: Environment, reports: Path, reason: str | None) -> None:
    """Free the lock and complete the reports of runs that died before they changed anything."""
    freed = free_lock(environment.ports, environment.caller.arn, settings.limits)
    completed = complete_reports(settings, reports, environment, reason)
    removed = remove_of_ended_runs(environment.ports.data, reports, click.echo)
    holder = environment.ports.lease.current()
    if freed is not None:
        click.echo(f"the lock of {freed}, whose process is gone, is free again; no traffic had to be moved")
    elif holder is not None and alive(environment.ports, holder):
        raise LeaseHeld(holder)
    elif holder is not None:
        click.echo(f"nothing to recover; the lock of {holder.deployment_id} will expire")
    elif not (completed or removed):
        click.echo("nothing to recover")


def complete_reports(
    settings: Settings, reports: Path, environment: Environment | None = None, reason: str | None = None
) -> int:
    """Complete the reports of runs that died on this host before they changed anything; return how many.

    ``reason``: the caller's; if no report is completed, the caller is told that it is recorded nowhere.
    """
    completed = _complete(settings, reports, environment, reason)
    if reason is not None and not completed:
        click.echo("--reason is not recorded: there is no run to recover whose report could hold it", err=True)
    return completed


def _complete(settings: Settings, reports: Path, environment: Environment | None, reason: str | None) -> int:
    return complete(
        reports,
        settings.environment,
        by=Recoverer(environment.caller.arn if environment is not None else getpass.getuser(), reason),
        clock=SystemClock(),
        evidence=_evidence(environment)
        if environment is not None
        else EvidenceWriter(LearningRedactor().clean, NOWHERE, console.say, render),
        lost=lost_reports.results(environment.ports.lease) if environment is not None else {},
    )


def _evidence(environment: Environment, *, leased: bool = False) -> EvidenceWriter:
    """Return the writer of an interrupted run's evidence; ``leased``: the run held the lease."""
    return EvidenceWriter(
        console.redactor_of(environment).clean, environment.archive(leased=leased), console.say, render
    )

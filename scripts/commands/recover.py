"""``recover``: finishes or undoes what a killed run left half done."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import click

from deployment.access import CLEARING_UP, demand_any
from deployment.clock import SystemClock
from deployment.errors import DeploymentError, StepFailed
from deployment.evidence.archive import NOWHERE, EvidenceWriter
from deployment.evidence.report import VERDICTS
from deployment.evidence.sentence import NEXT
from deployment.flow.lease import open_deployment
from deployment.flow.notices import Audience
from deployment.phases import Phase
from deployment.recovery.complete_report import complete, free_lock, half_done
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.recover import UNDECIDED, Decision
from deployment.settings import Settings
from infrastructure import compose
from infrastructure.compose import Environment
from plugins.page import standalone
from scripts.commands import console
from verification.redaction import LearningRedactor

HALTED = 11


def recover(settings: Settings, environment: Environment, reports: Path, decision: Decision = UNDECIDED) -> int:
    """0: settled, or nothing to do; 11: could not be settled. Raises LeaseHeld where the owner lives."""
    demand_any(settings.access, CLEARING_UP, environment.caller)
    found = open_deployment(environment.ports)
    if found is None:
        _clear_away(settings, environment, reports)
        return 0
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
        click.echo(f"{found.record.deployment_id} stays halted: {error}", err=True)
        return HALTED
    click.echo(f"{found.record.deployment_id}: {VERDICTS[phase]}; report in {reports / found.record.deployment_id}")
    if phase is Phase.HALTED:
        if decision.keep is not None:
            click.echo("Traffic was left where it is, and the lock was given back: deploy the fix.")
            return 0
        if found.record.plan.image.irreversible and decision.back is None:
            click.echo(
                f"Frozen: the migration of {found.record.plan.image.name} is irreversible. {NEXT['frozen']}", err=True
            )
            return HALTED
        click.echo("The live state could not be settled. See docs/roll-back-by-hand.md.", err=True)
        return HALTED
    complete_reports(settings, reports, environment)
    return 0


def recover_before_down(
    settings_of: Callable[[str], Settings], connect: Callable[[Settings], Environment], reports: Path
) -> None:
    """Settles what died in an embedded environment that is about to be stopped: afterwards nobody could say what became of it.

    What cannot be settled is said, and keeps nothing from being stopped.
    """
    for run, name in half_done(reports):
        try:
            settings = settings_of(name)
            if settings.provider != "embedded":
                continue  # an environment on AWS stays, and so does what is left in it
            if not compose.is_up(settings):
                if compose.sleeps(settings):
                    click.echo(
                        f"{run} died half done, and no environment runs that could be asked about it: its report",
                        err=True,
                    )
                    click.echo("stays incomplete. Next time: `up`, then `recover`, and only then `down`.", err=True)
                continue
            environment = connect(settings)
            found = open_deployment(environment.ports)
            if found is None or found.record.deployment_id != run:
                continue  # of another state folder, which its own `recover` or `down` settles
            click.echo(f"settling {run}, whose run died in phase {found.record.phase}")
            recover(settings, environment, reports)
        except DeploymentError as error:
            click.echo(f"{run} was not settled, and its report stays incomplete: {error}", err=True)


def _clear_away(settings: Settings, environment: Environment, reports: Path) -> None:
    """Nothing is half done; a lock and reports may still be left of runs that died before they touched anything."""
    freed = free_lock(environment.ports, environment.caller.arn, settings.limits)
    completed = complete_reports(settings, reports, environment)
    holder = environment.ports.lease.current()
    if freed is not None:
        click.echo(f"the lock of {freed}, whose process is gone, is free again; it had touched nothing")
    elif holder is not None:
        click.echo(f"nothing to recover; the lock of {holder.deployment_id} runs out by itself")
    elif not completed:
        click.echo("nothing to recover")


def complete_reports(settings: Settings, reports: Path, environment: Environment | None = None) -> int:
    """Completes the reports of runs that died on this host before they touched anything; returns how many."""
    return complete(
        reports,
        settings.environment,
        actor=environment.caller.arn if environment is not None else getpass.getuser(),
        clock=SystemClock(),
        evidence=_evidence(environment)
        if environment is not None
        else EvidenceWriter(LearningRedactor().clean, NOWHERE, console.say, standalone),
    )


def _evidence(environment: Environment, *, leased: bool = False) -> EvidenceWriter:
    """How the evidence of a dead run is written down; ``leased``: it held the lock."""
    return EvidenceWriter(
        console.redactor_of(environment).clean, environment.archive(leased=leased), console.say, standalone
    )

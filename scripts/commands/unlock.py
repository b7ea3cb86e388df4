"""``unlock``: breaks a lock by hand, and writes its own journal."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import RECOVERING, demand_any
from deployment.errors import DeploymentError, first_line
from deployment.evidence.journal import JOURNAL_FILE, Journal
from deployment.evidence.opening import Opening, open_journal
from deployment.evidence.sentence import in_environment
from deployment.flow.lease import open_deployment
from deployment.recovery.force_unlock import break_lock
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import console

RISK = (
    "--force: if that run still lives, it can change nothing from now on and cannot send traffic back: its work stays "
    "unfinished until `recover`."
)


def unlock(settings: Settings, environment: Environment, reports: Path, reason: str, force: bool) -> int:
    """Break the lock and return 0. Raises Refused if no lock is held, or if the holder lives and ``force`` is not set."""
    demand_any(settings.access, RECOVERING, environment.caller)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-unlock-{secrets.token_hex(3)}"
    journal = Journal(
        reports / run_id / JOURNAL_FILE,
        environment.caller.arn,
        environment.ports.clock,
        console.redactor_of(environment).clean,
    )
    opening = Opening(run_id, environment.name, "unlock", environment.caller.arn)
    started_at = environment.ports.clock.now().isoformat(timespec="milliseconds")
    open_journal(journal, opening, started_at, reason=reason, force=force)
    journal.require_written()
    if force:
        click.echo(RISK, err=True)
    try:
        holder = break_lock(
            environment.ports, settings.limits, journal, by=environment.caller.arn, reason=reason, force=force
        )
    except DeploymentError as error:
        journal.append("closed", outcome="refused", reason=first_line(error))
        raise
    journal.append("closed", outcome="broken", reason=reason)
    click.echo(f"broken: the lock of {holder.deployment_id} ({holder.actor}, host {holder.host}, pid {holder.pid})")
    if open_deployment(environment.ports) is not None:
        named = in_environment(settings.environment)
        click.echo(f"next: python scripts/deploy.py recover{named}, which finishes or undoes the interrupted run")
    click.echo(f"journal: {reports / run_id / JOURNAL_FILE}")
    return 0

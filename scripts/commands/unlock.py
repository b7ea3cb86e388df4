"""``unlock``: breaks a lock by hand, with a journal of its own."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import CLEARING_UP, demand_any
from deployment.errors import DeploymentError
from deployment.evidence.journal import Journal
from deployment.flow.steps import first_line
from deployment.recovery.force_unlock import break_lock
from deployment.recovery.interrupted_run import JOURNAL_FILE
from deployment.recovery.recover import unsettled
from deployment.settings import Settings
from infrastructure.compose import World
from scripts.commands import console

RISK = (
    "--force: if that run still lives, it can change nothing from now on, also not bring traffic back: whatever it was "
    "doing stays as it is until `recover`."
)


def unlock(settings: Settings, world: World, reports: Path, reason: str, force: bool) -> int:
    """0: broken. Raises Refused where there is nothing to break, or the holder lives."""
    demand_any(settings.access, CLEARING_UP, world.caller)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-unlock-{secrets.token_hex(3)}"
    journal = Journal(
        reports / run_id / JOURNAL_FILE, world.caller.arn, world.ports.clock, console.redactor_of(world).clean
    )
    journal.append(
        "opened",
        deployment_id=run_id,
        environment=world.environment,
        by=world.caller.arn,
        mode="unlock",
        host=socket.gethostname(),
        pid=os.getpid(),
        reason=reason,
        force=force,
    )
    if force:
        click.echo(RISK, err=True)
    try:
        holder = break_lock(world.ports, settings.limits, journal, by=world.caller.arn, reason=reason, force=force)
    except DeploymentError as error:
        journal.append("closed", outcome="refused", reason=first_line(error))
        raise
    journal.append("closed", outcome="broken", reason=reason)
    click.echo(f"broken: the lock of {holder.deployment_id} ({holder.actor}, host {holder.host}, pid {holder.pid})")
    if unsettled(world.ports) is not None:
        click.echo("next: python scripts/deploy.py recover, which settles what it left half done")
    click.echo(f"journal: {reports / run_id / JOURNAL_FILE}")
    return 0

"""``retire``: stops the colour that was live before the last promotion, once its time has come."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import CLEARING_UP, demand_any
from deployment.evidence.journal import Journal
from deployment.recovery.interrupted_run import JOURNAL_FILE
from deployment.recovery.lock_wait import refuse_while_held
from deployment.recovery.retire import due, retire_previous
from deployment.settings import Settings
from infrastructure.compose import World
from scripts.commands import console


def retire(settings: Settings, world: World, reports: Path, *, now: bool) -> int:
    """0: stopped, or nothing runs there. Raises Refused where its time has not come, StepFailed where it still runs."""
    demand_any(settings.access, CLEARING_UP, world.caller)
    refuse_while_held(world.ports)
    promotion = due(world.ports, now=now)
    if promotion is None:
        click.echo("the previous colour does not run")
        return 0
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-retire-{secrets.token_hex(3)}"
    path = reports / run_id / JOURNAL_FILE
    journal = Journal(path, world.caller.arn, world.ports.clock, console.redactor_of(world).clean)
    journal.append(
        "opened",
        deployment_id=run_id,
        environment=world.environment,
        target=promotion.previous.colour,
        by=world.caller.arn,
        mode="retire",
        undoes=promotion.deployment_id,
    )
    said = retire_previous(
        promotion, run_id, world.caller.arn, world.environment, settings.limits, world.ports, journal, console.event
    )
    click.echo(said)
    click.echo(f"journal: {path}")
    return 0

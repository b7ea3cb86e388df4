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
from infrastructure.compose import Environment
from scripts.commands import console


def retire(settings: Settings, environment: Environment, reports: Path, *, now: bool) -> int:
    """0: stopped, or nothing runs there. Raises Refused where its time has not come, StepFailed where it still runs."""
    demand_any(settings.access, CLEARING_UP, environment.caller)
    refuse_while_held(environment.ports)
    promotion = due(environment.ports, now=now)
    if promotion is None:
        click.echo("the previous colour does not run")
        return 0
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-retire-{secrets.token_hex(3)}"
    path = reports / run_id / JOURNAL_FILE
    journal = Journal(path, environment.caller.arn, environment.ports.clock, console.redactor_of(environment).clean)
    journal.append(
        "opened",
        deployment_id=run_id,
        environment=environment.name,
        target=promotion.previous.colour,
        by=environment.caller.arn,
        mode="retire",
        undoes=promotion.deployment_id,
    )
    said = retire_previous(
        promotion,
        run_id,
        environment.caller.arn,
        environment.name,
        settings.limits,
        environment.ports,
        journal,
        console.event,
    )
    click.echo(said)
    click.echo(f"journal: {path}")
    return 0

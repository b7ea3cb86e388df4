"""``retire``: stops the previously live colour after ``retire_after``."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import RECOVERING, demand_any
from deployment.evidence.journal import JOURNAL_FILE, Journal
from deployment.evidence.opening import Opening, open_journal
from deployment.recovery.lock_wait import refuse_while_held
from deployment.recovery.retire import due, retire_previous
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import console


def retire(settings: Settings, environment: Environment, reports: Path, *, now: bool) -> int:
    """Stop the previous colour and return 0; ``now``: ignore ``retire_after``.

    Raises Refused if ``retire_after`` has not passed, StepFailed if the colour still runs.
    """
    demand_any(settings.access, RECOVERING, environment.caller)
    refuse_while_held(environment.ports)
    promotion = due(environment.ports, now=now)
    if promotion is None:
        click.echo("the previous colour is not running")
        return 0
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-retire-{secrets.token_hex(3)}"
    path = reports / run_id / JOURNAL_FILE
    journal = Journal(path, environment.caller.arn, environment.ports.clock, console.redactor_of(environment).clean)
    opening = Opening(run_id, environment.name, "retire", environment.caller.arn, promotion.previous.colour)
    started_at = environment.ports.clock.now().isoformat(timespec="milliseconds")
    open_journal(journal, opening, started_at, undoes=promotion.deployment_id)
    journal.require_written()
    click.echo(retire_previous(promotion, run_id, environment.operation(settings.limits), journal, console.event))
    click.echo(f"journal: {path}")
    return 0

"""``recover``: finishes or undoes what a killed run left half done."""

from __future__ import annotations

from pathlib import Path

import click

from deployment.access import CLEARING_UP, demand_any
from deployment.phases import Phase
from deployment.recovery import unsettled
from deployment.report import VERDICTS
from deployment.settings import Settings
from deployment.settling import settle_leftover
from infrastructure.compose import World
from plugins.page import standalone
from scripts import console

HALTED = 11


def recover(settings: Settings, world: World, reports: Path) -> int:
    """0: settled, or nothing to do; 11: could not be settled. Raises LeaseHeld where the owner lives."""
    demand_any(settings.access, CLEARING_UP, world.caller)
    found = unsettled(world.ports)
    if found is None:
        holder = world.ports.lease.current()
        click.echo(
            "nothing to recover" + (f"; the lock of {holder.deployment_id} runs out by itself" if holder else "")
        )
        return 0
    phase = settle_leftover(
        found,
        world.ports,
        settings.limits,
        actor=world.caller.arn,
        reports=reports,
        listener=console.event,
        clean=console.redactor_of(world).clean,
        archive=world.archive(leased=True),
        say=console.say,
        page=standalone,
        notifier=world.notifier,
    )
    click.echo(f"{found.note.deployment_id}: {VERDICTS[phase]}; report in {reports / found.note.deployment_id}")
    if phase is Phase.HALTED:
        click.echo("The live state could not be settled. See docs/roll-back-by-hand.md.", err=True)
        return HALTED
    return 0

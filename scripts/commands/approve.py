"""``approve``: says yes to a promotion that waits for it."""

from __future__ import annotations

import click

from deployment.flow.approval import give
from deployment.settings import Settings
from infrastructure.compose import World
from scripts.commands import console


def approve(settings: Settings, world: World, deployment_id: str, reason: str | None) -> int:
    """0: said; the run takes it, or refuses it, within seconds. Raises Refused where this caller, or this run, may not."""
    clean = console.redactor_of(world).clean
    given = give(world.ports, settings.access, world.caller, deployment_id, None if reason is None else clean(reason))
    click.echo(f"approved: {given.deployment_id}, {given.digest}, by {given.by}")
    return 0

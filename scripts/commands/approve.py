"""``approve``: approves a promotion that waits for approval."""

from __future__ import annotations

import click

from deployment.flow.approval import record_approval
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import console


def approve(settings: Settings, environment: Environment, deployment_id: str, reason: str | None) -> int:
    """Approve and return 0; the run accepts or refuses it within seconds.

    Raises Refused if this caller may not approve, or if the deployment does not wait for approval.
    """
    clean = console.redactor_of(environment).clean
    approval = record_approval(
        environment.ports, settings.access, environment.caller, deployment_id, None if reason is None else clean(reason)
    )
    click.echo(f"approved: {approval.deployment_id}, {approval.digest}, by {approval.by}")
    return 0

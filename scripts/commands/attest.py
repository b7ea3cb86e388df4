"""``attest``: attests items of the checklist for one digest, before a run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from deployment.preflight import attestations, checklist
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import console

DIGEST = "sha256:"


def attest(settings: Settings, environment: Environment, release: str, items: Sequence[str]) -> int:
    """Record the attestations and return 0. Raises Refused if an item or the release is unknown, or the caller may not."""
    clean = console.redactor_of(environment).clean
    attested = checklist.parse([clean(item) for item in items], checklist.load(settings.project.checklist_file))
    digest = release if release.startswith(DIGEST) else environment.registry.resolve(release).digest
    for name, one in attestations.record(
        environment.ports, settings.access, environment.caller, digest, attested
    ).items():
        click.echo(f"attested: {name} of {digest}, {one.who}: {one.what} (recorded by {one.by})")
    return 0

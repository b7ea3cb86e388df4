"""This run's checks and waivers against those of the last promotion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployment.flow.machine import Machine
from infrastructure.compose import Environment

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator


def compare_manifests(run: Coordinator, environment: Environment, machine: Machine) -> None:
    """Which checks the last promotion had to pass and this one has not: nobody loses a check without it being seen."""
    machine.manifest = tuple(sorted(run.redactor.clean(check.nodeid) for check in run.checks))
    run.waivers = {gate: reason.replace(run.actor, environment.caller.arn) for gate, reason in run.waivers.items()}
    for gate, reason in run.waivers.items():
        run.journal.append("waived", gate=gate, reason=reason)
    last = json.loads(environment.ports.lease.notes().get("checks", "[]"))
    run.gone = sorted(set(last) - set(machine.manifest))
    if run.gone:
        run.journal.append("gone", checks=run.gone)
        run.progress(f"{len(run.gone)} checks of the last promotion are gone, among them {run.gone[0]}")

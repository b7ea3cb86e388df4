"""What a run knows of the candidate's surroundings: the stores that both colours share, and the front door before them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployment.errors import StepFailed
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.stages import BYSTANDER, CONTINUITY
from plugins.state import Front
from verification.queues import takers
from verification.stores import Before, StoreFailed, before

if TYPE_CHECKING:
    from deployment.flow.machine import Machine
    from plugins.modes.coordinator import Coordinator


def take_snapshot(environment: Environment, settings: Settings) -> Before | None:
    """What the stores hold now; None where the settings give no connection to either. Raises StepFailed."""
    statement = settings.gates.get("database", {}).get("rows")
    database, redis = environment.stores.database, environment.stores.redis
    seen: Before | None = None
    try:
        if database is not None and statement is not None:
            seen = before(database, statement, [user.email for user in environment.smoke_users])
        if redis is not None and (taking := takers(redis)) is not None:
            seen = replace(seen or Before(None, 0), takers=taking[1])
    except StoreFailed as error:
        raise StepFailed(
            str(error),
            hint="database_url_secret, redis_url_secret and gates.database.rows of deployment.toml say where and what.",
        ) from None
    return seen


def front_of(environment: Environment, url: str) -> Front:
    """How the environment's front door asks what answers at that address, a colour's own or any other."""
    return Front(environment.live_url, environment.viewer_host, environment.rehearsal_hosts.get(url))


def allow_unhealthy_live(run: Coordinator, machine: Machine) -> None:
    """Waive the gates that ask the live colour if it was unhealthy at the beginning, and journal why."""
    if machine.live_problem is None:
        return
    reason = f"live was sick already: {run.options.allow_unhealthy_live}"
    for gate in sorted({BYSTANDER, CONTINUITY} & set(run.gate_names()) - run.waivers.keys()):
        run.waive(gate, reason, machine.plan.actor)

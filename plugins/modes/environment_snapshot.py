"""The candidate's surroundings: the stores that both colours share, and the front door before them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployment.errors import StepFailed
from deployment.settings import Settings
from infrastructure.description import service_of
from plugins.stages import BYSTANDER, CONTINUITY
from plugins.state import FrontDoorRequest
from verification.stores.connections import Before, StoreFailed, before
from verification.stores.queues import takers

if TYPE_CHECKING:
    from deployment.flow.machine import Machine
    from infrastructure.compose import Environment
    from plugins.modes.coordinator import Coordinator


def take_snapshot(environment: Environment, settings: Settings) -> Before | None:
    """Return what the stores hold now, None if the settings name neither. Raises StepFailed if a store does not answer."""
    statement = service_of(settings).stores.get("database", {}).get("rows")
    database, redis = environment.stores.database, environment.stores.redis
    seen: Before | None = None
    try:
        if database is not None:
            seen = before(database, statement, [user.email for user in environment.smoke_users])
        if redis is not None and (taking := takers(redis)) is not None:
            seen = replace(seen or Before(None, 0), takers=taking[1])
    except StoreFailed as error:
        raise StepFailed(
            str(error),
            hint="Check database_url_secret and redis_url_secret of the environment, and stores.database.rows of suites/service.yaml.",
        ) from None
    return seen


def front_door_request(environment: Environment, url: str) -> FrontDoorRequest:
    """Return how the environment's front door sends requests to the service at ``url``."""
    return FrontDoorRequest(environment.live_url, environment.viewer_host, environment.rehearsal_hosts.get(url))


def allow_unhealthy_live(run: Coordinator, machine: Machine) -> None:
    """Waive the gates that send requests to the live colour if it was unhealthy when the run began, and journal why."""
    if machine.live_problem is None:
        return
    reason = f"the live colour was already unhealthy: {run.options.allow_unhealthy_live}"
    for gate in sorted({BYSTANDER, CONTINUITY} & set(run.gate_names()) - run.waivers.keys()):
        run.waive(gate, reason, machine.plan.actor)

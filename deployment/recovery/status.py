"""The current state of an environment, read from router, platform, registry and lease each time."""

from __future__ import annotations

from typing import Any

from deployment.errors import CloudError, Refused, StepFailed, first_line
from deployment.flow.lease import OpenDeployment, open_deployment, owner_alive
from deployment.flow.rollback import require_healthy
from deployment.model import Service
from deployment.plan import LIVE_SINCE, LiveSince, Ports
from deployment.ports import Registry
from deployment.recovery.undo import Asker, undoable
from deployment.releases import named_image

# ``status`` reads no secrets, so it plays only the journeys without a session.
WITHOUT_USERS = "found without the smoke users, with whom `rollback` checks more"


def describe(
    environment: str, live_url: str, ports: Ports, registry: Registry, asker: Asker | None = None
) -> dict[str, Any]:
    """Return the document of ``status --json``. Never waits for the lock. Raises CloudError or SwitchFailed.

    ``asker``: the caller, if the document says whether this caller may roll back.
    """
    live = ports.router.observe().live
    current = open_deployment(ports)
    service = ports.platform.describe(live)
    return {
        "environment": environment,
        "live_url": live_url,
        "live": _colour(ports, registry, service),
        "idle": _colour(ports, registry, ports.platform.describe(live.other)),
        "deployment": _deployment(current) if current else None,
        "lock": _lock(ports),
        "live_domain": _live_domain(ports),
        "live_since": _live_since(ports, service),
        "rollback": _rollback(ports, registry, asker),
    }


def _live_domain(ports: Ports) -> dict[str, Any]:
    """Return what the live domain answers now to a request of the health path."""
    answer = next(iter(ports.front.ask(1)), None)
    if answer is None:
        return {"ok": False, "colour": None, "version": None, "problem": "no answer"}
    return {"ok": answer.ok, "colour": answer.colour, "version": answer.version, "problem": answer.problem}


def _live_since(ports: Ports, live: Service) -> dict[str, Any] | None:
    """Return since when this release is live, and by whom; None if another writer changed it, or nothing is known."""
    text = ports.lease.notes().get(LIVE_SINCE)
    try:
        since = LiveSince.load(text) if text else None
    except CloudError:  # the note was spoiled
        return None
    if since is None or (since.colour, since.digest) != (live.colour, live.digest):
        return None
    return {"at": since.at, "by": since.by, "how": since.how, "deployment_id": since.deployment_id}


def _rollback(ports: Ports, registry: Registry, asker: Asker | None) -> dict[str, Any]:
    """Return what ``rollback`` would do now: to which release, or why not. It leaves everything as it is."""
    nothing: dict[str, Any] = {"colour": None, "image": None, "version": None, "undoes": None}
    try:
        promotion = undoable(ports, asker)
    except (Refused, CloudError) as error:  # a note can be spoiled
        return {"possible": False, **nothing, "reason": first_line(error)}
    back = promotion.previous
    image = named_image(registry, back.digest)
    found = {
        "colour": back.colour.value,
        "image": image.name if image else None,
        "version": back.version,
        "undoes": promotion.deployment_id,
    }
    service = ports.platform.describe(back.colour)
    if not service.running or service.digest != back.digest:
        return {"possible": False, **found, "reason": f"{back.colour} is {service.status} on {service.digest}"}
    answer = next(iter(ports.front.ask(1, back.url)), None)
    if answer is None or not (answer.ok or answer.fails_like(back.problems)):
        problem = answer.problem if answer else "no answer"
        return {"possible": False, **found, "reason": f"{back.colour} cannot take the traffic back: {problem}"}
    try:  # its dependencies, and what was wrong before the deployment: then the live colour decides as well
        require_healthy(ports, back)
    except StepFailed as error:
        return {"possible": False, **found, "reason": f"{first_line(error)}; {WITHOUT_USERS}"}
    if promotion.image.irreversible:
        reason = f"the migration of {promotion.image.name} is irreversible: --allow-irreversible REASON is needed"
        return {"possible": False, **found, "reason": reason}
    return {"possible": True, **found, "reason": None}


def _colour(ports: Ports, registry: Registry, service: Service) -> dict[str, Any]:
    """Describe one colour: image and digest as configured; version and url as running, null if nothing runs."""
    image = named_image(registry, service.digest)
    answer = next(iter(ports.front.ask(1, service.url)), None) if service.running and service.url else None
    return {
        "colour": service.colour.value,
        "image": image.name if image else None,
        "digest": service.digest,
        "version": answer.version if answer else None,
        "url": service.url if service.running else None,
    }


def _deployment(current: OpenDeployment) -> dict[str, Any]:
    record, plan, owner = current.record, current.record.plan, current.record.owner
    return {
        "id": plan.deployment_id,
        "phase": record.phase.value,
        "target": plan.target.value,
        "image": plan.image.name,
        "digest": plan.image.digest,
        "actor": plan.actor,
        "host": owner.host,
        "pid": owner.pid,
        "started_at": plan.started_at.isoformat(),
        "phase_since": record.phase_since,
        "owner_alive": owner_alive(owner),
    }


def _lock(ports: Ports) -> dict[str, Any] | None:
    holder = ports.lease.current()
    if holder is None:
        return None
    return {
        "deployment_id": holder.deployment_id,
        "actor": holder.actor,
        "host": holder.host,
        "pid": holder.pid,
        "since": holder.since.isoformat(),
        "expires_at": holder.expires_at.isoformat(),
        "token": holder.token,
    }

"""What an environment looks like now: asked of router, platform, registry and lease, never remembered."""

from __future__ import annotations

from typing import Any

from deployment.model import Service
from deployment.plan import Ports, owner_alive
from deployment.ports import Registry
from deployment.recovery.recover import Unsettled, unsettled


def look(environment: str, live_url: str, ports: Ports, registry: Registry) -> dict[str, Any]:
    """The document of ``status --json``. Never waits for the lock. Raises CloudError or SwitchFailed."""
    live = ports.router.observe().live
    found = unsettled(ports)
    return {
        "environment": environment,
        "live_url": live_url,
        "live": _colour(ports, registry, ports.platform.describe(live)),
        "idle": _colour(ports, registry, ports.platform.describe(live.other)),
        "deployment": _deployment(found) if found else None,
        "lock": _lock(ports),
    }


def _colour(ports: Ports, registry: Registry, service: Service) -> dict[str, Any]:
    """Image and digest are what is configured; version and url are what runs, null where nothing does."""
    image = registry.find(service.digest) if service.digest else None
    answer = next(iter(ports.front.ask(1, service.url)), None) if service.running and service.url else None
    return {
        "colour": service.colour.value,
        "image": image.name if image else None,
        "digest": service.digest,
        "version": answer.version if answer else None,
        "url": service.url if service.running else None,
    }


def _deployment(found: Unsettled) -> dict[str, Any]:
    note = found.note
    return {
        "id": note.deployment_id,
        "phase": note.phase.value,
        "target": note.target.value,
        "image": note.image.name,
        "digest": note.image.digest,
        "actor": note.actor,
        "host": note.host,
        "pid": note.pid,
        "started_at": note.started_at,
        "phase_since": note.phase_since,
        "owner_alive": owner_alive(note.host, note.pid, note.process_started),
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

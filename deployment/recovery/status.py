"""The current state of an environment, read from router, platform, registry and lease each time."""

from __future__ import annotations

from typing import Any

from deployment.flow.lease import OpenDeployment, open_deployment, owner_alive
from deployment.model import Service
from deployment.plan import Ports
from deployment.ports import Registry


def describe(environment: str, live_url: str, ports: Ports, registry: Registry) -> dict[str, Any]:
    """Return the document of ``status --json``. Never waits for the lock. Raises CloudError or SwitchFailed."""
    live = ports.router.observe().live
    current = open_deployment(ports)
    return {
        "environment": environment,
        "live_url": live_url,
        "live": _colour(ports, registry, ports.platform.describe(live)),
        "idle": _colour(ports, registry, ports.platform.describe(live.other)),
        "deployment": _deployment(current) if current else None,
        "lock": _lock(ports),
    }


def _colour(ports: Ports, registry: Registry, service: Service) -> dict[str, Any]:
    """Describe one colour: image and digest as configured; version and url as running, null if nothing runs."""
    image = registry.find(service.digest) if service.digest else None
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
        "owner_alive": owner_alive(owner.host, owner.pid, owner.process_started),
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

"""The sequence of a service's deployments, as pure functions from one record to the next."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import replace

from infrastructure.embedded.aws.ecs.records import Deployment, Revision, Service
from infrastructure.embedded.aws.ecs.rolling import failures_allowed

HISTORY_KEPT = 100
"""The number of a service's service deployments that can still be described; on AWS they stay for 90 days."""


def new_deployment(task_definition: str, desired: int) -> Deployment:
    """Return a deployment that begins now."""
    now = time.time()
    deployment_id = f"ecs-svc/{secrets.randbelow(9 * 10**18) + 10**18}"
    reason = f"ECS deployment {deployment_id} in progress."
    return Deployment(deployment_id, task_definition, now, now, desired, reason=reason)


def superseded(service: Service, by: Deployment) -> Service:
    """Return the service with a new primary deployment; the older ones become ACTIVE and wind down."""
    older = tuple(replace(one, status="ACTIVE", desired=0, updated_at=by.created_at) for one in service.deployments)
    return replace(service, deployments=(by, *older))


def recorded(service: Service) -> Service:
    """Return the service with its primary deployment in its history; an unfinished one before it is STOPPED."""
    now, primary = time.time(), service.primary
    older = tuple(_ended(one, "STOPPED", now) if one.ended_at is None else one for one in service.history)
    arn = f"{service.arn.replace(':service/', ':service-deployment/')}/{secrets.token_urlsafe(15)}"
    return replace(service, history=(*older, Revision(arn, primary.id, now))[-HISTORY_KEPT:])


def failed_task(service: Service, deployment_id: str) -> Service:
    """Return the service with one more failed task of an unfinished deployment.

    If the circuit breaker trips, the deployment becomes FAILED, and a rollback begins if configured and possible.
    """
    deployment = service.deployment(deployment_id)
    if deployment is None or deployment.state != "IN_PROGRESS":
        return service
    counted = replace(deployment, failed=deployment.failed + 1, updated_at=time.time())
    changed = service.with_deployment(counted)
    breaker = service.settings["deploymentConfiguration"].get("deploymentCircuitBreaker", {})
    if not breaker.get("enable") or counted.failed < failures_allowed(service.desired) or counted.status != "PRIMARY":
        return changed
    broken = replace(counted, state="FAILED", reason="ECS deployment circuit breaker: tasks failed to start.")
    changed = _with_event(
        changed.with_deployment(broken), f"(deployment {broken.id}) deployment failed: tasks failed to start."
    )
    if not breaker.get("rollback") or service.last_good in (None, broken.task_definition):
        return _with_history(changed, broken.id, "STOPPED", broken.reason)
    back = new_deployment(service.last_good or "", service.desired)
    back = replace(back, reason=f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}.")
    changed = _with_history(changed, broken.id, "ROLLBACK_IN_PROGRESS", broken.reason, back=back.id)
    return _with_event(superseded(changed, back), f"rolling back to deployment {back.id}.")


def completed(service: Service) -> Service:
    """Return the service with its primary deployment COMPLETED; a later rollback leads to its task definition."""
    now, primary = time.time(), service.primary
    reason = f"ECS deployment {primary.id} completed."
    done = replace(primary, state="COMPLETED", reason=reason, updated_at=now)
    changed = replace(service.with_deployment(done), last_good=primary.task_definition)
    changed = _with_history(changed, primary.id, "SUCCESSFUL", "")
    changed = _with_event(changed, f"(deployment {primary.id}) deployment completed.")
    return _with_event(changed, "has reached a steady state.")


def without_ended(service: Service, alive: set[str]) -> Service:
    """Return the service without older deployments that have no task left; `alive` holds the ids of those that have."""
    kept = tuple(one for one in service.deployments if one.status == "PRIMARY" or one.id in alive)
    return service if kept == service.deployments else replace(service, deployments=kept)


def _with_history(service: Service, deployment: str, status: str, reason: str, back: str | None = None) -> Service:
    """Return the service with a new status of the history's entry for a deployment, or for the rollback that it is."""
    now, history = time.time(), []
    for one in service.history:
        if one.deployment == deployment and back is not None:
            history.append(replace(one, status=status, reason=reason, back=back))
        elif one.deployment == deployment and one.ended_at is None:
            history.append(replace(_ended(one, status, now), reason=reason))
        elif one.back == deployment and one.ended_at is None:
            history.append(_ended(one, "ROLLBACK_SUCCESSFUL", now))
        else:
            history.append(one)
    return replace(service, history=tuple(history))


def _ended(one: Revision, status: str, at: float) -> Revision:
    return replace(one, status=status, ended_at=at)


def _with_event(service: Service, message: str) -> Service:
    return service.with_event(str(uuid.uuid4()), time.time(), message)

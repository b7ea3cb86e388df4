"""Stops an embedded environment for `down`: never under a run, unless that is forced."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deployment.clock import SystemClock
from deployment.errors import CloudError, EnvironmentTaken, LeaseHeld, Refused
from deployment.flow.lease import owner_alive, this_process
from deployment.model import Holder
from deployment.project import Project
from deployment.settings import DeploymentLimits
from infrastructure.aws.dynamodb import DynamoLease
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.session import Clients, clients_for
from infrastructure.compose import embedded_connection
from infrastructure.embedded import cloud
from infrastructure.embedded.errors import EmbeddedError, StateOwned

_HINT = "Wait for it, or interrupt it: it cleans up. `down --force` stops the environment under it."
_LIMITS = DeploymentLimits()


def refuse_to_stop_under_a_run(project: Project) -> None:
    """Raise Refused, naming the run, if a living process works on the embedded environment: it would stop under it.

    An environment whose lease does not answer has no run that could go on.
    """
    try:
        cloud.refuse_strangers(project.embedded_state)
    except StateOwned as error:
        raise _taken(error) from None
    lease = _lease(project)
    if lease is not None:
        with suppress(CloudError):
            _refuse_living(lease[1].current())


def stop(project: Project, *, force: bool) -> tuple[str, ...]:
    """Stop the embedded environment; return the names of the stopped processes.

    Unless ``force``, this takes the environment's lease first, so that no run can begin or go on while it stops. Raises
    Refused, naming the run, if one has begun.
    """
    try:
        if force:
            return cloud.down(project.embedded_state).processes
        with _locked(project):
            return cloud.down(project.embedded_state, under_a_run=False).processes
    except StateOwned as error:
        raise _taken(error) from None
    except EmbeddedError as error:
        raise Refused(str(error)) from error


@contextmanager
def _locked(project: Project) -> Iterator[None]:
    """Hold the lease, which ends with the environment; nothing is held if it does not answer. Raises Refused."""
    found, holder = _lease(project), None
    if found is not None:
        clients, lease = found
        with suppress(CloudError):
            holder = _acquire(lease, StsIdentity(clients).caller_and_clock()[0].arn)
    try:
        yield
    except BaseException:
        if found is not None and holder is not None:
            with suppress(CloudError):
                found[1].release(holder)
        raise


def _acquire(lease: DynamoLease, actor: str) -> Holder:
    held = lease.current()
    _refuse_living(held)
    clock = SystemClock()
    run_id = f"{clock.now():%Y%m%d-%H%M%S}-down-{secrets.token_hex(3)}"
    mine = this_process(run_id, actor, clock, _LIMITS, "stop the environment")
    try:
        return lease.acquire(mine, take_over=held.token if held is not None else None)
    except LeaseHeld as error:  # a run took it a moment ago
        raise _held(error.holder) from None


def _lease(project: Project) -> tuple[Clients, DynamoLease] | None:
    """Return the environment's lease; None if the environment is not up."""
    outputs = cloud.outputs(project.embedded_state)
    if outputs is None:
        return None
    clients = clients_for(embedded_connection(outputs))
    return clients, DynamoLease(clients, outputs.lease_table, _LIMITS.lease_ttl, SystemClock())


def _refuse_living(holder: Holder | None) -> None:
    """Raise Refused if the holder may be alive: its process is, or that cannot be known and its lease has not expired."""
    if holder is None:
        return
    here = owner_alive(holder)
    if here or (here is None and holder.expires_at > SystemClock().now()):
        raise _held(holder)


def _held(holder: Holder) -> Refused:
    return Refused(
        f"{holder.deployment_id} of {holder.actor} holds the lock of this environment (host {holder.host}, "
        f"pid {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S} UTC, doing: {holder.doing})",
        hint=_HINT,
    )


def _taken(error: StateOwned) -> EnvironmentTaken:
    return EnvironmentTaken(f"deployment {error.run} (this host, pid {error.pid}) is running in it", hint=_HINT)

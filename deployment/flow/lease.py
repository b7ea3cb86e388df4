"""The lease of a deployment: which process holds it, whether that process lives, and the thread that renews it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import psutil

from deployment.clock import process_identity, process_runs
from deployment.errors import CloudError, LeaseLost, SettingsError, first_line
from deployment.model import Holder
from deployment.plan import DeploymentRecord, Owner, Ports
from deployment.polling import poll
from deployment.ports import Clock, Lease
from deployment.settings import DeploymentLimits

# Three renewals within the time to live, and after a failed one many tries, so that an outage of half that time costs nothing.
RENEWALS_PER_TTL = 3
TRIES_PER_TTL = 20
# A later process that got the same pid started at another time.
SAME_START_S = 1.0
UNANSWERED = (CloudError, SettingsError, LeaseLost)
"""The errors of a call to the lock's table."""


class LeaseKeeper:
    """Renews a lease from a thread of its own until it is stopped.

    ``lost`` says why the lease may not be used any more; it is None while the lease may be used. Only another run that took
    the lease, or its release, ends the renewals: after any error the keeper tries again, also after the lease has expired.
    ``problem`` is the error of the last try; None if it succeeded.
    """

    def __init__(
        self, lease: Lease, holder: Holder, ttl_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.lost: str | None = None
        self.problem: str | None = None
        self._monotonic = monotonic
        self._lease = lease
        self._holder = holder
        self._pause = ttl_s / RENEWALS_PER_TTL
        self._soon = ttl_s / TRIES_PER_TTL
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Start to renew the lease."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. The lease itself is not released."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._pause)

    def _run(self) -> None:
        pause: float | None = self._pause
        while pause is not None and not self._stop.wait(pause):
            pause = self.renew()

    def renew(self) -> float | None:
        """Try to renew the lease once. Return the seconds until the next try is due, None if the lease is lost."""
        began = self._monotonic()
        try:
            self._holder = self._lease.renew(self._holder)
        except LeaseLost as error:
            self.lost = str(error) if self.problem is None else f"{error}; the renewal before failed: {self.problem}"
            return None
        except Exception as error:  # whatever it is: without renewals another run takes the lease
            self.problem = first_line(error)
            return self._soon
        self.problem = None
        return max(
            self._soon, self._pause - (self._monotonic() - began)
        )  # the lease lasts from the begin of the renewal


def regain(ports: Ports, holder: Holder, timeout_s: float) -> None:
    """Renew a lease that may have expired in an outage of its table, with retries for ``timeout_s`` seconds.

    Raises LeaseLost if another run took it or if it was released, DeadlinePassed if the table does not answer.
    """
    last = [""]

    def attempt() -> bool | None:
        try:
            ports.lease.renew(holder)
        except (CloudError, SettingsError) as error:
            last[0] = first_line(error)
            return None
        return True

    poll(ports.clock, attempt, timeout_s=timeout_s, waiting_for=lambda: f"the lease was not renewed; last: {last[0]}")


def release_lock(lease: Lease, holder: Holder, notes: Mapping[str, str | None]) -> str | None:
    """Write the last notes, then release the lease.

    Call it after the report was written: a run that dies before this is found by the next command. The journal is closed
    and signed by then, so an error is returned as text and not raised. Returns None on success.
    """
    try:
        lease.note(holder, notes)
        lease.release(holder)
    except UNANSWERED as error:
        return f"the lock was not released, run recover: {first_line(error)}"
    return None


def this_process(deployment_id: str, actor: str, clock: Clock, limits: DeploymentLimits, doing: str) -> Holder:
    """Return this process as a holder of the lease. ``doing`` says in a few words what for."""
    now = clock.now()
    return Holder(
        deployment_id=deployment_id,
        actor=actor,
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        since=now,
        expires_at=now + timedelta(seconds=limits.lease_ttl),
        doing=doing,
        process_identity=process_identity(),
    )


def owner_alive(owner: Holder | Owner) -> bool | None:
    """Return whether that process is alive, or None if that cannot be known from here: then only its lease shows it.

    A host's name does not identify a machine, and its clock may be set. So a process counts as dead only if it has an
    identity of this boot and PID namespace; one of an earlier version has none.
    """
    if owner.process_identity is not None:
        return process_runs(owner.process_identity)
    if owner.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(owner.pid)
        same = abs(process.create_time() - owner.process_started) < SAME_START_S
        return True if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def alive(ports: Ports, holder: Holder | None) -> bool:
    """Return whether the holder may still act.

    Its process is alive; or that cannot be known from here, and its lease has not expired.
    """
    if holder is None:
        return False
    here = owner_alive(holder)
    return holder.expires_at > ports.clock.now() if here is None else here


@dataclass(frozen=True)
class OpenDeployment:
    """A deployment whose record in the lease item is still open, and the holder of the lease, if any."""

    record: DeploymentRecord
    holder: Holder | None


def open_deployment(ports: Ports) -> OpenDeployment | None:
    """Return the deployment that is under way, or was when its process died; None if there is none."""
    text = ports.lease.notes().get("deployment")
    if text is None:
        return None
    return OpenDeployment(DeploymentRecord.load(text), ports.lease.current())

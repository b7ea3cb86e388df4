"""Breaking a lock by hand: with a reason, only if its holder shows no sign of life (or by force), and journalled."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from deployment.errors import DeadlinePassed, Refused
from deployment.evidence.journal import Journal
from deployment.files import parse_json
from deployment.flow.lease import owner_alive, this_process
from deployment.model import Holder
from deployment.plan import Ports
from deployment.polling import poll
from deployment.settings import DeploymentLimits

NOTE = "broken_locks"
KEPT = 20  # in the note, which the next deployment takes into its journal and clears


def break_lock(
    ports: Ports, limits: DeploymentLimits, journal: Journal, *, by: str, reason: str, force: bool
) -> Holder:
    """Take the lock from its holder, who then cannot change anything any more, and release it; return the former
    holder.

    An interrupted deployment is left to ``recover``. Raises Refused if the lock is free, or if its holder is alive and
    ``force`` is not set; LeaseHeld if another process took the lock first.
    """
    holder = ports.lease.current()
    if holder is None:
        raise Refused("the lock is free")
    sign = _sign_of_life(ports, holder, limits)
    if sign and not force:
        raise Refused(
            f"the holder of the lock is alive: {holder.deployment_id} of {holder.actor} ({sign}, doing: {holder.doing})",
            hint="Stop it instead: a signal to its process makes it clean up. --force breaks the lock anyway.",
        )
    broken: dict[str, Any] = {
        "deployment_id": holder.deployment_id,
        "actor": holder.actor,
        "host": holder.host,
        "pid": holder.pid,
        "token": holder.token,
        "by": by,
        "at": ports.clock.now().isoformat(timespec="seconds"),
        "reason": reason,
        "forced": bool(sign),
        "sign_of_life": sign,
    }
    journal.append("intent", step="unlock", what=f"break the lock of {holder.deployment_id}", lock=broken)
    breaker = this_process(f"unlock-{holder.deployment_id}", by, ports.clock, limits, f"break a lock: {reason}")
    mine = ports.lease.acquire(breaker, take_over=holder.token)
    earlier = earlier_locks(ports.lease.notes().get(NOTE))
    ports.lease.note(mine, {NOTE: json.dumps([*earlier, broken][-KEPT:])})
    ports.lease.release(mine)
    journal.append("lock_broken", lock=broken, token=mine.token)
    return holder


def earlier_locks(text: str | None) -> list[dict[str, Any]]:
    """Return the broken locks that the note lists; entries that are not complete are left out."""
    try:
        found = parse_json(text or "[]")
    except ValueError:
        return []
    shown = ("deployment_id", "by", "at", "reason")
    locks = found if isinstance(found, list) else []
    return [one for one in locks if isinstance(one, dict) and all(name in one for name in shown)]


def _sign_of_life(ports: Ports, holder: Holder, limits: DeploymentLimits) -> str | None:
    """Return the sign that the holder is alive: its process, if it can be seen here, or else a renewal during the wait.

    None if there is none.
    """
    here = owner_alive(holder)
    if here is not None:
        return f"pid {holder.pid} runs on this host" if here else None
    if holder.expires_at + timedelta(seconds=limits.lease_ttl) < ports.clock.now():
        return None

    def renewed() -> str | None:
        now = ports.lease.current()
        if now is None or now.token != holder.token:
            raise Refused(f"the lock of {holder.deployment_id} was taken or released just now", hint="See `status`.")
        return f"renewed from {holder.host} just now" if now.expires_at > holder.expires_at else None

    try:
        # A living holder renews its lease three times within the time to live.
        return poll(
            ports.clock, renewed, timeout_s=limits.lease_ttl / 2, waiting_for=lambda: "the lease was not renewed"
        )
    except DeadlinePassed:
        return None

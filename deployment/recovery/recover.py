"""Settling what a run that died left behind: read its note, ask the world, finish or undo."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime

from deployment.errors import DeploymentError, LeaseHeld, Refused, StepFailed
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.machine import Machine
from deployment.flow.reverify import unwell
from deployment.model import Holder
from deployment.phases import Phase
from deployment.plan import Note, Plan, Ports, owner_alive, this_process
from deployment.polling import poll
from deployment.settings import DeploymentLimits


@dataclass(frozen=True)
class Unsettled:
    """A deployment whose note is still open, and the holder of the lease, if any."""

    note: Note
    holder: Holder | None


def unsettled(ports: Ports) -> Unsettled | None:
    """The deployment that is under way, or was when its process died; None where there is none."""
    text = ports.lease.notes().get("deployment")
    if text is None:
        return None
    return Unsettled(Note.load(text), ports.lease.current())


def alive(ports: Ports, holder: Holder | None) -> bool:
    """Whether the holder may still act: its process lives, or is another host's and its lease has not run out."""
    if holder is None:
        return False
    here = owner_alive(holder.host, holder.pid, holder.process_started)
    return holder.expires_at > ports.clock.now() if here is None else here


def take_over(ports: Ports, found: Unsettled, actor: str, limits: DeploymentLimits) -> Holder:
    """Takes the lease of a dead run: at once where its process was this host's, else when it expires.

    Raises LeaseHeld where it was renewed meanwhile: its owner lives.
    """
    owner = this_process(found.note.deployment_id, actor, ports.clock, limits, f"recover {found.note.deployment_id}")
    holder = found.holder
    if holder is None:
        return ports.lease.acquire(owner)
    dead_here = owner_alive(holder.host, holder.pid, holder.process_started) is False
    if dead_here:
        return ports.lease.acquire(owner, take_over=holder.token)

    def attempt() -> Holder | None:
        try:
            return ports.lease.acquire(owner)
        except LeaseHeld as error:
            if error.holder.expires_at > holder.expires_at or error.holder.token != holder.token:
                raise
            return None

    left = max(0.0, (holder.expires_at - ports.clock.now()).total_seconds())
    return poll(
        ports.clock,
        attempt,
        timeout_s=left + limits.lease_ttl,
        waiting_for=lambda: f"the lease of {holder.deployment_id} on {holder.host} to run out",
    )


@dataclass(frozen=True)
class Decision:
    """What a person has decided about a halted deployment, and why; None: nothing.

    ``keep``: traffic stays where it is. ``back``: it goes back although the release's migration is irreversible.
    """

    keep: str | None = None
    back: str | None = None


UNDECIDED = Decision()


def settle(
    found: Unsettled,
    actor: str,
    limits: DeploymentLimits,
    ports: Ports,
    journal: Journal,
    listener: Listener,
    decision: Decision = UNDECIDED,
) -> Machine:
    """Finishes or undoes the deployment of a dead run; the returned machine is settled.

    Before the promote intent the candidate is stopped; from there until the bake's outcome traffic goes back, unless the
    release's migration is irreversible; after that the promotion stands. Raises LeaseHeld where its owner lives, Refused
    where somebody else settled it meanwhile or the decision does not fit.
    """
    if decision.keep is not None and found.note.phase is not Phase.HALTED:
        raise Refused(
            f"deployment {found.note.deployment_id} is not halted (phase {found.note.phase}): there is nothing to decide",
            hint="Run `python scripts/deploy.py recover` without --keep-live.",
        )
    owner = found.holder
    if owner is not None and owner_alive(owner.host, owner.pid, owner.process_started):
        raise LeaseHeld(owner)
    _ended(found.note)
    holder = take_over(ports, found, actor, limits)
    now = unsettled(ports)
    if now is None or now.note.deployment_id != found.note.deployment_id:
        ports.lease.release(holder)
        raise Refused(f"deployment {found.note.deployment_id} was settled meanwhile")
    note = now.note  # not the one that was read before the lease was ours
    machine = Machine(plan_of(note), limits, ports, journal, listener)
    # HALTED is where an earlier rollback gave up: it is tried again.
    machine.phase = Phase.ROLLING_BACK if note.phase is Phase.HALTED else note.phase
    machine.reason = note.reason
    machine.previous = note.previous
    machine.touched = note.touched
    machine.doubtful = True  # whatever the dead run was doing
    machine.back_allowed = note.back_allowed or decision.back is not None
    machine.hold(replace(holder, doing=f"recover {note.deployment_id}"))
    journal.append("recovering", phase=note.phase, step=note.step, by=actor)
    if decision.back is not None:
        journal.append("irreversible", reason=decision.back, by=actor)
    if decision.keep is not None:
        machine.phase = Phase.HALTED
        try:
            _keep_live(machine, decision.keep, actor)
        except DeploymentError:
            machine.let_go()  # it stays halted: note and lock stay, and nobody renews the lock
            raise
    else:
        _finish(machine, note, ports)
    return machine


def plan_of(note: Note) -> Plan:
    """What the deployment of a note was to do."""
    return Plan(
        note.deployment_id,
        note.environment,
        note.target,
        note.image,
        note.actor,
        datetime.fromisoformat(note.started_at),
    )


def _keep_live(machine: Machine, reason: str, by: str) -> None:
    """Ends a halted deployment by leaving traffic where it is: the lock is given back, and the next one fixes it forward.

    Raises StepFailed where what is live is not well.
    """
    if problem := unwell(machine.ports):
        raise StepFailed(f"what is live is not well, so it is not left like this: {problem}")
    machine.journal.append("kept", live=machine.ports.router.observe().live, reason=reason, by=by)
    machine.kept = True


def _ended(note: Note) -> None:
    """Raises Refused where the run lost its lock and still lives on this host: two would write one journal."""
    if note.pid != os.getpid() and owner_alive(note.host, note.pid, note.process_started):
        raise Refused(
            f"the process of deployment {note.deployment_id} lives (pid {note.pid} on this host), though its lock is gone",
            hint=f"End it first (`kill -CONT {note.pid}; kill {note.pid}`), then run `python scripts/deploy.py recover`.",
        )


def _finish(machine: Machine, note: Note, ports: Ports) -> None:
    died = f"{(note.step or 'verify')}: the run died in phase {note.phase}"
    if machine.phase is Phase.BAKING and (note.baked or _passed(machine.journal, "bake")):
        machine.promoted_generation = ports.router.observe().generation
        machine.complete()
    elif machine.settled:
        machine.finish_settled(ports.router.observe().generation)
    else:
        machine.abandon(died, moved=note.step == "promote" or _began(machine.journal, "promote"))


def _began(journal: Journal, step: str) -> bool:
    return any(record.kind == "intent" and record.data.get("step") == step for record in journal.records())


def _passed(journal: Journal, step: str) -> bool:
    """Whether the step passed, and nothing was decided against it since."""
    passed = False
    for record in journal.records():
        if record.kind == "outcome" and record.data.get("step") == step:
            passed = record.data.get("outcome") == "passed"
        elif record.kind == "decided":
            passed = False
    return passed

"""Approval: after verification a promotion waits for the yes of another principal, bound to what was verified, good once.

The run publishes a ``ApprovalRequest`` in its note and reads the note ``approval`` beside the lease; ``give`` writes that note. The
run believes nothing: it compares the approval with its own request, with itself, and with the list of those who may.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from deployment.access import Access, Duty, demand, permits
from deployment.errors import CloudError, LeaseLost, NotPermitted, Refused, StepFailed, first_line
from deployment.events import Waiting
from deployment.flow.lease import open_deployment, owner_alive
from deployment.flow.machine import Machine
from deployment.model import Caller
from deployment.phases import Phase
from deployment.plan import ApprovalRequest, DeploymentRecord, Ports
from deployment.polling import poll

REQUIRED = "required"
NOTE = "approval"
# Often enough that a person sees their yes taken, seldom enough for a table that bills by the read.
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Approval:
    """Somebody's yes: to this deployment, of this digest, on this evidence; ``at`` is ISO 8601, UTC."""

    deployment_id: str
    digest: str
    evidence: str
    by: str
    at: str
    reason: str | None = None

    def dump(self) -> str:
        """As JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> Approval:
        """From the lease item. Raises ValueError or TypeError where it is none."""
        return Approval(**json.loads(text))


def wait_for_approval(machine: Machine, evidence: str, access: Access, harm: Callable[[], str | None]) -> Approval:
    """Holds everything as it is until somebody else has approved; then the candidate's checks are asked once more.

    ``evidence`` is the hash of the journal's line that says what was verified. Raises DeadlinePassed after
    ``approval_timeout``, StepFailed where users are harmed meanwhile or the candidate is not well any more, LeaseLost.
    """
    ports, limits = machine.ports, machine.limits
    until = ports.clock.now() + timedelta(seconds=limits.approval_timeout)
    _use_up(machine)  # one that lies there already is not about this evidence
    machine.await_approval(ApprovalRequest(evidence, until.isoformat(timespec="seconds")))
    machine.journal.append(
        "approval_awaited", evidence=evidence, digest=machine.plan.image.digest, until=until.isoformat()
    )

    def attempt() -> Approval | None:
        machine.still_ours()
        if found := harm():
            raise StepFailed(f"the live colour was harmed while the approval was awaited: {found}")
        try:
            text = ports.lease.notes().get(NOTE)
        except CloudError as error:
            machine.journal.append("check_failed", error=first_line(error))
            return None
        return None if text is None else _taken(machine, text, access)

    def tick(elapsed: float) -> None:
        text = f"`python scripts/deploy.py approve {machine.plan.deployment_id}` by another principal"
        machine.steps.notify(Waiting("approval", text, elapsed))

    given = poll(
        ports.clock,
        attempt,
        timeout_s=limits.approval_timeout,
        waiting_for=lambda: "nobody approved",
        tick=tick,
        longest_pause_s=LOOK_EVERY_S,
    )
    candidate = machine.candidate
    problems = ports.front.examine(candidate.url if candidate else None)
    if problems:
        raise StepFailed(f"the candidate is not well any more since it was verified: {problems[0]}")
    return given


def _taken(machine: Machine, text: str, access: Access) -> Approval | None:
    """The approval, used up, or None where it is none for this run; both stand in the journal."""
    objection, approval = "it is not an approval", None
    try:
        approval = Approval.load(text)
        objection = _objection(machine, approval, access) or ""
    except (ValueError, TypeError):
        pass
    who = approval.by if approval else None
    if objection:
        machine.journal.append("approval_refused", by=who, reason=objection)
    else:
        machine.journal.append("approved", **asdict(approval) if approval else {})
    _use_up(machine)
    return None if objection else approval


def _use_up(machine: Machine) -> None:
    if machine.holder is None:
        raise LeaseLost("this run does not hold the lease")
    machine.ports.lease.note(machine.holder, {NOTE: None})


def _objection(machine: Machine, approval: Approval, access: Access) -> str | None:
    plan, request = machine.plan, machine.request
    if request is None or approval.deployment_id != plan.deployment_id:
        return f"it is for deployment {approval.deployment_id}"
    if approval.digest != plan.image.digest:
        return f"it is for {approval.digest}, and {plan.image.digest} was verified"
    if approval.evidence != request.evidence:
        return "it is for other evidence than this run's"
    if approval.by == plan.actor:
        return f"{approval.by} is the one who deploys"
    if not permits(access, Duty.APPROVE, approval.by):
        return f"{approval.by} is not on the list {access.places[Duty.APPROVE]}"
    if machine.ports.clock.now() > datetime.fromisoformat(request.until):
        return f"it came too late: the approval was due until {request.until}"
    return None


def give(ports: Ports, access: Access, caller: Caller, deployment_id: str, reason: str | None) -> Approval:
    """Says yes to the deployment that waits for it. Raises Refused, saying why this caller, or this deployment, may not."""
    demand(access, [Duty.APPROVE], caller)
    record = _awaiting(ports, deployment_id)
    request = record.request
    if record.plan.actor == caller.arn:
        raise NotPermitted(
            f"{caller.arn} deploys {deployment_id}, and the approval must be another principal's",
            hint="Somebody else has to type this, with credentials of their own.",
        )
    now = ports.clock.now()
    if request is None or now > datetime.fromisoformat(request.until):
        raise Refused(
            f"deployment {deployment_id} waits no longer: the approval was due until {request and request.until}"
        )
    approval = Approval(deployment_id, record.plan.image.digest, request.evidence, caller.arn, now.isoformat(), reason)
    if not ports.lease.swap_note(NOTE, None, approval.dump()):
        raise Refused(f"deployment {deployment_id} has an approval already, and one is good once")
    return approval


def _awaiting(ports: Ports, deployment_id: str) -> DeploymentRecord:
    found = open_deployment(ports)
    if found is None or found.record.deployment_id != deployment_id:
        other = f"; {found.record.deployment_id} is ({found.record.phase})" if found else ""
        raise Refused(f"deployment {deployment_id} is not under way{other}", hint="`status` shows what is.")
    record = found.record
    if record.phase is not Phase.AWAITING_APPROVAL:
        raise Refused(f"deployment {deployment_id} does not wait for an approval: its phase is {record.phase}")
    if owner_alive(record.owner.host, record.owner.pid, record.owner.process_started) is False:
        raise Refused(
            f"the run of {deployment_id} has died while it waited",
            hint="`python scripts/deploy.py recover` settles it; nothing was promoted.",
        )
    return record

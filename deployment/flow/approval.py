"""Approval: after verification, a promotion waits until another principal approves it.

An approval is bound to the verified digest and its evidence, and can be used once. The run publishes an
``ApprovalRequest`` in its note and reads the note ``approval`` beside the lease; ``record_approval`` writes that note.
The run trusts no note: it compares the approval with its own request, with its own principal, and with the list of
approvers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from deployment.access import Access, Duty, demand, permits
from deployment.errors import CloudError, LeaseLost, NotPermitted, Refused, StepFailed, first_line
from deployment.events import Waiting
from deployment.evidence.sentence import in_environment
from deployment.files import parse_json
from deployment.flow.lease import open_deployment, owner_alive
from deployment.flow.machine import Machine
from deployment.model import Caller
from deployment.phases import Phase
from deployment.plan import ApprovalRequest, DeploymentRecord, Ports
from deployment.polling import poll

REQUIRED = "required"
NOTE = "approval"
# Often enough that an approver sees the run go on, seldom enough for a table that bills by the read.
READ_EVERY_S = 1.0


@dataclass(frozen=True)
class Approval:
    """One principal's approval of this deployment, of this digest, on this evidence; ``at`` is ISO 8601, UTC."""

    deployment_id: str
    digest: str
    evidence: str
    by: str
    at: str
    reason: str | None = None

    def dump(self) -> str:
        """Return the approval as JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> Approval:
        """Read an approval from its JSON. Raises ValueError or TypeError if it is not an approval."""
        return Approval(**parse_json(text))


def wait_for_approval(machine: Machine, evidence: str, access: Access, harm: Callable[[], str | None]) -> Approval:
    """Wait until another principal has approved, then check the candidate once more; return the approval.

    ``evidence`` is the hash of the journal line ``verified``. Raises DeadlinePassed after ``approval_timeout``,
    StepFailed if users are harmed in the meantime or the candidate is not healthy any more, LeaseLost.
    """
    ports, limits = machine.ports, machine.limits
    until = ports.clock.now() + timedelta(seconds=limits.approval_timeout)
    _clear_note(machine)  # an approval from before this request is not about this evidence
    machine.await_approval(ApprovalRequest(evidence, until.isoformat(timespec="seconds")))
    machine.journal.append(
        "approval_awaited", evidence=evidence, digest=machine.plan.image.digest, until=until.isoformat()
    )

    def attempt() -> Approval | None:
        machine.still_ours()
        if problem := harm():
            raise StepFailed(f"users of the live colour were harmed while the run waited for an approval: {problem}")
        try:
            text = ports.lease.notes().get(NOTE)
        except CloudError as error:
            machine.journal.append("check_failed", error=first_line(error))
            return None
        return None if text is None else _accept(machine, text, access)

    def tick(elapsed: float) -> None:
        plan = machine.plan
        named = in_environment(plan.environment)
        text = f"`python scripts/deploy.py approve {plan.deployment_id}{named}` by another principal"
        machine.steps.notify(Waiting("approval", text, elapsed))

    approval = poll(
        ports.clock,
        attempt,
        timeout_s=limits.approval_timeout,
        waiting_for=lambda: "no other principal approved",
        tick=tick,
        longest_pause_s=READ_EVERY_S,
    )
    candidate = machine.candidate
    problems = ports.front.examine(candidate.url if candidate else None)
    if problems:
        raise StepFailed(f"the candidate is not healthy any more since it was verified: {problems[0]}")
    return approval


def _accept(machine: Machine, text: str, access: Access) -> Approval | None:
    """Return the approval, or None if it is not valid for this run. Removes the note and journals either result."""
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
    _clear_note(machine)
    return None if objection else approval


def _clear_note(machine: Machine) -> None:
    if machine.holder is None:
        raise LeaseLost("this run does not hold the lease")
    machine.ports.lease.note(machine.holder, {NOTE: None})


def _objection(machine: Machine, approval: Approval, access: Access) -> str | None:
    plan, request = machine.plan, machine.request
    if request is None or approval.deployment_id != plan.deployment_id:
        return f"it is for deployment {approval.deployment_id}, not for this one"
    if approval.digest != plan.image.digest:
        return f"it is for {approval.digest}, but {plan.image.digest} was verified"
    if approval.evidence != request.evidence:
        return "it is for the evidence of another verification"
    if approval.by == plan.actor:
        return f"{approval.by} is the deployer, and the approval must be another principal's"
    if not permits(access, Duty.APPROVE, approval.by):
        return f"{approval.by} is not on the list {access.places[Duty.APPROVE]}"
    if machine.ports.clock.now() > datetime.fromisoformat(request.until):
        return f"it came too late: the approval was due until {request.until}"
    return None


def record_approval(ports: Ports, access: Access, caller: Caller, deployment_id: str, reason: str | None) -> Approval:
    """Approve the deployment that waits for it.

    Raises Refused with the reason why this caller, or this deployment, may not.
    """
    demand(access, [Duty.APPROVE], caller)
    record = _awaiting_approval(ports, deployment_id)
    request = record.request
    if record.plan.actor == caller.arn:
        raise NotPermitted(
            f"{caller.arn} deploys {deployment_id}, and the approval must be another principal's",
            hint="Another person must run this command with their own credentials.",
        )
    now = ports.clock.now()
    if request is None or now > datetime.fromisoformat(request.until):
        raise Refused(
            f"deployment {deployment_id} does not wait any more: the approval was due until {request and request.until}"
        )
    approval = Approval(deployment_id, record.plan.image.digest, request.evidence, caller.arn, now.isoformat(), reason)
    if not ports.lease.swap_note(NOTE, None, approval.dump()):
        raise Refused(f"deployment {deployment_id} has an approval already")
    return approval


def _awaiting_approval(ports: Ports, deployment_id: str) -> DeploymentRecord:
    current = open_deployment(ports)
    if current is None or current.record.deployment_id != deployment_id:
        other = f"; {current.record.deployment_id} is ({current.record.phase})" if current else ""
        raise Refused(
            f"deployment {deployment_id} is not under way{other}", hint="`status` shows the deployment under way."
        )
    record = current.record
    if record.phase is not Phase.AWAITING_APPROVAL:
        raise Refused(f"deployment {deployment_id} does not wait for an approval: its phase is {record.phase}")
    if owner_alive(record.owner) is False:
        raise Refused(
            f"the run of {deployment_id} died while it waited",
            hint="`python scripts/deploy.py recover` recovers it; nothing was promoted.",
        )
    return record

"""Checks before a deployment changes anything: the caller's rights, the estate, preflight, checklist and lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deployment import access
from deployment.access import DEPLOYMENT, Admission, Duty
from deployment.errors import Refused
from deployment.events import Waiting
from deployment.flow.machine import Machine
from deployment.model import Colour
from deployment.plan import CHECKS_OF, Plan
from deployment.preflight import attestations, checklist, preflight
from deployment.recovery.force_unlock import earlier_locks
from deployment.recovery.lock_wait import Queue
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.integrity import waivers
from plugins.modes.coordinator import Coordinator

BROKEN = "broken_locks"
"""The note beside the lease in which ``unlock`` informs the next deployment."""


def admit(environment: Environment, settings: Settings, duties: Sequence[Duty], target: Colour) -> Admission:
    """Check the caller's duties and rights, and that the estate exists.

    Only the AWS rights that a deployment to ``target`` needs are checked, since a role may cover one colour alone.
    Raises NotPermitted, or Refused if neither colour's service exists.
    """
    admission = access.admit(settings.access, duties, environment.caller, environment.permissions, target)
    if all(environment.ports.platform.describe(colour).status == "ABSENT" for colour in Colour):
        raise Refused(
            f"neither service of environment {environment.name} exists in region {environment.region}",
            hint="Compare `region`, `account` and `services` of deployment.toml with the services on AWS.",
        )
    return admission


def admit_run(run: Coordinator, environment: Environment, settings: Settings, target: Colour) -> Admission:
    """Admit a run: journal the result, and say on the terminal what could not be checked."""
    duties = (*DEPLOYMENT, Duty.WAIVE) if run.waivers else DEPLOYMENT
    admission = admit(environment, settings, duties, target)
    run.journal.append(
        "admitted", by=environment.caller.arn, duties=list(duties), target=target, unchecked=admission.unchecked
    )
    if admission.unchecked:
        run.say(f"not checked: {admission.unchecked}")
    return admission


def check_preflight(
    run: Coordinator, environment: Environment, settings: Settings, admission: Admission | None, plan: Plan
) -> None:
    """Run preflight and checklist, journal both, and show a summary line. Raises Refused or CloudError."""
    proposal = preflight.Proposal(plan.image, plan.target, admission, run.options.clean_plan, settings)
    items = preflight.run_preflight(environment.ports, environment.preflight_ports, settings.limits, proposal)
    run.journal.append("preflight", items=preflight.as_reports(items))
    run.say(f"preflight: {preflight.summary(items)}")
    entries = checklist.load(settings.project.checklist_file)
    attested = {
        **attestations.recorded(environment.ports.lease, plan.image.digest),
        **checklist.parse(run.options.attest, entries),
    }
    run.journal.append("checklist", **checklist.as_data(entries, attested, settings.limits.checklist))
    preflight.judge(items)
    checklist.demand(run.journal.records())


def read_checklist(run: Coordinator, settings: Settings) -> None:
    """Raise Refused, before anything is started, if the checklist or ``--attest`` is invalid."""
    checklist.parse(run.options.attest, checklist.load(settings.project.checklist_file))


def queue_of(run: Coordinator) -> Queue:
    """Return the queue in which the run waits for other runs' locks; each holder is shown on the terminal once."""
    reported: list[str] = []

    def report(holder: str, elapsed: float) -> None:
        if holder not in reported:
            reported.append(holder)
            run.say(f"waiting up to {run.options.wait_for_lock:g} s in all: {holder}")
        run.terminal.event(Waiting("lease", holder, elapsed))

    return Queue(run.clock, run.options.wait_for_lock, report)


def report_broken_locks(machine: Machine, say: Callable[[str], None]) -> None:
    """Journal and show the locks that ``unlock`` broke since the last deployment."""
    text = machine.ports.lease.notes().get(BROKEN)
    if text is None or machine.holder is None:
        return
    locks = earlier_locks(text)
    machine.journal.append("broken_locks", locks=locks)
    for lock in locks:
        say(f"the lock of {lock['deployment_id']} was broken by {lock['by']} at {lock['at']}: {lock['reason']}")
    machine.ports.lease.note(machine.holder, {BROKEN: None})


def compare_manifests(run: Coordinator, environment: Environment, machine: Machine) -> None:
    """Journal the waivers, and how the checks differ from those that the last promotion had to pass.

    Raises Refused if a check or a gate became weaker since then and no waiver says why.
    """
    clean, notes = run.redactor.clean, environment.ports.lease.notes()
    checks = [replace(check, nodeid=clean(check.nodeid)) for check in run.checks]
    machine.expect_manifest(sorted(check.nodeid for check in checks if check.counts))
    run.confirm_waivers(environment.caller.arn)
    last = waivers.last_checks(notes)
    run.compare(notes.get(CHECKS_OF), None if last is None else len(last))
    run.report_gone(sorted(set(last or ()) - {check.nodeid for check in checks}))
    waivers.refuse_weaker(notes, checks, run.tally.absent, run.suites.name, run.waivers)

"""Before anything is touched: whether the caller may, whether the estate is there, and whose turn it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from deployment import access
from deployment.access import DEPLOYMENT, Admission, Duty
from deployment.errors import Refused
from deployment.events import Waiting
from deployment.flow.machine import Machine
from deployment.model import Colour
from deployment.plan import Plan
from deployment.preflight import attestations, checklist, preflight
from deployment.recovery.lock_wait import Queue
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.modes.coordinator import Coordinator

BROKEN = "broken_locks"
"""The note beside the lease in which ``unlock`` leaves word for the next deployment."""


def admit(environment: Environment, settings: Settings, duties: Sequence[Duty], target: Colour) -> Admission:
    """Asks lists and AWS, then for the estate. Raises NotPermitted, or Refused where neither colour's service is there.

    Of AWS's rights those are asked for that a deployment to ``target`` needs: there are roles for one colour alone.
    """
    admission = access.admit(settings.access, duties, environment.caller, environment.permissions, target)
    if all(environment.ports.platform.describe(colour).status == "ABSENT" for colour in Colour):
        raise Refused(
            f"neither of the services of environment {environment.name} is in region {environment.region}",
            hint="Compare `region`, `account` and `services` of deployment.toml with what is there.",
        )
    return admission


def admit_run(run: Coordinator, environment: Environment, settings: Settings, target: Colour) -> Admission:
    """The same for a run: what was found out, and what was not, stands in its journal and on the terminal."""
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
    """Preflight and checklist of a run, in its journal and in one line on the terminal. Raises Refused or CloudError."""
    proposal = preflight.Proposal(plan.image, plan.target, admission, run.options.clean_plan)
    items = preflight.run_preflight(environment.ports, environment.preflight_ports, settings.limits, proposal)
    run.journal.append("preflight", items=preflight.as_reports(items))
    run.say(f"preflight: {preflight.summed_up(items)}")
    entries = checklist.load()
    attested = {
        **attestations.given(environment.ports.lease, plan.image.digest),
        **checklist.parse(run.options.attest, entries),
    }
    run.journal.append("checklist", **checklist.as_data(entries, attested, settings.limits.checklist))
    preflight.judge(items)
    checklist.demand(run.journal.records())


def read_checklist(run: Coordinator) -> None:
    """Raises Refused, before anything is started, where the checklist or what is attested of it says what cannot be."""
    checklist.parse(run.options.attest, checklist.load())


def queue_of(run: Coordinator) -> Queue:
    """The run's patience with others' locks, told on the terminal."""
    said: list[str] = []

    def tell(whom: str, elapsed: float) -> None:
        if whom not in said:
            said.append(whom)
            run.say(f"waiting up to {run.options.wait_for_lock:g} s in all: {whom}")
        run.terminal.event(Waiting("lease", whom, elapsed))

    return Queue(run.clock, run.options.wait_for_lock, tell)


def tell_broken_locks(machine: Machine, say: Callable[[str], None]) -> None:
    """Takes what ``unlock`` noted since the last deployment into this one's journal, for everybody to see."""
    text = machine.ports.lease.notes().get(BROKEN)
    if text is None or machine.holder is None:
        return
    locks = json.loads(text)
    machine.journal.append("broken_locks", locks=locks)
    for lock in locks:
        say(f"the lock of {lock['deployment_id']} was broken by {lock['by']} at {lock['at']}: {lock['reason']}")
    machine.ports.lease.note(machine.holder, {BROKEN: None})


def compare_manifests(run: Coordinator, environment: Environment, machine: Machine) -> None:
    """Journal the waivers, and the checks that the last promotion had to pass and this run does not have."""
    checks = sorted(run.redactor.clean(check.nodeid) for check in run.checks)
    machine.expect_manifest(checks)
    run.confirm_waivers(environment.caller.arn)
    last = json.loads(environment.ports.lease.notes().get("checks", "[]"))
    run.report_gone(sorted(set(last) - set(checks)))

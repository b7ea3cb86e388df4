"""``--plan``: prints the steps and checks of a deployment; starts and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployment import strategy
from deployment.access import DEPLOYMENT, Admission, Duty
from deployment.errors import CloudError, Refused
from deployment.evidence.checklist import Attestation, evaluate
from deployment.evidence.journal import Record
from deployment.evidence.opening import written_by
from deployment.evidence.verdict import in_report_order
from deployment.flow.approval import REQUIRED
from deployment.model import Colour, Image, Reads
from deployment.preflight import attestations, checklist, preflight
from deployment.preflight.items import Item, Outcome
from deployment.settings import Settings
from infrastructure import compose
from infrastructure.description import service_of
from plugins.described.absent import absent_gates
from plugins.integrity import waivers
from plugins.integrity.findings import CollectionWatch, findings
from plugins.integrity.hook_guard import blamed
from plugins.modes.admission import admit
from plugins.modes.choice import choose_target, projected_target, refuse_irreversible
from plugins.modes.completeness import (
    Collected,
    refuse_contradictions,
    refuse_incomplete,
    refuse_invalid,
    refuse_small_gates,
)
from plugins.modes.preconditions import accepted_settings
from plugins.options import RunOptions
from plugins.stages import Check, check_of
from verification.declarative.exemptions import Kind
from verification.prober.schedule import Schedule
from verification.redaction.printable import printable

INTERNAL_ERROR, REFUSED, NO_CHECKS = 3, 4, 5
LABELS = {
    Outcome.OK: "ok",
    Outcome.REFUSED: "REFUSED",
    Outcome.SICK: "SICK",
    Outcome.NOT_CHECKED: "not checked",
}


class PlanMode:
    """Collects checks as a deployment would, and prints the plan instead of running them."""

    def __init__(self, config: pytest.Config, options: RunOptions, suites: Path, watch: CollectionWatch) -> None:
        self._config = config
        self._options = options
        self._suites = suites
        self._watch = watch
        self._settings: Settings | None = None
        self._refusal: Refused | None = None
        try:
            self._settings = accepted_settings(config, options, suites)
        except Refused as error:
            self._refusal = error

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """Collect nothing if the run would be refused before it collects."""
        self._started = True
        if self._refusal is None:
            return None
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Print the plan, or the reason for a refusal."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        assert terminal is not None, "a plan without a terminal has no reader"
        checks = [check_of(item, self._suites) for item in session.items]
        try:
            if self._refusal is not None or self._settings is None:
                raise self._refusal or Refused("the settings cannot be read")
            found = findings(self._config, session.items, self._suites, self._watch)
            collected = Collected(checks, found, session.testsfailed, self._watch.skipped)
            lines = self._plan(collected, self._settings)
        except (Refused, CloudError) as error:
            terminal.write_line(printable(f"REFUSED: {error}"), red=True)
            nothing = self._refusal is None and not (checks or session.testsfailed)
            self._exit_code = NO_CHECKS if nothing else REFUSED
            return True
        terminal.ensure_newline()
        for line in lines:
            terminal.write_line(printable(line))
        self._exit_code = REFUSED if self._refused else 0
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Print the plugin that failed before the checks, for which the run would be refused."""
        problem = blamed(self._config, excinfo.value)
        self._exit_code = INTERNAL_ERROR if problem is None else REFUSED
        if problem is None:
            return
        refusal = printable(str(Refused(problem.what, hint=problem.hint)))
        if not self._started:  # pytest would exit with 3, and may not have a terminal yet
            raise pytest.UsageError(refusal)
        if not self._config.option.fulltrace:
            excrepr.toterminal = lambda writer: writer.line(printable(problem.what))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"REFUSED: {refusal}", red=True)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Set the plan's exit code."""
        yield
        session.exitstatus = self._exit_code

    def pytest_unconfigure(self) -> None:
        """Exit with the plan's own code if a plugin ended it before it had started."""
        session: pytest.Session | None = self._config.pluginmanager.get_plugin("session")
        if session is not None and not (self._started or session.exitstatus):
            session.exitstatus = self._exit_code

    _started = False
    _exit_code = REFUSED
    _refused = False

    def _plan(self, collected: Collected, settings: Settings) -> list[str]:
        checks = collected.checks
        gates = in_report_order({*settings.gates, *(check.gate for check in checks)})
        refuse_invalid(collected, settings)
        waived = waivers.parse(self._options.waive, gates, checks)
        refuse_incomplete(collected, self._suites, whole=True)
        absent = absent_gates(service_of(settings))
        refuse_contradictions(checks, absent)
        refuse_small_gates(checks, settings, gates, absent)
        environment = compose.connect(settings, Reads.NOTHING) if compose.is_up(settings) else None
        admission = None
        if environment is not None:
            duties = (*DEPLOYMENT, Duty.WAIVE) if waived else DEPLOYMENT
            admission = admit(environment, settings, duties, projected_target(environment, self._options.target))
            waivers.refuse_weaker(environment.ports.lease.notes(), checks, absent, self._suites.name, waived)
        image, live = compose.projected_release(settings, self._options.image_tag, environment)
        target = choose_target(live, self._options.target)
        refuse_irreversible(image, self._options.allow_irreversible, settings.limits.strategy)
        items: Sequence[Item] = ()
        if environment is not None:
            proposal = preflight.Proposal(image, target, admission, self._options.clean_plan, settings)
            items = preflight.run_preflight(environment.ports, environment.preflight_ports, settings.limits, proposal)
        self._refused = any(item.outcome is Outcome.REFUSED for item in items)
        before = attestations.recorded(environment.ports.lease, image.digest) if environment is not None else {}
        listed = self._checklist(settings, image, items, before)
        return [
            *_steps(settings, image, target, admission, _Exceptions(self._options.allow_unhealthy_live, tuple(waived))),
            "",
            *_preflight(items),
            "",
            *listed,
            "",
            *_gates(settings, checks, absent),
        ]

    def _checklist(
        self, settings: Settings, image: Image, items: Sequence[Item], before: Mapping[str, Attestation]
    ) -> list[str]:
        """Return the checklist before the run, with the refusal if open items cause one."""
        entries = checklist.load(settings.project.checklist_file)
        attested = {**before, **checklist.parse(self._options.attest, entries)}
        mode = settings.limits.checklist
        projected = {
            "opened": written_by(),
            "checklist": checklist.as_data(entries, attested, mode),
            "preflight": {"items": preflight.as_reports(items)},
            **({"irreversible": {"reason": self._options.allow_irreversible}} if image.irreversible else {}),
        }
        records = [Record(0, "", "", kind, data, "", "") for kind, data in projected.items()]
        lines = [f"  checklist ({mode}), before the run:"]
        for one in evaluate(records):
            if one["phase"] == "pre":
                lines.append(f"      {one['outcome']:<11}  {one['name']}: {one['evidence']}")
        try:
            if items:
                checklist.demand(records)
        except Refused as error:
            self._refused = True
            lines += [f"      REFUSED: {error.message}", f"      {error.hint}"]
        return lines


@dataclass(frozen=True)
class _Exceptions:
    """What the caller allows: an unhealthy live colour, for a reason (None: no), and that the parts in ``waived`` fail."""

    unhealthy_live: str | None
    waived: Sequence[str]


def _steps(
    settings: Settings, image: Image, target: Colour, admission: Admission | None, allowed: _Exceptions
) -> list[str]:
    limits = settings.limits
    live = "must be healthy" if allowed.unhealthy_live is None else f"may be unhealthy: {allowed.unhealthy_live}"
    are = "is" if len(allowed.waived) == 1 else "are"
    waived = f", except {', '.join(allowed.waived)}, which {are} waived" if allowed.waived else ""
    after = f"traffic back to {target.other} within {limits.rollback_timeout:g} s"
    if image.irreversible:
        after = f"freeze, traffic stays on {target}: the migration of {image.name} is irreversible"
    approval = f"  approval   of another principal, within {limits.approval_timeout:g} s"
    return [
        f"plan for environment {settings.environment}: nothing was started or changed",
        "",
        *_caller(admission),
        f"  lease      take the lock; the live colour {live}",
        f"  provision  {image.name} (version {image.version}, {image.digest[:19]}…) on {target}, within {limits.provision_timeout:g} s",
        f"  verify     the gates below, in this order; every required one must pass{waived}",
        *([approval] if limits.approval == REQUIRED else []),
        f"  promote    move traffic from {target.other} to {target}, {strategy.parse(limits.strategy)}; {limits.confirmations} answers in a row confirm it",
        "  live       verify it through the live domain",
        f"  bake       watch it for {limits.bake:g} s",
        f"  all along  {_prober(settings)}",
        f"  on failure before promote: stop {target}; after it: {after}",
    ]


def _prober(settings: Settings) -> str:
    """Return how often the prober requests each operation of the live domain."""
    rate = settings.limits.prober_rate
    intervals = Schedule.of(service_of(settings), with_user=True).intervals(rate)
    each = ", ".join(f"{operation} each {seconds:.2g} s" for operation, seconds in intervals.items())
    return f"the prober sends {rate:g} requests/s to the live domain: {each}"


def _caller(admission: Admission | None) -> list[str]:
    """Return the caller and its duties; nothing if no environment is running, because AWS was not called."""
    if admission is None:
        return []
    may = f"  caller     {admission.caller.arn}, who may {' and '.join(admission.duties)}"
    return [may, *([f"             not checked: {admission.unchecked}"] if admission.unchecked else [])]


def _preflight(items: Sequence[Item]) -> list[str]:
    """Return two lines for each item: outcome, name and finding, then the expectation unless the outcome is ok."""
    if not items:
        return ["  preflight: not checked, no environment is running; a run starts one and checks it then"]
    lines = ["  preflight:"]
    for item in items:
        lines.append(f"      {LABELS[item.outcome]:<11}  {item.name}: {item.found}")
        if item.outcome is not Outcome.OK:
            lines.append(f"      {'':<11}  expected: {item.expected}")
    return lines


def _gates(settings: Settings, checks: Sequence[Check], absent: Mapping[str, str]) -> list[str]:
    lines = []
    for name in in_report_order({*settings.gates, *(check.gate for check in checks)}):
        own = [check for check in checks if check.gate == name]
        if name in absent:
            lines.append(f"  gate {name}: absent, nothing will be asked: {absent[name]}")
            continue
        required = "required" if settings.rule(name).required else "not required"
        others = Counter(check.exemption.kind for check in own if check.exemption is not None and not check.counts)
        more = "".join(f", {count} {kind}" for kind, count in sorted(others.items()))
        lines.append(f"  gate {name}: {len(own) - others.total()} checks, {required}{more}")
        lines += [f"      {check.nodeid.rpartition('suites/')[2]}{_exemption(check)}" for check in own]
    return lines


def _exemption(check: Check) -> str:
    """Return how a check is exempt, in brackets; empty if it is not."""
    if check.exemption is None:
        return ""
    kind, reason, until = check.exemption.kind, check.exemption.reason, check.exemption.until
    words = f"skip ended on {until}" if kind is Kind.EXPIRED else f"{kind} until {until}" if until else str(kind)
    return f" ({words}{f': {reason}' if reason else ''})"

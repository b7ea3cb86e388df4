"""The coordinator: it owns the deployment, performs each step at most once, and is the only one to count the verdict.

It runs in one process, the xdist controller or the only one. ``plugins.scheduling.serial`` and
``plugins.scheduling.parallel`` drive it through ``expect``, ``enter`` and ``record``; ``finish`` and ``finalize`` end the run.
The actions at each stage are in ``plugins.modes.deploy`` and ``plugins.modes.verify``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from deployment.errors import DeploymentError, JournalUnwritable, Refused, TargetIsLive, first_line
from deployment.evidence import archive, report
from deployment.evidence.archive import NOWHERE
from deployment.evidence.data.details import REASONS, SERIES, reasons_line
from deployment.evidence.intoto.configuration import SETTINGS, inputs
from deployment.evidence.report import GOOD, REPORT_FILE, VERDICTS
from deployment.evidence.verdict import LIVE, CheckOutcome, CheckResult, GateResult, in_report_order
from deployment.files import problem_of
from deployment.model import Reason
from deployment.phases import EXIT_CODES, Phase
from infrastructure.description import contract_of, service_of
from plugins.described.absent import absent_gates
from plugins.integrity import waivers
from plugins.integrity.findings import LOAD, Findings
from plugins.integrity.outcomes import message_of, outcome_of, why_broken
from plugins.modes.completeness import (
    Collected,
    refuse_contradictions,
    refuse_incomplete,
    refuse_invalid,
    refuse_small_gates,
)
from plugins.modes.run_state import RunState, Waiver
from plugins.recorder import answers_in, not_asked_in, requests_in, samples_in, warnings_in
from plugins.stages import LATENCY, Check, Stage, samples
from verification import history as histories
from verification.contract.coverage import documented, missing
from verification.declarative.exemptions import Kind

INTERRUPTED, INTERNAL_ERROR, REFUSED, NO_CHECKS = 2, 3, 4, 5
ENDPOINTS = "endpoints"
SHOWN_BROKEN = 5
COMMAND_LINE = "pytest prints its error; `python scripts/deploy.py checks` lists the ids of all checks."
CRASHED = "???"
"""``when`` of xdist's report about the check that a lost worker was running."""


class Coordinator(RunState):
    """Drives one run: fixes what is expected, enters the stages, counts the results, and ends the run."""

    __slots__ = ()

    # -- the expected checks -----------------------------------------------------------------------------------------

    def expect(self, checks: Sequence[Check], findings: Findings, errors: int = 0) -> None:
        """Fix the checks that must pass, before anything changes.

        ``errors``: the files that could not be collected. Raises Refused if the collection proves nothing: see
        ``plugins.modes.completeness``.
        """
        self._checks = tuple(checks)
        for gate, reason in self.absent().items():
            self._tally.declare_absent(gate, reason)
        self._nothing_collected = not checks and not errors and not findings.problems
        left_out = None if self._state.deploying or self._options.load else LOAD
        collected = Collected(checks, findings, errors, self._skipped_files, left_out)
        refuse_invalid(collected, self._settings)
        refuse_contradictions(checks, self._tally.absent)
        for check in checks:
            table = self._settings.table(check.gate) if self._settings else {}
            if not check.skipped:
                self._tally.expect(check.nodeid, check.gate, samples(check, table), advisory=check.advisory)
        if self._state.deploying:
            for name, reason in waivers.parse(self._options.waive, self.gate_names(), checks).items():
                self._waivers[name] = Waiver(reason, self._actor)
        refuse_incomplete(collected, self._suites, whole=self._state.deploying or not self._options.partial)
        if self._state.deploying:
            assert self._settings is not None, "a run without settings is refused before it collects"
            refuse_small_gates(checks, self._settings, self.gate_names(), self._tally.absent)
        lines = sorted(
            f"{check} {least}".removesuffix(" 0") + (" advisory" if check in self._tally.advisory else "")
            for check, least in self._tally.declared.items()
        )
        self._manifest_hash = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        counts = {name: self.gate_size(name) for name in self.gate_names()}
        least = {
            name: sum(self._tally.declared[one.nodeid] for one in checks if one.gate == name and one.counts)
            for name in counts
        }
        files = dict(findings.files)
        absent = {"absent": dict(self._tally.absent)} if self._tally.absent else {}
        self._journal.append(
            "manifest",
            checks=counts,
            samples=least,
            sha256=self._manifest_hash,
            files=files,
            inputs=self._inputs(),
            **absent,
        )

    def _inputs(self) -> list[dict[str, str]]:
        """Return the files that decide what is checked and with which limits, each with its SHA-256."""
        if (settings := self._settings) is None:
            return []
        described, project = settings.service_file, settings.project
        contract = service_of(settings).contract
        roles = {
            SETTINGS: project.settings_file,
            "service": described,
            "contract": None if contract is None else described.parent / contract,
            "checklist": project.checklist_file,
        }
        return inputs(project.root, roles)

    def absent(self) -> dict[str, str]:
        """Return the gates that the service declares absent, each with the words for the report."""
        return absent_gates(service_of(self._settings)) if self._settings else {}

    def name_checks(self) -> None:
        """Journal the names of the expected checks, once the secrets that must be redacted in them are known."""
        declared = {check: least for check, least in sorted(self._tally.declared.items()) if least}
        self._journal.append("checks", names=sorted(check.nodeid for check in self._checks), samples=declared)
        self.recall()
        exempt = sorted((check for check in self._checks if not check.counts), key=lambda check: check.nodeid)
        if exempt:
            self._journal.append("exempt", checks=[_exempt(check) for check in exempt])
        for check in self._checks:
            if (ended := check.exemption) is not None and ended.kind is Kind.EXPIRED:
                self.warn(check.gate, f"the skip of {check.nodeid} ended on {ended.until}, so the check counts again")

    def recall(self) -> None:
        """Journal what earlier reports say of the expected checks; nothing without any. An error here changes nothing else."""
        try:
            found = histories.read(self._options.reports, besides=self._run_id)
            known = {check: one for check in self._tally.expected if (one := found.of(check)) is not None}
            checks = [
                {
                    "check": check,
                    "runs": one.runs,
                    "passed": one.passed,
                    "median_s": round(one.seconds, 3),
                    "chance": one.chance_data(),
                }
                for check, one in sorted(known.items())
            ]
        except Exception as error:  # the history decides nothing, so that no error of it may stop a run
            self.say(f"the history of the checks cannot be read: {first_line(error)}")
            return
        if checks or found.broken:
            self._journal.append("history", checks=checks, left_out=dict(found.broken))
        for folder, why in list(found.broken.items())[:SHOWN_BROKEN]:
            self.say(f"the history leaves out reports/{folder}: {why}")

    @property
    def traffic_seen(self) -> tuple[int, int] | None:
        """The requests to the live domain so far, and how many of them failed; None if none are sent."""
        return None if self._mode is None else self._mode.traffic_seen

    def gate_size(self, name: str) -> int:
        """Return how many checks must pass in a gate."""
        return sum(check.gate == name and check.counts for check in self._checks)

    def gate_names(self) -> list[str]:
        """Return every gate of the report, in the report's order."""
        named = set(self._settings.gates) if self._settings else set()
        return in_report_order({check.gate for check in self._checks} | named)

    def gates(self) -> list[GateResult]:
        """Return every gate's result so far."""
        assert self._settings is not None
        # In a verification of selected checks the gate's min_checks does not apply.
        partial = self._options.partial and not self._state.deploying
        rules = [self._settings.rule(name) for name in self.gate_names()]
        results = [self._tally.gate(replace(rule, min_checks=1) if partial else rule) for rule in rules]
        return [replace(gate, waived=self._waived(gate.name)) for gate in results]

    def gate_reasons(self) -> dict[str, str | None]:
        """Return why each gate did not pass, by name; None for a gate that passed."""
        return {gate.name: gate.reason for gate in self.gates()} if self._settings else {}

    def _waived(self, gate: str) -> str | None:
        return str(self._waivers[gate]) if gate in self._waivers else None

    # -- results -----------------------------------------------------------------------------------------------------

    def note_gates(self) -> None:
        """Journal the gates' results so far, so that the report of a run that dies has them; nothing without a new result."""
        if not self._tally.results or self._settings is None:
            return
        gates = [gate.as_report() for gate in self.gates()]
        if gates != self._noted:
            self._journal.append("tally", gates=gates)
            self._noted = gates

    def enter(self, stage: Stage) -> bool:
        """Enter a stage, on the main thread, before its checks are handed out; return False if none of them may run."""
        if self._stopped or self._mode is None:
            return False
        self._tally.require_results(check.nodeid for check in self._checks if check.stage < stage)
        self.note_gates()
        try:
            self._journal.require_written()
            if stage is Stage.LIVE:
                self._demand_coverage()
            self._mode.enter(stage)
        except Refused as error:
            self.refuse(error)
        except DeploymentError as error:
            self.stop_by(error)
        self.publish()
        return not self._stopped

    def has_cut_short(self, report: pytest.TestReport) -> bool:
        """Return whether the end of the run decided this check's result, on its worker: then it counts as not run.

        A signal, or a check that ended pytest, stops other checks, which xdist reports as a crash. A check of the live domain
        that was still running when traffic went back may have asked the previous release.
        """
        if report.when == CRASHED:
            return bool(self._interrupted or self._signals.received)
        known = report.nodeid in self._tally.results  # such as of the check that stopped the run, before its teardown
        live = self._tally.expected.get(report.nodeid) == LIVE
        return live and not known and getattr(report, "stop", 0.0) > self._stopped_at

    def record(self, report: pytest.TestReport) -> None:
        """Count one report of a check; the check passes only if its setup, call and teardown all passed."""
        check = report.nodeid
        gate = self._tally.expected.get(check)
        if gate is None or (self._early is not None and self._early.add(report)) or self.has_cut_short(report):
            return
        self._tally.phase(check, report.when)
        for text in warnings_in(report):
            self.warn(gate, text)
        self._tally.add_answers(check, answers_in(report))
        self._tally.add_usage(check, requests_in(report), report.duration, samples_in(report))
        if self._state.no_account is not None and (reason := not_asked_in(report)) is not None:
            self._tally.leave_out(check, reason)
            return
        broken = self.seal.is_broken(report)
        outcome = CheckOutcome.INCONCLUSIVE if broken else outcome_of(report)
        if outcome is None:
            return
        text = why_broken(report) if broken else message_of(report)
        message = None if outcome is CheckOutcome.PASSED else self._redactor.clean(text)
        if outcome is CheckOutcome.PASSED and (message := self._tally.missing_samples(check)):
            outcome = CheckOutcome.INCONCLUSIVE
        result = CheckResult(check, gate, outcome, message)
        first_failure = outcome is not CheckOutcome.PASSED and not self._any_failure(gate)
        self._tally.record(result)
        if check in self._tally.advisory:
            return  # it decides nothing
        if first_failure:
            self.note_gates()
        if outcome is not CheckOutcome.PASSED and self._mode and self._settings and self._settings.rule(gate).required:
            if self._early is not None:
                self._early.ended(report, outcome)
            with self._signals.shielded():
                self._mode.failed(result)
                if self._early is not None and self._early.waited_enough:
                    self._mode.stop_if_failed()
        if self._mode is not None and gate == LIVE and (harm := self.harm()) is not None:
            with self._signals.shielded():
                self._mode.roll_back(harm)

    def harm(self) -> str | None:
        """Return proof that the promoted release harms its users while the checks of the live domain run; None if there is none."""
        return None if self._mode is None or self._stopped else self._mode.harm()

    # -- a verdict before the latency gate ---------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether a gate has failed because the release waited in vain; further checks would wait as well."""
        return self._early is not None and self._early.waiting

    @property
    def held(self) -> bool:
        """Whether no check may begin before ``settle``: the answers to checks prove that an operation is too slow."""
        return self._early is not None and not self._stopped and self._early.pending

    def settle(self) -> list[str]:
        """Measure the suspected operations, while no check runs; stop the run if one of them is too slow.

        Return the checks that were cut short and must begin again, because the run goes on.
        """
        early = self._early
        if early is None:
            return []
        while not self._stopped and (suspect := early.suspect()) is not None:
            early.settle(suspect)
            if not self._budgets_decide():
                continue
            self.say(f"{LATENCY}: {suspect.operation} is measured alone: {suspect}")
            alone = early.measure(suspect, self._state)
            self._journal.append("measured_alone", operation=suspect.operation, broken=alone.broken, says=alone.says)
            if alone.broken and self._mode is not None:
                self.fail_gate(LATENCY, alone.says)
                self._mode.stop_if_failed()
        again = early.take_again()
        return [] if self._stopped else again

    def _budgets_decide(self) -> bool:
        """Return whether the latency gate must pass."""
        assert self._settings is not None, "a run without settings has no early verdict"
        required = self._settings.rule(LATENCY).required and LATENCY not in self._waivers
        return required and self.gate_size(LATENCY) > 0

    def _demand_coverage(self) -> None:
        """Fail the gate endpoints if its checks and those of the other gates did not meet every answer in ``cover``."""
        patterns = self._settings.gates.get(ENDPOINTS, {}).get("cover", ()) if self._settings else ()
        if not patterns or self._settings is None or self.partial:
            return
        contract = contract_of(self._settings)
        lacking = missing([] if contract is None else documented(contract), patterns, self._tally.met())
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            text = f"no check met {lacking[0]}{more}, which `cover` of deployment.toml names"
            self.fail_gate(ENDPOINTS, text)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self, exitstatus: int, cut_short: bool = False) -> int:
        """Decide the run before other plugins write their reports; return the exit code.

        ``cut_short``: pytest itself stopped handing out checks (``-x``, ``--maxfail``).
        """
        with self._signals.shielded():
            self._tally.forget_unfinished()
            if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
                self._internal_error = True
                self.stop(Reason("verify", "an internal error of the framework or of a plugin"))
            if self._signals.received:
                self.stop(Reason(self.where(), self._signals.cause))
            elif exitstatus == pytest.ExitCode.INTERRUPTED and not self._any_failure():
                self.interrupt()
            elif exitstatus == pytest.ExitCode.USAGE_ERROR and not (self._manifest_hash or self._stopped):
                self.refuse(Refused("pytest does not accept the command line", hint=COMMAND_LINE))
            elif not (self._manifest_hash or self._stopped):
                self.refuse(
                    Refused("no check was counted: another plugin's pytest_runtestloop ran instead of this framework's")
                )
            elif not (self._stopped or cut_short or exitstatus == pytest.ExitCode.INTERRUPTED):
                self._tally.require_results(self._tally.expected)
                self._demand_coverage()
            if self._mode is not None:
                if not self._stopped and (problem := self._journal.problem) is not None:
                    self.stop(Reason(self.where(), f"the journal cannot be written: {problem}"))
                self._mode.conclude()
            return self.exit_code()

    def finalize(self, late_failure: BaseException | None) -> int:
        """Make the promotion final or take it back, after the other plugins; write the report and return the exit code.

        ``late_failure`` is the error of another plugin at the end of the run.
        """
        with self._signals.shielded():
            if late_failure is not None:
                interrupted = isinstance(late_failure, KeyboardInterrupt)
                self._interrupted |= interrupted
                self._internal_error |= not interrupted
                self.stop(Reason(self.where(), f"{type(late_failure).__name__} while the run was ending"))
            if self._signals.received:
                self.stop(Reason(self.where(), self._signals.cause))
            if self._mode is not None:
                if late_failure is not None or self._signals.received:
                    self._mode.conclude()
                self._mode.finalize()
            self._finalized = True
            try:
                unreported = self._close_evidence()
                code = self.exit_code()
            finally:
                if self._mode is not None:
                    self._mode.close(unreported)
                self._scratch.remove()
            if self._index is not None:
                self._index(self._folder.parent, self.say)
            return code

    def _close_evidence(self) -> str | None:
        """Write the report; without one a promotion is taken back. Return why there is none, or None."""
        try:
            self._write_report(self.exit_code())
            return None
        except (OSError, JournalUnwritable) as error:
            problem = problem_of(error)
        self._internal_error = True
        self.stop(Reason(REPORT_FILE, f"the report cannot be written: {problem}"))
        self.say(f"the report in {self._folder} cannot be written: {problem}")
        if self._mode is not None:
            self._mode.take_back(self._reason or Reason(REPORT_FILE, problem))
        try:  # the attempt may have freed space, or the disk was full for a moment only
            self._write_report(self.exit_code())
            return None
        except (OSError, JournalUnwritable) as error:
            self._report = report.build(self._journal.records())
            return problem_of(error)

    def exit_code(self) -> int:
        """Return the exit code by the current state. Precedence: 11, 3, 2, then the verdict's own."""
        if self._refusal is not None:
            return NO_CHECKS if self._nothing_collected else REFUSED
        code = self._mode.outcome()[1] if self._mode else INTERNAL_ERROR
        if code == EXIT_CODES[Phase.HALTED]:
            return code
        if self._internal_error or self._journal.problem is not None:
            return INTERNAL_ERROR
        if (self._signals.received or self._interrupted) and not (self._finalized and code == 0):
            return INTERRUPTED
        return code

    def verdict(self) -> str:
        """Return the verdict."""
        if self._refusal is not None:
            return VERDICTS[Phase.REFUSED]
        return self._mode.outcome()[0] if self._mode else "rejected"

    def _write_report(self, code: int) -> None:
        self._details.add(REASONS, **reasons_line(self.gate_reasons()))
        for name, values in self._mode.series().items() if self._mode else ():
            self._details.add(SERIES, name=name, data=values)
        destination = self._mode.archive() if self._mode else NOWHERE
        closing = self._closing(code)
        self._report = archive.close(self._journal, self._folder, closing, destination, self.say, self._page)

    def _closing(self, code: int) -> list[tuple[str, dict[str, Any]]]:
        """Return the last records of the journal: the contract's coverage, the gates, and the result of the run."""
        verdict = self.verdict()
        known = self._refusal.live if isinstance(self._refusal, TargetIsLive) else None
        return [
            *([("live_before", {"live": {"colour": known}})] if known is not None else []),
            *self._coverage(),
            *([("not_asked", {"checks": self._tally.left_out()})] if self._tally.not_asked else []),
            *([("advised", {"checks": self._tally.advised()})] if self._tally.advisory else []),
            ("gates", {"gates": self._reported_gates()}),
            (
                "closed",
                {
                    "verdict": verdict,
                    "exit_code": code,
                    "reason": None if verdict in GOOD or self._reason is None else str(self._reason),
                    "live_harmed": self._mode is not None and self._mode.live_harmed,
                    "partial": self.partial,
                    "finished_at": self._clock.now().isoformat(timespec="milliseconds"),
                    **({"remedy": self.remedy} if self.remedy and verdict not in GOOD else {}),
                },
            ),
        ]

    @property
    def partial(self) -> bool:
        """Whether this verification does not run every check: some are not selected, or cannot be asked without accounts."""
        return (self._options.partial or bool(self._tally.not_asked)) and not self._state.deploying

    def _coverage(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the record of the contract's answers and the checks that met them; none if no check ran."""
        contract = contract_of(self._settings) if self._settings is not None and self._tally.results else None
        if contract is None or self._settings is None:
            return []
        met = {answer: sorted(checks) for answer, checks in sorted(self._tally.met().items())}
        cover = list(self._settings.gates.get(ENDPOINTS, {}).get("cover", ()))
        return [("coverage", {"documented": documented(contract), "met": met, "cover": cover})]

    def _reported_gates(self) -> list[dict[str, object]]:
        if self._settings is None:
            return [gate.as_report() for gate in report.no_gates(())]
        if self._refusal is None:
            return [gate.as_report() for gate in self.gates()]
        gates = report.no_gates(self.gate_names())
        return [gate.as_report() | {"required": self._settings.rule(gate.name).required} for gate in gates]

    def _any_failure(self, gate: str | None = None) -> bool:
        """Return whether a check that counts did not pass: one of this gate, or any one."""
        tally = self._tally
        counted = [
            results
            for check, results in tally.results.items()
            if check not in tally.advisory and gate in (None, tally.expected[check])
        ]
        return any(result.outcome is not CheckOutcome.PASSED for results in counted for result in results)


def _exempt(check: Check) -> dict[str, str | None]:
    """Return the journal's entry of a check that does not count for its gate."""
    assert check.exemption is not None, "only exempt checks are listed"
    kind, reason, until = check.exemption.kind, check.exemption.reason, check.exemption.until
    return {
        "check": check.nodeid,
        "gate": check.gate,
        "severity": kind,
        "reason": reason or None,
        "until": until or None,
    }

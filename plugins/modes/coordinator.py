"""The coordinator: it owns the deployment, performs each step at most once, and alone counts the verdict.

It lives in one process, the xdist controller or the only one. ``plugins.scheduling.serial`` and
``plugins.scheduling.parallel`` drive it through ``expect``, ``enter`` and ``record``; ``finish`` and ``finalize`` end it.
What happens at each stage is in ``plugins.modes.deploy`` and ``plugins.modes.verify``.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import DeploymentError, Refused, first_line
from deployment.evidence import archive, report
from deployment.evidence.archive import NOWHERE
from deployment.evidence.journal import Record
from deployment.evidence.opening import Opening, open_journal
from deployment.evidence.report import VERDICTS
from deployment.evidence.verdict import CheckOutcome, CheckResult, GateResult, in_report_order
from deployment.model import Reason
from deployment.phases import EXIT_CODES, Phase
from deployment.settings import Settings
from plugins.integrity import waivers
from plugins.integrity.collection_guard import duplicates, uncollected
from plugins.integrity.outcomes import changed, message_of, outcome_of
from plugins.modes.run_state import RunState, Terminal, Waiver
from plugins.options import RunOptions
from plugins.recorder import requests_in, samples_in, warnings_in
from plugins.stages import Check, Stage, objections, samples
from verification.redaction import LearningRedactor

INTERRUPTED, INTERNAL_ERROR, REFUSED, NOTHING = 2, 3, 4, 5


class Coordinator(RunState):
    """Drives one run: fixes what is expected, enters the stages, counts the results, and ends the run."""

    __slots__ = ()

    def __init__(
        self,
        run_id: str,
        options: RunOptions,
        settings: Settings | None,
        suites: Path,
        redactor: LearningRedactor,
        terminal: Terminal,
    ) -> None:
        super().__init__(run_id, options, settings, suites, redactor, terminal)
        opening = Opening(
            run_id,
            settings.environment if settings else options.environment,
            options.mode.value,
            self._actor,
            options.target,
        )
        open_journal(
            self._journal,
            opening,
            self._started_at.isoformat(timespec="milliseconds"),
            argv=sys.argv[1:],
            versions={name: version(name) for name in ("pytest", "pytest-xdist", "httpx", "boto3", "locust")}
            | {"python": platform.python_version()},
        )
        self.publish()

    # -- what the run is expected to ask ---------------------------------------------------------------------------

    def expect(
        self, checks: Sequence[Check], deselected: int = 0, errors: int = 0, foreign_hooks: Sequence[str] = ()
    ) -> None:
        """Fixes what must pass, before anything is touched. Raises Refused where it is not what the settings ask for."""
        self._checks = tuple(checks)
        tables = self._settings.gates if self._settings else {}
        for check in checks:
            self._tally.expect(check.nodeid, check.gate, samples(check, tables.get(check.gate, {})))
        problems = list(objections(checks))
        if errors:
            raise Refused(
                f"{errors} files of checks could not be collected", hint="Their errors stand above; mend them first."
            )
        if problems:
            raise Refused(problems[0])
        if not checks:
            self._nothing_collected = True
            raise Refused(
                "no check was collected", hint="suites/ holds a folder for each gate; see docs/add-a-check.md."
            )
        if self._state.deploying:
            for gate, why in waivers.parse(self._options.waive, self.gate_names()).items():
                self._waivers[gate] = Waiver(why, self._actor)
            self._complete_set(deselected, foreign_hooks)
        lines = sorted(f"{check} {least}".removesuffix(" 0") for check, least in self._tally.declared.items())
        self._manifest_hash = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        counts = {name: self.gate_size(name) for name in self.gate_names()}
        least = {name: sum(self._tally.declared[one.nodeid] for one in checks if one.gate == name) for name in counts}
        self._journal.append("manifest", checks=counts, samples=least, sha256=self._manifest_hash)

    def name_checks(self) -> None:
        """Journals the names that the manifest's hash is over; not before the secrets are known that may be in them."""
        declared = {check: least for check, least in sorted(self._tally.declared.items()) if least}
        self._journal.append("checks", names=sorted(check.nodeid for check in self._checks), samples=declared)

    def _complete_set(self, deselected: int, foreign_hooks: Sequence[str]) -> None:
        if foreign_hooks:
            raise Refused(
                f"{foreign_hooks[0]}: nobody but pytest and this framework decides a check's outcome in a deployment",
                hint="Take it out of the conftest, or switch the plugin off for this run with -p no:NAME.",
            )
        if deselected:
            raise Refused(f"{deselected} checks were deselected, and a deployment runs them all")
        if self._skipped_files:
            raise Refused(f"{self._skipped_files} files of checks were skipped whole, and a deployment runs them all")
        if doubled := duplicates(self._suites):
            raise Refused(
                f"{doubled[0]} is in its file twice, and only the last one would run", hint="Rename one of them."
            )
        if left_out := uncollected(self._suites, [check.nodeid for check in self._checks]):
            raise Refused(
                f"{left_out[0]} is in its file and was not collected ({len(left_out)} in all)",
                hint="Something leaves it out: collect_ignore, a conftest, an option. A deployment runs all checks.",
            )
        assert self._settings is not None, "a run without settings is refused before it collects"
        for name in self.gate_names():
            rule = self._settings.rule(name)
            if rule.required and self.gate_size(name) < rule.min_checks:
                raise Refused(
                    f"gate {name} has {self.gate_size(name)} checks, and {rule.min_checks} are required",
                    where=name,
                    hint=f"Look at suites/{name}/, or change gates.{name}.min_checks in deployment.toml.",
                )

    def gate_size(self, name: str) -> int:
        """How many checks a gate is expected to run."""
        return sum(check.gate == name for check in self._checks)

    def gate_names(self) -> list[str]:
        """Every gate of the report, in its order."""
        named = set(self._settings.gates) if self._settings else set()
        return in_report_order({check.gate for check in self._checks} | named)

    def gates(self) -> list[GateResult]:
        """Every gate's result so far."""
        assert self._settings is not None
        # Where somebody asked for a few checks only, how many there are says nothing about the release.
        few = self._options.partial and not self._state.deploying
        rules = [self._settings.rule(name) for name in self.gate_names()]
        results = [self._tally.gate(replace(rule, min_checks=1) if few else rule) for rule in rules]
        return [replace(gate, waived=self._waived(gate.name)) for gate in results]

    def _waived(self, gate: str) -> str | None:
        return str(self._waivers[gate]) if gate in self._waivers else None

    # -- what came of it ---------------------------------------------------------------------------------------------

    def enter(self, stage: Stage) -> bool:
        """Called before a stage's checks are handed out, on the main thread; False means that none of them runs."""
        if self._stopped or self._mode is None:
            return False
        try:
            self._mode.enter(stage)
        except Refused as error:
            self.refuse(error)
        except DeploymentError as error:
            self.stop(Reason(self.where(), first_line(error)))
        self.publish()
        return not self._stopped

    def record(self, report: pytest.TestReport) -> None:
        """Hears of one report of one check; only a call that passed, with a setup and teardown that did, is a pass."""
        check = report.nodeid
        gate = self._tally.expected.get(check)
        if gate is None:
            return
        for text in warnings_in(report):
            self.warn(gate, text)
        self._tally.spent(check, requests_in(report), report.duration, samples_in(report))
        outcome = CheckOutcome.INCONCLUSIVE if changed(report) else outcome_of(report)
        if outcome is None:
            return
        message = None if outcome is CheckOutcome.PASSED else self._redactor.clean(message_of(report))
        if outcome is CheckOutcome.PASSED and (message := self._tally.short_of(check)):
            outcome = CheckOutcome.INCONCLUSIVE
        result = CheckResult(check, gate, outcome, message)
        self._tally.record(result)
        if outcome is not CheckOutcome.PASSED and self._mode and self._settings and self._settings.rule(gate).required:
            with self._signals.shielded():
                self._mode.failed(result)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self, exitstatus: int) -> int:
        """Decides, before other plugins write their reports; returns the exit code."""
        with self._signals.shielded():
            if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
                self._internal_error = True
                self.stop(Reason("verify", "an internal error of the framework or of a plugin"))
            if self._signals.received:
                self.stop(Reason(self.where(), f"interrupted by {self._signals.received}"))
            elif exitstatus == pytest.ExitCode.INTERRUPTED and not self._any_failure():
                self.interrupt()
            elif not (self._manifest_hash or self._stopped):
                self.refuse(
                    Refused("no check was counted: a pytest_runtestloop that is not this framework's ran instead")
                )
            if self._mode is not None:
                self._mode.conclude()
            return self.exit_code()

    def finalize(self, late_failure: BaseException | None) -> int:
        """After the other plugins: the promotion is made final, or called off; then the report is written."""
        with self._signals.shielded():
            if late_failure is not None:
                interrupted = isinstance(late_failure, KeyboardInterrupt)
                self._interrupted |= interrupted
                self._internal_error |= not interrupted
                self.stop(Reason(self.where(), f"{type(late_failure).__name__} while the run was ending"))
            if self._signals.received:
                self.stop(Reason(self.where(), f"interrupted by {self._signals.received}"))
            if self._mode is not None:
                if late_failure is not None or self._signals.received:
                    self._mode.conclude()
                self._mode.finalize()
            self._finalized = True
            try:
                code = self.exit_code()
                self._write_report(code)
            finally:
                if self._mode is not None:
                    self._mode.close()
                shutil.rmtree(self._state_folder, ignore_errors=True)
            return code

    def exit_code(self) -> int:
        """The exit code as things stand. Precedence: 11, 3, 2, then the verdict's own."""
        if self._refusal is not None:
            return NOTHING if self._nothing_collected else REFUSED
        code = self._mode.outcome()[1] if self._mode else INTERNAL_ERROR
        if code == EXIT_CODES[Phase.HALTED]:
            return code
        if self._internal_error:
            return INTERNAL_ERROR
        if (self._signals.received or self._interrupted) and not (self._finalized and code == 0):
            return INTERRUPTED
        return code

    def verdict(self) -> str:
        """The verdict's word."""
        if self._refusal is not None:
            return VERDICTS[Phase.REFUSED]
        return self._mode.outcome()[0] if self._mode else "rejected"

    def projected_records(self) -> list[Record]:
        """The journal as it will be if nothing goes wrong any more, for pages that are written before the run's end."""
        records = self._journal.records()
        last = self._journal.head
        closing = [Record(0, "", self._actor, kind, data, last, last) for kind, data in self._closing(self.exit_code())]
        return [*records, *closing]

    def _write_report(self, code: int) -> None:
        destination = self._mode.archive() if self._mode else NOWHERE
        closing = self._closing(code)
        self._report = archive.close(self._journal, self._folder, closing, destination, self.say, self._page)

    def _closing(self, code: int) -> list[tuple[str, dict[str, Any]]]:
        """The last two lines of the journal: the gates, and how it all ended."""
        verdict = self.verdict()
        return [
            ("gates", {"gates": self._reported_gates()}),
            (
                "closed",
                {
                    "verdict": verdict,
                    "exit_code": code,
                    "reason": None
                    if verdict in ("promoted", "verified") or self._reason is None
                    else str(self._reason),
                    "live_harmed": self._mode is not None and self._mode.live_harmed,
                    "partial": self._options.partial and not self._state.deploying,
                    "finished_at": self._clock.now().isoformat(timespec="milliseconds"),
                },
            ),
        ]

    def _reported_gates(self) -> list[dict[str, object]]:
        if self._settings is None:
            return [gate.as_report() for gate in report.no_gates(())]
        if self._refusal is None:
            return [gate.as_report() for gate in self.gates()]
        gates = report.no_gates(self.gate_names())
        return [gate.as_report() | {"required": self._settings.rule(gate.name).required} for gate in gates]

    def _any_failure(self) -> bool:
        return any(r.outcome is not CheckOutcome.PASSED for results in self._tally.results.values() for r in results)

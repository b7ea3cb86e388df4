"""The coordinator: owns the deployment, performs each step at most once, and alone counts the verdict.

It lives in one process, the xdist controller or the only one. ``plugins.scheduling.serial`` and ``plugins.scheduling.parallel`` drive it through
``expect``, ``enter`` and ``record``; ``finish`` ends it. What each mode does at a stage is in ``plugins.modes.deploy`` and
``plugins.modes.verify``.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from deployment.clock import SystemClock
from deployment.errors import DeploymentError, Refused, first_line
from deployment.events import Listener
from deployment.evidence import archive, report
from deployment.evidence.archive import NOWHERE
from deployment.evidence.journal import Journal, Record
from deployment.evidence.report import VERDICTS
from deployment.evidence.verdict import CheckOutcome, CheckResult, GateResult, Tally, in_report_order
from deployment.phases import Phase
from deployment.recovery.interrupted_run import JOURNAL_FILE
from deployment.settings import Settings
from plugins import state as published
from plugins.integrity import waivers
from plugins.integrity.collection_guard import duplicates, uncollected
from plugins.integrity.outcomes import changed, message_of, outcome_of
from plugins.modes.base import RunMode
from plugins.options import RunOptions
from plugins.recorder import requests_in, samples_in, warnings_in
from plugins.signals import Signals
from plugins.stages import Check, Stage, objections, samples
from plugins.state import State
from verification.redaction import LearningRedactor

INTERRUPTED, INTERNAL_ERROR, REFUSED, NOTHING = 2, 3, 4, 5


class Coordinator:
    """One run's knowledge: what is expected, what came of it, what was refused, and where it is written."""

    def __init__(
        self,
        run_id: str,
        options: RunOptions,
        settings: Settings | None,
        suites: Path,
        redactor: LearningRedactor,
        listener: Listener,
        progress: Callable[[str], None],
    ) -> None:
        self.run_id = run_id
        self.options = options
        self.settings = settings
        self.suites = suites
        self.redactor = redactor
        self.listener = listener
        self.progress = progress
        self.folder = options.reports / run_id
        self.clock = SystemClock()
        self.actor = f"{getpass.getuser()}@{socket.gethostname()}"
        self.started_at = self.clock.now()
        self.signals = Signals()
        self.journal = Journal(
            self.folder / JOURNAL_FILE, self.actor, self.clock, redactor.clean, self.signals.deferred
        )
        self.tally = Tally()
        self.checks: list[Check] = []
        self.refusal: Refused | None = None
        self.reason: str | None = None
        self.stopped = False
        self.internal_error = False
        self.interrupted = False  # by pytest.exit, or whatever else stops pytest without a signal or a failure
        self.nothing_collected = False
        self.manifest_hash = ""
        self.waivers: dict[str, str] = {}  # gate -> reason and who
        self.warnings: list[str] = []  # of checks, in the order in which they came
        self.gone: list[str] = []  # checks of the last promotion that this run does not have
        self.collection_errors = 0
        self.skipped_files = 0
        self.finalized = False
        self.report: dict[str, Any] | None = None
        self._state_folder = Path(tempfile.mkdtemp(prefix="deployment-"))
        self.state_file = self._state_folder / "state.json"
        self.scratch = self._state_folder / "tmp"  # for the checks' temporary files
        self.state = State(run_id, options.target is not None, settings.environment if settings else "")
        self.mode: RunMode | None = None
        self.page: archive.Page | None = None
        self._open()

    def _open(self) -> None:
        self.journal.append(
            "opened",
            deployment_id=self.run_id,
            environment=self.settings.environment if self.settings else self.options.environment,
            target=self.options.target,
            by=self.actor,
            started_at=self.started_at.isoformat(timespec="milliseconds"),
            mode=self.options.mode.value,
            host=socket.gethostname(),
            pid=os.getpid(),
            argv=sys.argv[1:],
            versions={name: version(name) for name in ("pytest", "pytest-xdist", "httpx", "boto3", "locust")}
            | {"python": platform.python_version()},
        )
        published.write(self.state, self.state_file)

    # -- what the run is expected to ask ---------------------------------------------------------------------------

    def expect(
        self, checks: Sequence[Check], deselected: int = 0, errors: int = 0, foreign_hooks: Sequence[str] = ()
    ) -> None:
        """Fixes what must pass, before anything is touched. Raises Refused where it is not what the settings ask for."""
        self.checks = list(checks)
        tables = self.settings.gates if self.settings else {}
        for check in checks:
            self.tally.expect(check.nodeid, check.gate, samples(check, tables.get(check.gate, {})))
        problems = list(objections(checks))
        if errors:
            raise Refused(
                f"{errors} files of checks could not be collected", hint="Their errors stand above; mend them first."
            )
        if problems:
            raise Refused(problems[0])
        if not checks:
            self.nothing_collected = True
            raise Refused(
                "no check was collected", hint="suites/ holds a folder for each gate; see docs/add-a-check.md."
            )
        if self.state.deploying:
            for gate, reason in waivers.parse(self.options.waive, self.gate_names()).items():
                self.waivers[gate] = f"{reason} (by {self.actor})"
            self._complete_set(deselected, foreign_hooks)
        lines = sorted(f"{check} {least}".removesuffix(" 0") for check, least in self.tally.declared.items())
        self.manifest_hash = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        counts = {name: self.gate_size(name) for name in self.gate_names()}
        least = {name: sum(self.tally.declared[one.nodeid] for one in checks if one.gate == name) for name in counts}
        self.journal.append("manifest", checks=counts, samples=least, sha256=self.manifest_hash)

    def name_checks(self) -> None:
        """Journals the names that the manifest's hash is over; not before the secrets are known that may be in them."""
        declared = {check: least for check, least in sorted(self.tally.declared.items()) if least}
        self.journal.append("checks", names=sorted(check.nodeid for check in self.checks), samples=declared)

    def _complete_set(self, deselected: int, foreign_hooks: Sequence[str]) -> None:
        if foreign_hooks:
            raise Refused(
                f"{foreign_hooks[0]}: nobody but pytest and this framework decides a check's outcome in a deployment",
                hint="Take it out of the conftest, or switch the plugin off for this run with -p no:NAME.",
            )
        if deselected:
            raise Refused(f"{deselected} checks were deselected, and a deployment runs them all")
        if self.skipped_files:
            raise Refused(f"{self.skipped_files} files of checks were skipped whole, and a deployment runs them all")
        if doubled := duplicates(self.suites):
            raise Refused(
                f"{doubled[0]} is in its file twice, and only the last one would run", hint="Rename one of them."
            )
        if left_out := uncollected(self.suites, [check.nodeid for check in self.checks]):
            raise Refused(
                f"{left_out[0]} is in its file and was not collected ({len(left_out)} in all)",
                hint="Something leaves it out: collect_ignore, a conftest, an option. A deployment runs all checks.",
            )
        assert self.settings is not None, "a run without settings is refused before it collects"
        for name in self.gate_names():
            rule = self.settings.rule(name)
            if rule.required and self.gate_size(name) < rule.min_checks:
                raise Refused(
                    f"gate {name} has {self.gate_size(name)} checks, and {rule.min_checks} are required",
                    where=name,
                    hint=f"Look at suites/{name}/, or change gates.{name}.min_checks in deployment.toml.",
                )

    def gate_size(self, name: str) -> int:
        """How many checks a gate is expected to run."""
        return sum(check.gate == name for check in self.checks)

    def gate_names(self) -> list[str]:
        """Every gate of the report, in its order."""
        named = set(self.settings.gates) if self.settings else set()
        return in_report_order({check.gate for check in self.checks} | named)

    def gates(self) -> list[GateResult]:
        """Every gate's result so far."""
        assert self.settings is not None
        # Where somebody asked for a few checks only, how many there are says nothing about the release.
        few = self.options.partial and not self.state.deploying
        rules = [self.settings.rule(name) for name in self.gate_names()]
        results = [self.tally.gate(replace(rule, min_checks=1) if few else rule) for rule in rules]
        return [replace(gate, waived=self.waivers.get(gate.name)) for gate in results]

    # -- what came of it ---------------------------------------------------------------------------------------------

    def enter(self, stage: Stage) -> bool:
        """Called before a stage's checks are handed out, on the main thread; False means that none of them runs."""
        if self.stopped or self.mode is None:
            return False
        try:
            self.mode.enter(stage)
        except Refused as error:
            self.refuse(error)
        except DeploymentError as error:
            self.stop(f"{self.where()}: {first_line(error)}")
        self.publish(self.state)
        return not self.stopped

    def record(self, report: pytest.TestReport) -> None:
        """Hears of one report of one check; only a call that passed, with a setup and teardown that did, is a pass."""
        check = report.nodeid
        gate = self.tally.expected.get(check)
        if gate is None:
            return
        for text in warnings_in(report):
            self.warn(gate, text)
        self.tally.spent(check, requests_in(report), report.duration, samples_in(report))
        outcome = CheckOutcome.INCONCLUSIVE if changed(report) else outcome_of(report)
        if outcome is None:
            return
        message = None if outcome is CheckOutcome.PASSED else self.redactor.clean(message_of(report))
        if outcome is CheckOutcome.PASSED and (message := self.tally.short_of(check)):
            outcome = CheckOutcome.INCONCLUSIVE
        result = CheckResult(check, gate, outcome, message)
        self.tally.record(result)
        if outcome is not CheckOutcome.PASSED and self.mode and self.settings and self.settings.rule(gate).required:
            with self.signals.shielded():
                self.mode.failed(result)

    def warn(self, gate: str, text: str) -> None:
        """Something that decides nothing, shown beside the verdict; once, however many checks say it."""
        warning = self.redactor.clean(f"{gate}: {text}")
        if warning not in self.warnings:
            self.warnings.append(warning)
            self.journal.append("warning", gate=gate, text=text)

    def fault(self, where: str, what: str) -> None:
        """Something that belongs to no check and forbids a pass: a lost worker, an internal error."""
        self.tally.fault(where, what)
        self.journal.append("fault", where=where, what=what)

    def refuse(self, refusal: Refused) -> None:
        """Nothing was touched, and nothing will be."""
        self.refusal = self.refusal or refusal
        self.stop(f"{refusal.where or self.where()}: {first_line(refusal)}")

    def stop(self, reason: str) -> None:
        """No further check is handed out."""
        self.reason = self.reason or self.redactor.clean(reason)
        self.stopped = True

    def interrupt(self) -> None:
        """A check or a plugin has ended pytest itself, not a signal and not a failure."""
        self.interrupted = True
        self.stop(f"{self.where()}: the run was stopped before all checks had run")

    def publish(self, state: State) -> None:
        """Lets fixtures, also those on workers, see what became of the steps."""
        self.state = state.but(problem=self.reason)
        published.write(self.state, self.state_file)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self, exitstatus: int) -> int:
        """Decides, before other plugins write their reports; returns the exit code."""
        with self.signals.shielded():
            if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
                self.internal_error = True
                self.stop("verify: an internal error of the framework or of a plugin")
            if self.signals.received:
                self.stop(f"{self.where()}: interrupted by {self.signals.received}")
            elif exitstatus == pytest.ExitCode.INTERRUPTED and not self._any_failure():
                self.interrupt()
            elif not (self.manifest_hash or self.stopped):
                self.refuse(
                    Refused("no check was counted: a pytest_runtestloop that is not this framework's ran instead")
                )
            if self.mode is not None:
                self.mode.conclude()
            return self.exit_code()

    def finalize(self, late_failure: BaseException | None) -> int:
        """After the other plugins: the promotion is made final, or called off; then the report is written."""
        with self.signals.shielded():
            if late_failure is not None:
                interrupted = isinstance(late_failure, KeyboardInterrupt)
                self.interrupted |= interrupted
                self.internal_error |= not interrupted
                self.stop(f"{self.where()}: {type(late_failure).__name__} while the run was ending")
            if self.signals.received:
                self.stop(f"{self.where()}: interrupted by {self.signals.received}")
            if self.mode is not None:
                if late_failure is not None or self.signals.received:
                    self.mode.conclude()
                self.mode.finalize()
            self.finalized = True
            try:
                code = self.exit_code()
                self._write_report(code)
            finally:
                if self.mode is not None:
                    self.mode.close()
                shutil.rmtree(self._state_folder, ignore_errors=True)
            return code

    def exit_code(self) -> int:
        """The exit code as things stand. Precedence: 11, 3, 2, then the verdict's own."""
        if self.refusal is not None:
            return NOTHING if self.nothing_collected else REFUSED
        code = self.mode.outcome()[1] if self.mode else INTERNAL_ERROR
        if code == 11:
            return code
        if self.internal_error:
            return INTERNAL_ERROR
        if (self.signals.received or self.interrupted) and not (self.finalized and code == 0):
            return INTERRUPTED
        return code

    def verdict(self) -> str:
        """The verdict's word."""
        if self.refusal is not None:
            return VERDICTS[Phase.REFUSED]
        return self.mode.outcome()[0] if self.mode else "rejected"

    def projected_records(self) -> list[Record]:
        """The journal as it will be if nothing goes wrong any more, for pages that are written before the run's end."""
        records = self.journal.records()
        last = self.journal.head
        closing = [Record(0, "", self.actor, kind, data, last, last) for kind, data in self._closing(self.exit_code())]
        return [*records, *closing]

    def _write_report(self, code: int) -> None:
        destination = self.mode.archive() if self.mode else NOWHERE
        closing = self._closing(code)
        self.report = archive.close(self.journal, self.folder, closing, destination, self.progress, self.page)

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
                    "reason": None if verdict in ("promoted", "verified") else self.reason,
                    "live_harmed": self.mode is not None and self.mode.live_harmed,
                    "partial": self.options.partial and not self.state.deploying,
                    "finished_at": self.clock.now().isoformat(timespec="milliseconds"),
                },
            ),
        ]

    def _reported_gates(self) -> list[dict[str, object]]:
        if self.settings is None:
            return [gate.as_report() for gate in report.no_gates(())]
        if self.refusal is None:
            return [gate.as_report() for gate in self.gates()]
        gates = report.no_gates(self.gate_names())
        return [gate.as_report() | {"required": self.settings.rule(gate.name).required} for gate in gates]

    def _any_failure(self) -> bool:
        return any(r.outcome is not CheckOutcome.PASSED for results in self.tally.results.values() for r in results)

    def where(self) -> str:
        """The step that was begun last: the one to name when something stops the run."""
        steps = [record.data["step"] for record in self.journal.records() if record.kind == "intent"]
        return str(steps[-1]) if steps else "lease" if self.state.deploying else "verify"

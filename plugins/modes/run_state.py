"""The state of one run: its expected checks, its results, and its journal and report.

Only the methods of this class and of ``Coordinator`` change it: every attribute is read-only from outside.
"""

from __future__ import annotations

import getpass
import platform
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from deployment.clock import SystemClock
from deployment.errors import DeploymentError, Refused, SettingsError, first_line
from deployment.events import Event
from deployment.evidence.archive import Page
from deployment.evidence.data.details import DETAILS_FILE, Details
from deployment.evidence.journal import JOURNAL_FILE, Journal
from deployment.evidence.opening import Opening, open_journal
from deployment.evidence.sentence import name_environment
from deployment.evidence.verdict import Tally
from deployment.files import problem_of
from deployment.model import STOPPED, Reason
from deployment.settings import Settings
from plugins import state as published
from plugins.integrity.assertions import recorded_environment
from plugins.integrity.outcomes import Seal
from plugins.integrity.waivers import is_check
from plugins.modes.base import RunMode
from plugins.modes.early_verdict import EarlyVerdict
from plugins.modes.scratch import STATE_FILE, Scratch
from plugins.options import RunOptions
from plugins.signals import Signals
from plugins.stages import Check
from plugins.state import State
from verification.redaction.redactor import LearningRedactor

RECORDED_PACKAGES = ("pytest", "pytest-xdist", "httpx", "boto3", "locust")


class Terminal(Protocol):
    """Where a person follows the run."""

    def event(self, event: Event) -> None:
        """Show one event of the deployment."""

    def say(self, text: str) -> None:
        """Show one line."""


@dataclass(frozen=True)
class Waiver:
    """The reason why a required gate may fail, and the principal who gave it."""

    reason: str
    by: str

    def __str__(self) -> str:
        return f"{self.reason} (by {self.by})"


class RunState:
    """What one run knows; it opens the journal and publishes to the fixtures what they may see."""

    __slots__ = (
        "_actor",
        "_checks",
        "_clock",
        "_collection_errors",
        "_details",
        "_early",
        "_finalized",
        "_folder",
        "_gone",
        "_index",
        "_internal_error",
        "_interrupted",
        "_journal",
        "_left_open",
        "_manifest_hash",
        "_mode",
        "_noted",
        "_nothing_collected",
        "_options",
        "_page",
        "_reason",
        "_redactor",
        "_refusal",
        "_remedy",
        "_report",
        "_run_id",
        "_scratch",
        "_seal",
        "_settings",
        "_signals",
        "_skipped_files",
        "_started_at",
        "_state",
        "_state_key",
        "_stopped",
        "_stopped_at",
        "_suites",
        "_tally",
        "_terminal",
        "_waivers",
        "_warnings",
    )

    def __init__(
        self,
        run_id: str,
        options: RunOptions,
        settings: Settings | None,
        suites: Path,
        redactor: LearningRedactor,
        terminal: Terminal,
    ) -> None:
        """Create the report's folder and its journal. Raises JournalUnwritable or OSError if they cannot be written."""
        self._run_id = run_id
        self._options = options
        self._settings = settings
        self._suites = suites
        self._redactor = redactor
        self._terminal = terminal
        self._folder = options.reports / run_id
        self._clock = SystemClock()
        self._actor = f"{getpass.getuser()}@{socket.gethostname()}"
        self._started_at = self._clock.now()
        self._signals = Signals()
        path = self._folder / JOURNAL_FILE
        self._journal = Journal(path, self._actor, self._clock, redactor.clean, self._signals.deferred)
        self._details = Details(self._folder / DETAILS_FILE, redactor.clean)
        self._tally = Tally()
        self._checks: tuple[Check, ...] = ()
        self._refusal: Refused | None = None
        self._reason: Reason | None = None
        self._remedy: str | None = None
        self._stopped = False
        self._stopped_at = float("inf")
        self._internal_error = False
        self._interrupted = False
        self._nothing_collected = False
        self._left_open: str | None = None
        self._noted: list[dict[str, object]] = []  # the gates of the last line `tally`
        self._manifest_hash = ""
        self._waivers: dict[str, Waiver] = {}
        self._warnings: list[str] = []
        self._gone: tuple[str, ...] = ()
        self._collection_errors = 0
        self._skipped_files = 0
        self._finalized = False
        self._report: dict[str, Any] | None = None
        self._early = self._early_verdict()
        self._scratch = Scratch()
        self._seal = Seal()
        self._state_key: str | None = None
        self._state = State(run_id, options.target is not None, settings.environment if settings else "")
        self._mode: RunMode | None = None
        self._page: Page | None = None
        self._index: Callable[[Path, Callable[[str], None]], object] | None = None
        self._open()
        self._journal.require_written()

    def _early_verdict(self) -> EarlyVerdict | None:
        """Return the watch over the latency budgets; None in a verification, whose gates all run."""
        if self._settings is None or self._options.target is None:
            return None
        from infrastructure.description import service_of  # its validators load slowly, and workers do not need them

        try:
            return EarlyVerdict(self._settings, service_of(self._settings))
        except SettingsError:  # the run is refused for it
            return None

    def _open(self) -> None:
        """Write the journal's first line, and publish the first state."""
        settings, options = self._settings, self._options
        environment = settings.environment if settings else options.environment
        opening = Opening(self._run_id, environment, options.mode.value, self._actor, options.target)
        open_journal(
            self._journal,
            opening,
            self._started_at.isoformat(timespec="milliseconds"),
            image_tag=options.image_tag,
            argv=sys.argv[1:],
            variables=recorded_environment(),
            versions={name: version(name) for name in RECORDED_PACKAGES} | {"python": platform.python_version()},
        )
        self.publish()

    # -- the state, read-only ----------------------------------------------------------------------------------------

    @property
    def seal(self) -> Seal:
        """The seal of this run's reports."""
        return self._seal

    @property
    def run_id(self) -> str:
        """The deployment's id, which is also the name of the report's folder."""
        return self._run_id

    @property
    def options(self) -> RunOptions:
        """The options of this run."""
        return self._options

    @property
    def settings(self) -> Settings | None:
        """The settings of the environment; None if they could not be read."""
        return self._settings

    @property
    def suites(self) -> Path:
        """The folder of the checks."""
        return self._suites

    @property
    def redactor(self) -> LearningRedactor:
        """Removes the secrets that this run knows."""
        return self._redactor

    @property
    def terminal(self) -> Terminal:
        """Where a person follows the run."""
        return self._terminal

    @property
    def folder(self) -> Path:
        """The folder of the report."""
        return self._folder

    @property
    def clock(self) -> SystemClock:
        """The clock of this run."""
        return self._clock

    @property
    def actor(self) -> str:
        """``USER@HOST`` of this process."""
        return self._actor

    @property
    def started_at(self) -> datetime:
        """When the run began (UTC)."""
        return self._started_at

    @property
    def signals(self) -> Signals:
        """The signal handlers of this run."""
        return self._signals

    @property
    def journal(self) -> Journal:
        """The journal of this run."""
        return self._journal

    @property
    def details(self) -> Details:
        """What the checks saw, for the report's page."""
        return self._details

    @property
    def tally(self) -> Tally:
        """The expected checks and their results."""
        return self._tally

    @property
    def checks(self) -> Sequence[Check]:
        """The checks that must pass."""
        return self._checks

    @property
    def refusal(self) -> Refused | None:
        """Why the run was refused; None if it was not."""
        return self._refusal

    @property
    def reason(self) -> Reason | None:
        """Why the run did not succeed; None while nothing failed."""
        return self._reason

    @property
    def remedy(self) -> str | None:
        """What the error that ended the run advises to type or do next; None without such advice."""
        return self._remedy

    @property
    def stopped(self) -> bool:
        """Whether no further check is handed out."""
        return self._stopped

    @property
    def waivers(self) -> Mapping[str, Waiver]:
        """The waivers by the names of gates, checks and files of checks."""
        return self._waivers

    @property
    def warnings(self) -> Sequence[str]:
        """The warnings of checks, in the order in which they came."""
        return self._warnings

    @property
    def gone(self) -> Sequence[str]:
        """The checks of the last promotion that this run does not have."""
        return self._gone

    @property
    def collection_errors(self) -> int:
        """How many files could not be collected on the workers."""
        return self._collection_errors

    @property
    def finalized(self) -> bool:
        """Whether the verdict cannot change any more."""
        return self._finalized

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The report; None until it was written."""
        return self._report

    @property
    def left_open(self) -> str | None:
        """What ``recover`` still does for this run, see ``leave_open``."""
        return self._left_open

    @property
    def state(self) -> State:
        """The state that fixtures can read."""
        return self._state

    @property
    def state_file(self) -> Path:
        """The file from which workers read the state."""
        return self._scratch.path / STATE_FILE

    @property
    def scratch(self) -> Path:
        """A folder for the checks' temporary files, which is removed at the end."""
        return self._scratch.path / "tmp"

    # -- changes -----------------------------------------------------------------------------------------------------

    def use_mode(self, mode: RunMode) -> None:
        """Choose what happens at each stage: a deployment or a verification."""
        self._mode = mode

    def use_page(self, page: Page, index: Callable[[Path, Callable[[str], None]], object]) -> None:
        """Choose how report.html is written at the end, and then the index of all reports of a folder."""
        self._page = page
        self._index = index

    def leave_open(self, does: str | None) -> None:
        """Record what ``recover`` still does for this run after its end, as the last words of a sentence; None: nothing."""
        self._left_open = does

    def say(self, text: str) -> None:
        """Show one line to the person who follows the run."""
        self._terminal.say(text)

    def publish(self, **changes: Any) -> None:
        """Change the state that fixtures read, also those on workers. If workers cannot get it, the run is stopped."""
        self._state = replace(self._state, **changes, problem=str(self._reason) if self._reason else None)
        if self._state_key is None:
            return
        try:
            published.write(self._state, self.state_file, self._state_key)
        except OSError as error:
            self.internal_fault()
            self.stop(Reason(self.where(), f"the workers cannot get the state of the run: {problem_of(error)}"))

    def share_state(self) -> str:
        """Publish the state for workers from now on; return the key of its file."""
        if self._state_key is None:
            self._state_key = published.new_key()
            self._redactor.learn(self._state_key)
            self.publish()
        return self._state_key

    def waive(self, name: str, reason: str, by: str) -> None:
        """Let a required gate fail, or accept that a check became weaker, and journal the reason and the principal."""
        self._waivers[name] = Waiver(reason, by)
        self._journal.append("waived", **{"check" if is_check(name) else "gate": name}, reason=str(self._waivers[name]))

    def confirm_waivers(self, by: str) -> None:
        """Journal the waivers that were given as options, now that AWS has said who the caller is."""
        for name, waiver in list(self._waivers.items()):
            self.waive(name, waiver.reason, by)

    def report_gone(self, checks: Sequence[str]) -> None:
        """Journal the checks of the last promotion that this run does not have."""
        self._gone = tuple(checks)
        if checks:
            self._journal.append("gone", checks=list(checks))
            self.say(f"{len(checks)} checks of the last promotion are gone, among them {checks[0]}")

    def compare(self, promotion: str | None, checks: int | None) -> None:
        """Journal the promotion with which the checks were compared, and how many it had to pass; None if nothing is recorded."""
        self._journal.append("compared", promotion=promotion, checks=checks)
        if checks is None and (self._tally.absent or not all(check.counts for check in self._checks)):
            self.say("no earlier promotion is recorded: the parts that do not count were compared with nothing")

    def warn(self, gate: str, text: str) -> None:
        """Show a warning beside the verdict, once, however many checks give it; it decides nothing."""
        warning = self._redactor.clean(f"{gate}: {text}")
        if warning not in self._warnings:
            self._warnings.append(warning)
            self._journal.append("warning", gate=gate, text=text)

    def fault(self, where: str, what: str) -> None:
        """Record something that belongs to no check and forbids a pass: a lost worker, an internal error."""
        self._tally.fault(where, what)
        self._journal.append("fault", where=where, what=what)

    def fail_gate(self, gate: str, reason: str) -> None:
        """Fail a gate for a reason that none of its checks reported."""
        self._tally.fail_gate(gate, self._redactor.clean(reason))

    def internal_fault(self) -> None:
        """Record a defect of pytest, of a plugin or of this framework."""
        self._internal_error = True
        self.fault("verify", "internal error")

    def record_workers(self, count: int, variables: Mapping[str, str]) -> None:
        """Journal how many workers run checks, and the variables that change how they do."""
        self._journal.append("workers", count=count, variables=dict(variables))

    def skip_file(self) -> None:
        """Count a file of checks that was skipped as a whole."""
        self._skipped_files += 1

    def fail_collection(self) -> None:
        """Count a file of checks that a worker could not collect."""
        self._collection_errors += 1

    def refuse(self, refusal: Refused) -> None:
        """Refuse the run: nothing was touched, and nothing will be."""
        self._refusal = self._refusal or refusal
        self.stop_by(refusal, refusal.where)

    def stop_by(self, error: DeploymentError, where: str | None = None) -> None:
        """Hand out no further check because of an error, in this step or gate; keep its hint for the report."""
        if self._reason is None:
            remedy = name_environment("\n".join(str(error).strip().splitlines()[1:]), self._options.environment)
            self._remedy = self._redactor.clean(remedy).strip() or None
        self.stop(Reason(where or self.where(), name_environment(first_line(error), self._options.environment)))

    def stop(self, reason: Reason) -> None:
        """Hand out no further check. The first reason counts."""
        self._reason = self._reason or reason.cleaned(self._redactor.clean)
        self._stopped_at = min(self._stopped_at, time.time())
        self._stopped = True
        self._journal.allow_gaps()  # from here on the run only makes the world safe

    def replace_reason(self, reason: Reason | None) -> None:
        """Take over the reason with which the machine ended, which knows how a rollback went."""
        self._reason = reason

    def interrupt(self) -> None:
        """Record that a check or a plugin has ended pytest, not a signal and not a failure."""
        self._interrupted = True
        self.stop(Reason(self.where(), STOPPED))

    def where(self) -> str:
        """Return the step that began last: the one to name if something stops the run."""
        steps = [record.data["step"] for record in self._journal.records() if record.kind == "intent"]
        return str(steps[-1]) if steps else "lease" if self._state.deploying else "verify"

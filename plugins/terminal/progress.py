"""Progress of a run on the terminal: its steps, its gates, and its verdict."""

from __future__ import annotations

import os
import re
import textwrap
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployment.events import Event, PhaseChanged, StepBegan, StepEnded, Waiting
from deployment.evidence.data import content
from deployment.evidence.past.usual import durations
from deployment.evidence.sentence import INTERRUPTED, name_environment, unfinished
from deployment.evidence.verdict import CheckOutcome, GateOutcome, GateResult
from deployment.phases import Phase
from plugins.terminal.live import JOINT, GateCount, LiveView, Now, StepClock, possible
from plugins.terminal.screen import Screen
from verification.redaction.printable import printable

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

# A log gets a line about a step that waits, rarely enough to stay readable.
LOG_EVERY_S = 15.0
NAME_WIDTH = 10
_UNIT = re.compile(r"(?<=\d) (?=s\b|ms\b|min\b)")
RECOVER = "`python scripts/deploy.py recover`"
ON_A_CANDIDATE = "--base-url=URL "
LAST = ("teardown", "???")
"""``when`` of a check's last report: its teardown, or xdist's report about a lost worker."""


class Progress:
    """A listener of the machine's events and of the checks' results that writes to pytest's terminal.

    On a terminal a live view stays below the lines that are printed. A log gets the lines alone: one for each step and
    each gate that has ended, and one now and then while a step waits.
    """

    def __init__(self, config: pytest.Config, screen: Screen | None = None) -> None:
        self._config = config
        self._screen = screen or Screen()
        self._run: Coordinator | None = None
        self._clock = StepClock()
        self._gates: dict[str, GateCount] = {}
        self._ended: set[str] = set()
        self._usual: dict[str, float] = {}
        self._view: LiveView | None = None
        self._last_line = 0.0

    @property
    def screen(self) -> Screen:
        """The block of the live view, which other output must erase first."""
        return self._screen

    def _terminal(self) -> pytest.TerminalReporter | None:
        found: pytest.TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        return found

    def headline(self, run: Coordinator) -> None:
        """Print what this run does, and its id."""
        terminal = self._terminal()
        if terminal is None:
            return
        self._run = run
        options = run.options
        environment = run.settings.environment if run.settings else options.environment or "no environment"
        title = (
            f"deploy {options.image_tag or 'the highest version'} to {options.target}"
            if options.target
            else "verify the live release"
        )
        if options.base_url:
            title = f"verify {options.base_url}"
        terminal.write_sep("=", printable(f"{title} ({environment})"), bold=True)
        terminal.write_line(f"id {run.run_id}")
        if self.counts_checks:  # instead of pytest's names of files and its letters
            terminal.showfspath = False
            terminal._show_progress_info = False

    @property
    def counts_checks(self) -> bool:
        """Whether this shows how far the gates are, so that pytest itself need not."""
        return int(self._config.option.verbose) == 0

    # -- the live view -------------------------------------------------------------------------------------------------

    def start_view(self) -> None:
        """Start the live view if there is a terminal that can show it."""
        terminal, run = self._terminal(), self._run
        if self._view is not None or terminal is None or run is None or run.refusal is not None:
            return
        if not (terminal.isatty and self.counts_checks and self._screen.usable and possible(os.environ)):
            return
        if not self._clock.step:  # a verification has no steps
            self._clock.begin("verify", "verify the release")
        self._view = LiveView(self._screen, self._now, colours=bool(terminal.hasmarkup))
        self._view.start()

    def stop_view(self) -> None:
        """Stop the live view, and erase it; for other output that needs the terminal."""
        if self._view is not None:
            self._view.stop()

    def resume_view(self) -> None:
        """Show the live view again after ``stop_view``."""
        if self._view is not None and not self._view.running:
            self._view.start()

    def _now(self) -> Now | None:
        """Return what the live view shows; called in its thread."""
        run, clock = self._run, self._clock
        if run is None:
            return None
        if not self._usual and run.settings is not None:
            self._usual = {"": 0.0} | durations(run.folder.parent, run.settings.environment, run.run_id)
        return Now(
            clock.step,
            printable(clock.what),
            clock.elapsed_s,
            self._usual.get(clock.step),
            run.redactor.clean(printable(clock.detail)).replace("\n", " "),
            tuple(self._gates.values()),
            run.traffic_seen,
        )

    # -- results -------------------------------------------------------------------------------------------------------

    def checked(self, check: str, when: str | None) -> None:
        """Count a check's report; print the line of a gate whose checks all have results. ``check``: its id in pytest."""
        run = self._run
        if run is None:
            return
        if not self._gates:
            sizes = Counter(one.gate for one in run.checks if one.counts)
            self._gates = {name: GateCount(name, sizes[name]) for name in run.gate_names()}
        gate, results = run.tally.expected.get(check), run.tally.results.get(check)
        if when not in LAST or gate is None or not results or check in self._ended or check in run.tally.advisory:
            return
        self._ended.add(check)
        bad = any(one.outcome is not CheckOutcome.PASSED for one in results)
        before = self._gates[gate]
        now = self._gates[gate] = replace(before, done=before.done + 1, failed=before.failed + bad)
        if now.ended and self.counts_checks:
            self._gate(next(one for one in run.gates() if one.name == gate))

    def _gate(self, gate: GateResult) -> None:
        """Print the line of a gate that has ended."""
        took = f"({gate.duration_s:.1f} s)"
        if gate.outcome is GateOutcome.PASSED:
            self._line(gate.name, f"gate passed: {gate.checks} of {gate.checks} checks {took}", green=True)
            return
        why = f"waived: {gate.waived}" if gate.waived else "" if gate.required else "not required"
        count = f": {gate.failed} of {gate.checks} checks did not pass"
        if not gate.failed:  # the reason is one of the gate itself
            count = " although its checks passed"
        text = f"gate FAILED{count} {took}" + (f", {why}" if why else "")
        self._line(gate.name, f"{text}: {gate.reason}", **({"yellow": True} if why else {"red": True}))

    # -- events --------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print one line about the environment."""
        self._line("cloud", text)

    def event(self, event: Event) -> None:
        """Print one event of the deployment."""
        if isinstance(event, StepBegan):
            self._last_line = time.monotonic()
            self._clock.begin(event.step, event.what)
            self.start_view()
        elif isinstance(event, Waiting):
            self._clock.wait(event.detail)
            self._waiting(event)
        elif isinstance(event, StepEnded):
            self._clock.end()
            mark = {"green": True} if event.passed else {"red": True}
            word = "" if event.passed else "FAILED: "
            self._line(event.step, f"{word}{event.detail} ({event.duration_s:.1f} s)", **mark)
        elif isinstance(event, PhaseChanged) and event.after is Phase.ROLLING_BACK:
            self._line("rollback", f"because of {event.reason}", red=True, bold=True)

    def _waiting(self, event: Waiting) -> None:
        """Print a line if the step has waited long and no live view shows it."""
        if self._view is None and time.monotonic() - self._last_line >= LOG_EVERY_S:
            self._line(event.step, f"still waiting after {event.elapsed_s:.0f} s: {event.detail}")

    @staticmethod
    def _newline(terminal: pytest.TerminalReporter) -> None:
        """Start a new line after a line of dots, also with workers, whose dots pytest does not track."""
        terminal.ensure_newline()
        if terminal._tw.width_of_current_line:
            terminal.write_line("")

    def _line(self, name: str, text: str, **markup: bool) -> None:
        terminal = self._terminal()
        if terminal is None or self._config.option.verbose < -1:
            return
        self._newline(terminal)
        self._last_line = time.monotonic()
        terminal.write(f"{name:<{NAME_WIDTH}} ", bold=True)
        terminal.write_line(self._fitted(terminal, text, NAME_WIDTH + 1), **markup)

    @staticmethod
    def _fitted(terminal: pytest.TerminalReporter, text: str, indent: int) -> str:
        """Return the text without control characters, on a terminal wrapped and indented from the second line on.

        A log keeps it in one line.
        """
        text = printable(text)
        if not terminal.isatty:
            return text
        width = max(20, terminal._tw.fullwidth - indent)
        lines = textwrap.wrap(_UNIT.sub(JOINT, text), width, break_long_words=False, break_on_hyphens=False)
        return ("\n" + " " * indent).join(lines).replace(JOINT, " ")

    def verdict(self, run: Coordinator) -> None:
        """Print the last screen: the verdict, its reason, the failures, the users, the report's path and the exit code."""
        from plugins.terminal.verdict import MOODS, screen  # workers print none

        self.stop_view()
        terminal, report = self._terminal(), run.report
        if terminal is None or report is None:
            return
        good = report["exit_code"] == 0
        self._newline(terminal)
        cut = unfinished(report) == INTERRUPTED
        terminal.write_sep("=", "verdict", bold=True, green=good, yellow=cut, red=not (good or cut))
        data = content.build(run.journal.records(), content.details_of(run.folder))
        asked = run.options
        against = f"--base-url={asked.base_url} " if asked.base_url else "" if asked.target is None else ON_A_CANDIDATE
        width = terminal._tw.fullwidth if terminal.isatty else None
        to_recover = name_environment(f"{RECOVER} {run.left_open}", asked.environment) if run.left_open else None
        for text, mood in screen(data, run.folder / "report.html", against, width, to_recover):
            terminal.write_line(text, **MOODS[mood])

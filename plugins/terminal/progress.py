"""Progress of a deployment on the terminal: the step, its duration, and what it waits for."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from deployment.events import Event, PhaseChanged, StepBegan, StepEnded, Waiting
from deployment.evidence.sentence import advisories, exemptions, next_step, sentence
from deployment.evidence.verdict import GateOutcome
from deployment.phases import Phase
from verification.redaction.printable import printable

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

# On a terminal the line is rewritten in place; a CI log gets a new line, rarely enough to stay readable.
LOG_EVERY_S = 15.0
NAME_WIDTH = 10
MOST_EXEMPTIONS = 10

# During these steps checks run, and pytest's own lines show the progress.
SPANNING = ("verify", "live")


class Progress:
    """A listener of the machine's events that writes to pytest's terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._waited = False
        self._last_line = 0.0

    def _terminal(self) -> pytest.TerminalReporter | None:
        found: pytest.TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        return found

    def headline(self, run: Coordinator) -> None:
        """Print what this run does, and its id."""
        terminal = self._terminal()
        if terminal is None:
            return
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

    def say(self, text: str) -> None:
        """Print one line about the environment."""
        self._line("cloud", text)

    def event(self, event: Event) -> None:
        """Print one event of the deployment."""
        if isinstance(event, StepBegan):
            self._last_line = time.monotonic()
            if self._in_place() and event.step not in SPANNING:
                self._rewrite(f"{event.step:<{NAME_WIDTH}} {event.what} ...")
        elif isinstance(event, Waiting):
            self._waiting(event)
        elif isinstance(event, StepEnded):
            mark = {"green": True} if event.passed else {"red": True}
            word = "" if event.passed else "FAILED: "
            self._line(event.step, f"{word}{event.detail} ({event.duration_s:.1f} s)", **mark)
        elif isinstance(event, PhaseChanged) and event.after is Phase.ROLLING_BACK:
            self._line("rollback", f"because of {event.reason}", red=True, bold=True)

    def _waiting(self, event: Waiting) -> None:
        """Show how long the step has waited, then its state: the end of the line is cut on a narrow terminal."""
        if self._in_place():
            self._rewrite(f"{event.step:<{NAME_WIDTH}} {event.elapsed_s:.0f} s: {event.detail}")
        elif time.monotonic() - self._last_line >= LOG_EVERY_S:
            self._line(event.step, f"still waiting after {event.elapsed_s:.0f} s: {event.detail}")

    def _in_place(self) -> bool:
        terminal = self._terminal()
        return terminal is not None and bool(terminal.isatty) and self._config.option.verbose >= 0

    def _rewrite(self, text: str) -> None:
        terminal = self._terminal()
        if terminal is not None:
            if not self._waited:
                self._newline(terminal)
            line = printable(text).replace("\n", " ")
            terminal.rewrite(line[: terminal._tw.fullwidth - 1], erase=True)
            self._waited = True

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
        if self._waited:
            terminal.rewrite("", erase=True)
            terminal.write("\r")
            self._waited = False
            terminal.currentfspath = None
        else:
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
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        return ("\n" + " " * indent).join(lines)

    def verdict(self, run: Coordinator) -> None:
        """Print the last lines: the verdict, its reason, the report's path and the exit code."""
        terminal, report = self._terminal(), run.report
        if terminal is None or report is None:
            return
        good = report["exit_code"] == 0
        self._newline(terminal)
        terminal.write_sep("=", "verdict", bold=True, green=good, red=not good)
        terminal.write_line(self._fitted(terminal, sentence(report), 0), bold=True, green=good, red=not good)
        if run.refusal is not None:
            for line in str(run.refusal).splitlines():
                terminal.write_line(f"  {self._fitted(terminal, line.strip(), 2)}")
        elif report["reason"]:
            for line in (report["reason"], *(run.remedy or "").splitlines()):
                terminal.write_line(f"  {self._fitted(terminal, line.strip(), 2)}")
        reasons = run.gate_reasons()
        for advisory in advisories([{**gate, "reason": reasons.get(gate["name"])} for gate in report["gates"]]):
            terminal.write_line(f"  {self._fitted(terminal, advisory, 2)}", bold=True, yellow=True)
        exempt = exemptions(report)
        if (more := len(exempt) - MOST_EXEMPTIONS) > 0:
            exempt[MOST_EXEMPTIONS:] = [f"{more} more checks do not count for their gates; report.html lists them"]
        for text in exempt:
            terminal.write_line(f"  {self._fitted(terminal, text, 2)}", bold=True, yellow=True)
        for gate in report["gates"]:
            if gate["outcome"] == GateOutcome.ABSENT:
                text = f"gate {gate['name']} is absent: {reasons.get(gate['name'])}"
                terminal.write_line(f"  {self._fitted(terminal, text, 2)}", bold=True, yellow=True)
        if left_out := report.get("not_asked"):
            counts = Counter(one["gate"] for one in left_out)
            gates = ", ".join(f"{gate} ({count})" for gate, count in counts.items())
            partial = "PARTIAL: " if report["partial"] else ""
            text = f"{partial}{len(left_out)} checks were not asked: {gates}: {left_out[0]['reason']}"
            terminal.write_line(f"  {self._fitted(terminal, text, 2)}", bold=True, yellow=True)
        if claimed := report.get("claimed"):
            text = f"{claimed['digest']} is claimed by {claimed['by']}, and was not verified"
            terminal.write_line(f"  {self._fitted(terminal, text, 2)}")
        for warning in run.warnings:
            terminal.write_line(f"  WARNING  {self._fitted(terminal, warning, 11)}", bold=True, yellow=True)
        if hint := next_step(report):
            terminal.write_line(f"  {hint}")
        terminal.write_line(f"  report: {run.folder / 'report.html'}")
        terminal.write_line(f"  exit code {report['exit_code']}")

"""Redaction of everything that a run writes to its terminal or its log.

Prints, live logging, other plugins' lines, names of checks, and the output of child processes and workers are all redacted
with the secrets known at that time. Output that pytest captures becomes part of a check's report; see ``redacting``.
"""

from __future__ import annotations

import copy
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

import pytest

from plugins.terminal.redacting import redact, redact_collection, redact_warning
from plugins.terminal.screen import Screen
from verification.redaction.output import Guard, RedactedStream
from verification.redaction.printable import printable
from verification.redaction.redactor import LearningRedactor


class Output:
    """Installs the guard when the session starts, before anything else writes, and removes it at the very end."""

    def __init__(self, config: pytest.Config, redactor: LearningRedactor, screen: Screen | None = None) -> None:
        """``screen``: the block of lines that other output to the terminal must erase first."""
        self._config = config
        self._redactor = redactor
        through = screen.beneath if screen is not None else _itself
        self._guard = Guard(redactor.clean, through=through)
        self._undo: list[Callable[[], None]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Redact standard output, standard error, pytest's terminal and its log file."""
        self._while_not_capturing(self._guard.install)
        self._undo.append(lambda: self._while_not_capturing(self._guard.close))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            self._redirect(terminal._tw)
        self._clean_live_log()
        redact_log_file(self._config, self._redactor)

    def _redirect(self, writer: Any) -> None:
        """Let pytest's terminal write to the same stream as prints, so that their order is kept."""
        before = writer._file
        out = sys.stdout
        target = (
            out
            if isinstance(out, RedactedStream) and _is_stdout(before)
            else RedactedStream(before, self._redactor.clean)
        )

        def restore() -> None:
            target.flush()
            writer._file = before

        writer._file = target.marked_up
        self._undo.append(restore)

    def _clean_live_log(self) -> None:
        """Clean the records of live logging (``--log-cli-level``); its stream keeps colours, since pytest adds some."""
        handler = getattr(self._config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
        if isinstance(handler, logging.Handler) and (before := handler.formatter) is not None:
            handler.setFormatter(PrintableFormatter(before))
            self._undo.append(lambda: handler.setFormatter(before))

    def _while_not_capturing(self, act: Callable[[], None]) -> None:
        """Act while pytest's capturing is stopped, because it restores between checks the streams that it found at its start."""
        capturing = self._config.pluginmanager.get_plugin("capturemanager")
        if capturing is None:
            act()
            return
        capturing.stop_global_capturing()
        try:
            act()
        finally:
            capturing.start_global_capturing()
            capturing.suspend_global_capture()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Remove the guard after the run's last output."""
        while self._undo:
            self._undo.pop()()


class PrintableFormatter(logging.Formatter):
    """Formats a copy of a record without control characters in its texts; only the inner formatter adds colours."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record; other handlers get the record unchanged."""
        clean = copy.copy(record)
        clean.name, clean.msg, clean.args = printable(record.name), printable(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            clean.exc_text = self._inner.formatException(record.exc_info)
        clean.exc_text = clean.exc_text and printable(clean.exc_text)
        clean.stack_info = record.stack_info and printable(record.stack_info)
        return self._inner.format(clean)


def _itself(stream: TextIO) -> TextIO:
    return stream


def _is_stdout(stream: TextIO) -> bool:
    """Return whether the stream is the one behind the guard's standard output."""
    now = sys.stdout
    if isinstance(now, RedactedStream) and stream is now.inner:
        return True
    try:
        return stream.fileno() == now.fileno()
    except (OSError, ValueError):
        return False


class WorkerOutput:
    """Redaction on a worker, which writes only ``--log-file`` itself; its reports and prints go through the controller.

    xdist's connection cannot carry half of a surrogate pair: such a text would end the run with an internal error.
    """

    def __init__(self, config: pytest.Config, redactor: LearningRedactor) -> None:
        self._config = config
        self._redactor = redactor

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Redact the log file, which pytest opened while it was configured."""
        redact_log_file(self._config, self._redactor)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Redact the report of a subtest: pytest adds its message after the report was made and redacted."""
        if isinstance(report, pytest.SubtestReport):
            redact(report, self._redactor)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Redact the error of a file before xdist sends it."""
        redact_collection(report, self._redactor)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Redact a warning before xdist sends it."""
        redact_warning(warning_message, self._redactor)


def redact_log_file(config: pytest.Config, redactor: LearningRedactor) -> None:
    """Redact what pytest writes to ``--log-file``, which is the null device by default."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
    if handler is not None and not isinstance(handler.stream, RedactedStream):
        handler.setStream(RedactedStream(handler.stream, redactor.clean, owns=True))

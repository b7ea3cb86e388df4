"""The one place through which everything passes that a run writes to its terminal, or to the log that stands in for one.

Prints, live logging, other plugins' lines, names of checks, children's and workers' output: all of it is cleaned of the
secrets that are known by then. What a check prints while pytest captures it becomes part of its report; see ``redacting``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

import pytest

from verification.redacted_output import Guard, RedactedStream
from verification.redaction import LearningRedactor


class Output:
    """Puts the guard in place when the session starts, before anything else writes, and takes it away at the very end."""

    def __init__(self, config: pytest.Config, redactor: LearningRedactor) -> None:
        self._config = config
        self._redactor = redactor
        self._guard = Guard(redactor.clean)
        self._undo: list[Callable[[], None]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Standard output, standard error, pytest's terminal and its log file."""
        self._while_not_capturing(self._guard.install)
        self._undo.append(lambda: self._while_not_capturing(self._guard.close))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            self._take(terminal._tw)
        redact_log_file(self._config, self._redactor)

    def _take(self, writer: Any) -> None:
        """pytest's terminal writes where prints go: what comes later stands later."""
        before = writer._file
        taken = sys.stdout if _is_stdout(before) else RedactedStream(before, self._redactor.clean)

        def give_back() -> None:
            taken.flush()
            writer._file = before

        writer._file = taken
        self._undo.append(give_back)

    def _while_not_capturing(self, act: Callable[[], None]) -> None:
        """pytest's capturing puts back, between two checks, what it found when it began: it has to find the guard."""
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
        """Nothing of the run writes any more."""
        while self._undo:
            self._undo.pop()()


def _is_stdout(stream: TextIO) -> bool:
    """Whether a stream is what the guard's standard output stands for."""
    now = sys.stdout
    if isinstance(now, RedactedStream) and stream is now.inner:
        return True
    try:
        return stream.fileno() == now.fileno()
    except (OSError, ValueError):
        return False


class WorkerOutput:
    """A worker writes its reports and prints through the controller; only ``--log-file`` is its own."""

    def __init__(self, config: pytest.Config, redactor: LearningRedactor) -> None:
        self._config = config
        self._redactor = redactor

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Not before: pytest opens the file when it is configured."""
        redact_log_file(self._config, self._redactor)


def redact_log_file(config: pytest.Config, redactor: LearningRedactor) -> None:
    """What ``--log-file`` keeps; without that option it is the null device."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
    if handler is not None and not isinstance(handler.stream, RedactedStream):
        handler.setStream(RedactedStream(handler.stream, redactor.clean, owns=True))

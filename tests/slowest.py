"""``--slowest-files N``: the times of the slowest test files, so that `make test` stays within its budget."""

from __future__ import annotations

from collections import Counter

import pytest


class SlowestFiles:
    """Adds up the times of the tests, by file, and prints the largest sums at the end of the run."""

    def __init__(self, most: int) -> None:
        """``most`` is the number of files to print."""
        self._most = most
        self._seconds = Counter[str]()
        self._tests = Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of a test's setup, call or teardown."""
        file = report.nodeid.partition("::")[0]
        self._seconds[file] += report.duration  # type: ignore[assignment]  # a counter of seconds
        self._tests[file] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section(f"slowest {self._most} files")
        for file, seconds in self._seconds.most_common(self._most):
            terminalreporter.write_line(f"{seconds:8.1f} s {self._tests[file]:5} tests  {file}")
        total = sum(self._seconds.values())
        terminalreporter.write_line(
            f"{total:8.1f} s {sum(self._tests.values()):5} tests  in all, added up over all workers"
        )

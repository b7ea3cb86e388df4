"""``--slowest-files N``: the times of the slowest test files, so that `make test` stays within its budget."""

from __future__ import annotations

import resource
from collections import Counter, defaultdict
from collections.abc import Callable, Generator

import pytest

CPU_SECONDS = "cpu_seconds"


class SlowestFiles:
    """Adds up the times of the tests, by file, and prints the largest sums at the end of the run.

    The elapsed time grows on a busy machine. The CPU time hardly does: use it to compare a file before and after a change.
    """

    def __init__(self, most: int) -> None:
        """``most`` is the number of files to print."""
        self._most = most
        self._seconds = defaultdict[str, float](float)
        self._cpu_seconds = defaultdict[str, float](float)
        self._tests = Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of a test's setup, call or teardown."""
        file = report.nodeid.partition("::")[0]
        self._seconds[file] += report.duration
        for name, value in report.user_properties:
            if name == CPU_SECONDS and isinstance(value, float):
                self._cpu_seconds[file] += value
        self._tests[file] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section(f"slowest {self._most} files")
        slowest = sorted(self._seconds.items(), key=lambda item: -item[1])
        for file, seconds in slowest[: self._most]:
            terminalreporter.write_line(_line(seconds, self._cpu_seconds[file], self._tests[file], file))
        total = (sum(self._seconds.values()), sum(self._cpu_seconds.values()), sum(self._tests.values()))
        terminalreporter.write_line(_line(*total, "in all, added up over all workers"))


class CpuMeter:
    """Writes into each report the CPU time of a test's setup, call or teardown, on the process that ran it.

    The time is user and system time of this process and of its ended children. A process that this process does not wait
    for is missed: PostgreSQL and the other servers of an environment, which another command starts and stops.
    """

    def __init__(self, used: Callable[[], float] | None = None) -> None:
        """``used`` returns the CPU seconds used so far."""
        self._used = used or cpu_seconds
        self._before = self._used()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Start to measure."""
        self._before = self._used()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the time since the last report of this test."""
        report = yield
        now = self._used()
        report.user_properties.append((CPU_SECONDS, now - self._before))
        self._before = now
        return report


def cpu_seconds() -> float:
    """Return the user and system time of this process and of its ended children, in seconds."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _line(seconds: float, cpu: float, tests: int, what: str) -> str:
    return f"{seconds:8.1f} s {cpu:8.1f} CPU s {tests:5} tests  {what}"

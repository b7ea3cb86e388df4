"""The table of the slowest files, and the order of the files."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import pluggy
import pytest
from _pytest import hookspec

from tests import conftest
from tests.checkout import CHECKOUT
from tests.slowest import CPU_SECONDS, CpuMeter, SlowestFiles, cpu_seconds


class Terminal:
    """A terminal reporter that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


class Reporter:
    """Runs no test, and makes an empty report for each call."""

    @pytest.hookimpl
    def pytest_runtest_protocol(self) -> bool:
        return True

    @pytest.hookimpl
    def pytest_runtest_makereport(self) -> pytest.TestReport:
        return pytest.TestReport("a.py::x", ("", None, ""), {}, "passed", None, "call")


def test_the_largest_sums_are_printed() -> None:
    """Setup and teardown count as time of the file, and a test is counted once."""
    files, terminal = SlowestFiles(2), Terminal()
    for test, seconds in (("a.py::x", 1.0), ("b.py::x[1::2]", 2.0), ("b.py::y", 3.0), ("c.py::x", 0.5)):
        for when in ("setup", "call", "teardown"):
            report = pytest.TestReport(
                test, ("", None, ""), {}, "passed", None, when, duration=seconds, user_properties=[(CPU_SECONDS, 0.25)]
            )
            files.pytest_runtest_logreport(report)
    files.pytest_terminal_summary(cast("pytest.TerminalReporter", terminal))
    assert terminal.lines == [
        "slowest 2 files",
        "    15.0 s      1.5 CPU s     2 tests  b.py",
        "     3.0 s      0.8 CPU s     1 tests  a.py",
        "    19.5 s      3.0 CPU s     4 tests  in all, added up over all workers",
    ]


def test_cpu_time_is_counted_per_phase_and_not_between_tests() -> None:
    """Each report gets the CPU time since the report before; collection and the time between two tests count for no file."""
    used = iter([100.0, 200.0, 201.0, 203.0, 207.0, 300.0, 300.5])
    manager = pluggy.PluginManager("pytest")
    manager.add_hookspecs(hookspec)
    manager.register(CpuMeter(lambda: next(used)))
    manager.register(Reporter())

    def phases(count: int) -> list[float]:
        manager.hook.pytest_runtest_protocol(item=None, nextitem=None)
        reports = [manager.hook.pytest_runtest_makereport(item=None, call=None) for _ in range(count)]
        return [dict(report.user_properties)[CPU_SECONDS] for report in reports]

    assert phases(3) == [1.0, 2.0, 4.0]
    assert phases(1) == [0.5]


def test_ended_children_are_counted() -> None:
    """The CPU time of a process that this one waited for is added, whatever else this process does."""
    before = cpu_seconds()
    child = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", child], check=True)
    assert cpu_seconds() - before >= 0.3


def test_every_place_in_the_order_exists() -> None:
    assert [place for place in conftest.FIRST if not (CHECKOUT.root / place).exists()] == []


def test_longest_files_come_first_and_other_files_last() -> None:
    names = [
        "tests/test_slowest.py::test_it",
        "tests/plugins/test_page.py::test_it",
        "tests/e2e/test_alarms.py::test_it",
        "tests/e2e/test_on_ecs.py::test_it[a/b::c]",
        "tests/docs/test_docs_commands.py::test_it[README.md]",
    ]
    assert sorted(names, key=conftest.turn) == names[::-1]

"""The table of the slowest files, and the order of the files."""

from __future__ import annotations

from typing import cast

import pytest

from tests import conftest
from tests.checkout import CHECKOUT
from tests.slowest import SlowestFiles


class Terminal:
    """A terminal reporter that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def test_the_largest_sums_are_printed() -> None:
    """Setup and teardown count as time of the file, and a test is counted once."""
    files, terminal = SlowestFiles(2), Terminal()
    for test, seconds in (("a.py::x", 1.0), ("b.py::x[1::2]", 2.0), ("b.py::y", 3.0), ("c.py::x", 0.5)):
        for when in ("setup", "call", "teardown"):
            report = pytest.TestReport(test, ("", None, ""), {}, "passed", None, when, duration=seconds)
            files.pytest_runtest_logreport(report)
    files.pytest_terminal_summary(cast("pytest.TerminalReporter", terminal))
    assert terminal.lines == [
        "slowest 2 files",
        "    15.0 s     2 tests  b.py",
        "     3.0 s     1 tests  a.py",
        "    19.5 s     4 tests  in all, added up over all workers",
    ]


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

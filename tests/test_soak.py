"""The results that `make soak` keeps, and their table."""

from __future__ import annotations

from tests.soak import FAILED, PASSED, summed, table

LINES = [
    {"test": "tests/a/test_one.py::test_x", "outcome": PASSED, "seconds": 2.0, "soak": True},
    {"test": "tests/a/test_one.py::test_y", "outcome": FAILED, "seconds": 1.0, "soak": True},
    {"test": "tests/a/test_one.py::test_z", "outcome": "skipped", "seconds": 0.0, "soak": False},
    {"test": "tests/b/test_two.py::test_x", "outcome": PASSED, "seconds": 0.5, "soak": False},
]


def test_results_are_summed_by_file_and_a_skip_is_not_a_pass() -> None:
    files = summed("abc", LINES)
    one = files["tests/a/test_one.py"]
    assert (one["commit"], one["soak"], one["others"], one["seconds"]) == ("abc", 1, 0, 3.0)
    assert one["not_passed"] == ["tests/a/test_one.py::test_y: failed", "tests/a/test_one.py::test_z: skipped"]
    assert (files["tests/b/test_two.py"]["others"], files["tests/b/test_two.py"]["not_passed"]) == (1, [])


def test_table_shows_tests_that_did_not_pass() -> None:
    shown = table(summed("abc", LINES))
    assert "NOT PASSED: tests/a/test_one.py::test_y: failed" in shown
    assert "passed in all" in shown
    assert "tests/b/test_two.py" not in shown, "a file without soak tests must not be listed"

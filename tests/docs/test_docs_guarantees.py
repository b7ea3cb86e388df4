"""Each guarantee names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import ROOT, document

ROWS = [row for row in document("docs/guarantees.md").text.splitlines() if row.startswith("| ") and "---" not in row]
PROMISES = [row for row in ROWS if not row.startswith(("| guarantee", "| figure", "| | failure"))]


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[2:42].strip())
def test_guarantee_names_tests_that_exist(row: str) -> None:
    """A row without a test says so."""
    named = re.findall(r"tests/[\w/]+(?:\.py)?", row)
    assert named or row.endswith("| not yet |")
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_all_fifteen_failures_are_listed() -> None:
    numbers = [int(found[1]) for row in PROMISES if (found := re.match(r"\| (\d+) \|", row))]
    assert numbers == list(range(1, 16))

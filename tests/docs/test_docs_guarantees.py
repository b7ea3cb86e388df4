"""Each guarantee names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import ROOT, document

ROWS = [row for row in document("docs/guarantees.md").text.splitlines() if row.startswith("| ") and "---" not in row]
PROMISES = [row for row in ROWS if not row.startswith(("| guarantee", "| figure", "| | failure"))]


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[2:42].strip())
def test_guarantee_names_tests_that_exist(row: str) -> None:
    """A row names existing tests or ends with "not yet"."""
    named = re.findall(r"(?:tests|benchmarks)/[\w/]+(?:\.py)?", row)
    named += [f"{module.replace('.', '/')}.py" for module in re.findall(r"-m (tests[\w.]+)", row)]
    assert named or row.endswith("| not yet |")
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "row", [row for row in PROMISES if re.match(r"\| \d+ \|", row)], ids=lambda row: row[2:4].strip()
)
def test_failure_is_found_by_its_number(row: str) -> None:
    """One of the files that a row names says "Failure mode" and its number."""
    number = row.split("|")[1].strip()
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in re.findall(r"tests/[\w/]+\.py", row)]
    assert not texts or any(re.search(rf"[Ff]ailure mode {number}\b", text) for text in texts)


def test_all_fifteen_failures_are_listed() -> None:
    numbers = [int(found[1]) for row in PROMISES if (found := re.match(r"\| (\d+) \|", row))]
    assert numbers == list(range(1, 16))

"""The table of costs in docs/aws.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import estate_cost
from tests.docs.documents import ROOT


def documented_costs(columns: Sequence[int]) -> list[tuple[str, ...]]:
    """Return these columns of the table's rows, without its head and its sum."""
    text = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    table = text.partition("\n".join(estate_cost.HEAD))[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert rows, "docs/aws.md has no table of costs"
    return [tuple(row[number] for number in columns) for row in rows[:-1]]

"""Reads again, after a rollback, what journeys wrote to the new colour after the switch; the result changes no verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deployment.evidence.journal import Journal
from deployment.model import ReadBack
from deployment.ports import WrittenData


def report_read_back(written: WrittenData, journal: Journal, say: Callable[[str], None]) -> None:
    """Read the data again through the live domain, and write the results to the journal and to ``say``.

    Call it once traffic is back and verified. Without data there is nothing to report.
    """
    found = written.read_back()
    if not found:
        return
    reads = [
        {"journey": one.journey, "operation": one.operation, "outcome": one.outcome, "problem": one.problem}
        for one in found
    ]
    journal.append("read_back", reads=reads)
    for line in lines(found):
        say(line)


def lines(found: Sequence[ReadBack]) -> list[str]:
    """Return the results as sentences: one for all requests that read their data, and one for each other."""
    good = sum(one.readable for one in found)
    said = [f"written after the promotion, {one}" for one in found if not one.readable]
    if good:
        said.append(
            f"written after the promotion and still readable after the rollback: {good} of {len(found)} requests"
        )
    return said

"""This machine's clock against the Date header of AWS's answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.aws.identity.caller import ahead_s

THEIRS = datetime(2026, 11, 23, 4, 0, 0, tzinfo=UTC)
DATE = {"ResponseMetadata": {"HTTPHeaders": {"date": "Mon, 23 Nov 2026 04:00:00 GMT"}}}


@pytest.mark.parametrize(
    ("before", "after", "ahead"),
    [
        (0.2, 0.4, 0.0),  # within the second of the header
        (-3.0, 5.0, 0.0),  # a slow answer proves nothing
        (31.0, 32.0, 30.0),
        (-32.0, -31.0, -31.0),
    ],
)
def test_only_a_certain_offset_counts(before: float, after: float, ahead: float) -> None:
    offset = ahead_s(DATE, THEIRS + timedelta(seconds=before), THEIRS + timedelta(seconds=after))
    assert offset == pytest.approx(ahead)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 23 Nov 2026 04:00:00 -0000"])
def test_missing_date_means_no_offset(date: str) -> None:
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    assert ahead_s(answer, THEIRS, THEIRS) == 0.0
    assert ahead_s({}, THEIRS, THEIRS) == 0.0

"""This machine's clock against AWS's own, as the Date header of its answers tells it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_HEADER_S = timedelta(seconds=1)
"""A Date header leaves out the fraction of its second."""


def ahead_s(answer: Mapping[str, Any], before: datetime, after: datetime) -> float:
    """By how many seconds, at the least, this machine's clock is ahead of AWS's (negative: behind).

    ``before`` and ``after`` are this machine's times around the call. 0 where AWS's time lies between them, or is not told.
    """
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    if theirs.tzinfo is None:
        return 0.0
    if before > theirs + _HEADER_S:
        return (before - theirs - _HEADER_S).total_seconds()
    return min(0.0, (after - theirs).total_seconds())

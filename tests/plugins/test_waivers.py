"""What may be waived, and how it must be asked for."""

from __future__ import annotations

import pytest

from deployment.errors import Refused
from plugins.waiving import parse

GATES = ("health", "database", "latency", "live")


def test_gate_and_reason() -> None:
    assert parse(["latency= slow disk = ticket 1 ", "database=moved"], GATES) == {
        "latency": "slow disk = ticket 1",
        "database": "moved",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["latency"], "no reason"),
        (["latency="], "no reason"),
        (["latency=  "], "no reason"),
        (["health=because"], "cannot be waived"),
        (["live=because"], "cannot be waived"),
        (["latencies=because"], "no gate 'latencies'"),
        (["latency=one", "latency=two"], "waived twice"),
    ],
)
def test_refused(given: list[str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        parse(given, GATES)

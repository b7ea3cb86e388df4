"""How often a load is repeated that proves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plugins import measurement
from tests.verification.contract_server import SERVICE
from verification.journeys.accounts import SmokeUser
from verification.load.model import LoadPlan, LoadResult

GATE = {"min_requests": 300, "rate": 100, "throughput": 0.5, "p95_ms": 1000, "failure_ratio": 0.02}
PLAN = LoadPlan("http://x", SERVICE, (SmokeUser("a", "b"),))
GOOD = LoadResult(600, 0, 0.0, 5, 9, 12, 20, 100.0, 6, 6, False, 0.2, 1.0, (), ())
FEW = replace(GOOD, requests=59, throughput=10.0)
BUSY = replace(FEW, generator_cpu=0.95)
LATE = replace(FEW, late_ms=100.0)  # the release may have had no CPU either
FAILED = replace(FEW, failures=59, failure_ratio=1.0)


@pytest.mark.parametrize(
    ("made", "loads"),
    [
        ([GOOD], 1),
        ([FEW, GOOD], 2),
        ([FEW, FEW], 2),  # twice on a machine with time to spare: so the release is slow
        ([LATE, LATE, LATE, GOOD], 4),
        ([BUSY, BUSY, BUSY, GOOD], 4),
        ([BUSY, FEW, BUSY, FEW], 4),
        ([BUSY, BUSY, BUSY, BUSY], 4),
        ([FAILED], 1),
    ],
)
def test_load_is_repeated_while_it_may_be_the_machine(
    made: list[LoadResult], loads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = iter(made)
    monkeypatch.setattr(measurement, "run_load", lambda *_, **__: next(left))
    requests: list[int] = []
    warnings: list[str] = []
    result = measurement.load(PLAN, GATE, tmp_path / "load.log", requests.append, warnings.append)
    assert (result, len(requests), warnings) == (made[-1], loads, [])


@pytest.mark.parametrize(("made", "left"), [([replace(GOOD, left=3)], [3]), ([replace(FEW, left=1), GOOD], [1])])
def test_data_that_the_load_could_not_remove_is_a_warning(
    made: list[LoadResult], left: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = iter(made)
    monkeypatch.setattr(measurement, "run_load", lambda *_, **__: next(results))
    warnings: list[str] = []
    measurement.load(PLAN, GATE, tmp_path / "load.log", lambda _: None, warnings.append)
    assert [f"what {one} of its journeys wrote" in text for one, text in zip(left, warnings, strict=True)] == [True]

"""Comparison of two small parallel loads: slower releases, equal releases, and inconclusive results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from plugins import measurement
from plugins.state import Release
from tests.verification.contract_server import SERVICE, USER, Service
from verification.journeys.accounts import SmokeUser
from verification.load.comparison import BesideLive, compare, plans
from verification.load.run import LoadPlan, LoadResult, OperationLoad, run_together

TABLE = {"slower": 1.5, "slower_ms": 20, "tail_share": 0.05, "p95_ms": 1000, "compare_rate": 20}
PLAN = LoadPlan("http://candidate", SERVICE, (SmokeUser("a", "b"),), users=10, rate=100, seconds=90, workers=3)
PAIR = plans(PLAN, "http://live", 20)


def test_both_colours_get_the_same_small_load() -> None:
    mine, other = PAIR
    assert (mine.users, mine.rate, mine.seconds, mine.workers, mine.most_failures) == (2, 20, 60, 1, None)
    assert other == replace(mine, base_url="http://live", most_failures=3)
    assert plans(PLAN, "http://live", 1000)[1].rate == 100, "at most the rate of the load itself"


def load(times: Sequence[float], **values: Any) -> LoadResult:
    """Return the result of one colour's load with only ``listConsults`` requests."""
    counts = Counter(float(round(ms)) for ms in times)
    one = OperationLoad("listConsults", len(times), 0, 0, 0, 0, 0, counts)
    result = LoadResult(len(times), 0, 0, 0, 0, 0, 0, 20, 60, 60, False, 0.1, 1, (one,), ())
    return replace(result, **values)


def noisy(times: float, slow: float, seed: int) -> list[float]:
    """Return 1200 latencies, typically ``times`` 40 ms; a ``slow`` share of them is ten times as long."""
    random = Random(seed)
    return [times * random.lognormvariate(3.7, 0.5) * (10 if random.random() < slow else 1) for _ in range(1200)]


def judged(candidate: LoadResult, live: LoadResult) -> BesideLive:
    return compare(PAIR, (candidate, live), TABLE)


def test_equal_release_is_not_found_slower() -> None:
    """With noise, 100 times: the same release, and a release that is a tenth slower, which the limits allow."""
    for seed in range(100):
        live = load(noisy(1, 0.02, 1000 + seed))
        for times in (1, 1.1):
            result = judged(load(noisy(times, 0.02, seed)), live)
            assert (dict(result.found), result.problem) == ({}, None)


def test_slower_release_is_found_with_both_values_and_the_limit() -> None:
    result = judged(load(noisy(2, 0.02, 1)), load(noisy(1, 0.02, 2)))
    message = result.found["listConsults"]
    assert "under load: the typical answer took" in message
    assert "live's 4" in message
    assert "limit 1.5 times and 20 ms more" in message
    tail = judged(load(noisy(1, 0.15, 1)), load(noisy(1, 0, 2)))
    assert "limit 5.0%" in tail.found["all"]
    assert "listConsults" not in tail.found


@pytest.mark.parametrize(
    ("candidate", "live", "words"),
    [
        (
            {},
            {"failures": 3, "errors": (("GET health: status 500", 3),)},
            "live failed 3 of 1200 .*: GET health: status",
        ),
        ({"generator_cpu": 0.95}, {}, "generator of candidate's load was busy: 0.95 cores"),
        ({}, {"late_ms": 300.0}, "generator of live's load was busy: .* 300 ms late .limit 250 ms"),
        ({"cut_short": True, "seconds": 3.0}, {}, "candidate answered 1200 requests in 3.0 s"),
        ({}, {"requests": 599}, "live answered 599 requests in 60.0 s, at least 600 are needed"),
        ({"by_operation": ()}, {}, "no operation was answered 20 times by both"),
    ],
)
def test_inconclusive_comparison_names_its_problem(candidate: dict[str, Any], live: dict[str, Any], words: str) -> None:
    """Failure mode 4: no data counts as good."""
    times = noisy(1, 0, 3)
    result = judged(load(times, **candidate), load(times, **live))
    assert not result.found
    assert result.harmed == (live.get("failures", 0) >= 3)
    assert re.search(words, result.problem or "")


def test_single_failure_of_live_is_tolerated() -> None:
    times = noisy(1, 0, 3)
    assert judged(load(times), load(times, failures=1)).problem is None


class Loads:
    """Replaces ``run_together``: returns the next pair of results at each call."""

    def __init__(self, *pairs: tuple[LoadResult, LoadResult]) -> None:
        self.pairs = list(pairs)

    def __call__(self, _plans: object, **_named: object) -> tuple[LoadResult, LoadResult]:
        return self.pairs.pop(0)


SAME = load(noisy(1, 0.02, 1)), load(noisy(1, 0.02, 2))
SLOWER = load(noisy(2, 0.02, 1)), load(noisy(1, 0.02, 2))
BUSY = replace(SAME[0], late_ms=900.0), SAME[1]
HARMED = SAME[0], replace(SAME[1], failures=3)


@pytest.mark.parametrize(
    ("pairs", "left", "found", "proven"),
    [
        ((SAME, SLOWER), 1, False, True),
        ((SLOWER, SAME, SLOWER), 1, False, True),
        ((SLOWER, SLOWER), 0, True, True),
        ((BUSY, SLOWER, BUSY, SLOWER), 0, True, True),
        ((BUSY, BUSY, BUSY, BUSY), 0, False, False),
        ((BUSY, BUSY, BUSY, SLOWER), 0, False, False),
        ((HARMED, SAME), 1, False, False),
    ],
    ids=["good", "once", "twice", "busy between", "always busy", "once, too late", "harmed"],
)
def test_finding_takes_two_measurements(
    pairs: Any, left: int, found: bool, proven: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loads = Loads(*pairs)
    monkeypatch.setattr(measurement, "run_together", loads)
    result = measurement.load_beside_live(PLAN, Release("http://live"), TABLE, tmp_path / "log", lambda _: None)
    assert result is not None
    assert (len(loads.pairs), bool(result.found), result.problem is None) == (left, found, proven)


def test_unconfirmed_finding_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One finding and then only measurements on a busy machine neither pass nor fail the release."""
    monkeypatch.setattr(measurement, "run_together", Loads(SLOWER, BUSY, BUSY, BUSY))
    result = measurement.load_beside_live(PLAN, Release("http://live"), TABLE, tmp_path / "log", lambda _: None)
    assert result is not None
    assert result.problem is not None


@pytest.mark.parametrize(("table", "live"), [({"compare_rate": 0}, Release("http://live")), (TABLE, None)])
def test_live_gets_no_load_unless_configured(table: Any, live: Release | None, tmp_path: Path) -> None:
    assert measurement.load_beside_live(PLAN, live, table, tmp_path / "log", lambda _: None) is None


@pytest.mark.soak
def test_load_of_a_failing_live_colour_stops(service: Service, tmp_path: Path) -> None:
    """The load of the live colour stops at its third failure at the latest; the candidate's load continues."""
    other = Service()
    other.fail = {"listConsults": 500}
    try:
        plan = LoadPlan(service.url, SERVICE, (SmokeUser(**USER),), users=4, rate=60, seconds=6)
        pair = plans(plan, other.url, 60)
        mine, live = run_together(pair, log=tmp_path / "load.log")
        result = compare(pair, (mine, live), TABLE)
    finally:
        other.stop()
    assert result.harmed
    assert not mine.cut_short
    assert 3 <= other.seen.count("listConsults") <= 3 + plan.users
    assert other.consults == {}

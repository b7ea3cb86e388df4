"""Checks of measurements: the load, the checks after it, and the bake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest

from deployment.evidence.data.details import NOT_COMPARED
from plugins.described.checks import check
from plugins.described.fixtures import JourneyFailed, Player
from plugins.described.health import version_of
from plugins.state import Bake, Release
from verification.journeys.model import Service
from verification.load.comparison import BesideLive
from verification.load.model import LoadResult
from verification.statistics import failure_bounds

Measure = Callable[..., None]
Limits = Mapping[str, Any]
# One-sided: a release that fails more than the limit's share passes in one run of a hundred at most.
CONFIDENCE = 0.99
# Answers in a row; a release that fails one request in twenty after its load is seen in 99 of 100 runs.
CONSECUTIVE = 90


@check("load", "was made")
@pytest.mark.samples("min_requests")
def load_was_made(load_result: LoadResult, limits: Limits, measure: Measure) -> None:
    """Enough requests in the time planned."""
    measure("requests", load_result.requests, limit=f"at least {limits['min_requests']}")
    assert not load_result.cut_short, f"it ended after {load_result.seconds:.1f} of {load_result.planned_seconds:g} s"
    assert load_result.requests >= limits["min_requests"], (
        f"{load_result.requests} requests, at least {limits['min_requests']} are needed"
    )


@check("load", "generator was not the bottleneck")
def generator_was_not_the_bottleneck(load_result: LoadResult, limits: Limits, measure: Measure) -> None:
    """The release was measured, not the generator: each Locust worker had time to spare in one of its runs at least."""
    allowed = load_result.latest_of(limits)
    for number, worker in enumerate(load_result.workers, 1):
        seen = f"{worker.generator_cpu:.2f} cores, clock {worker.late_ms:.1f} ms late (p95)"
        measure(f"worker {number} on {worker.host}", seen, samples=worker.requests)
    measure("generator", round(load_result.generator_cpu, 2), limit=load_result.MOST_CPU, unit="cores")
    measure("generator's clock late, p95", round(load_result.late_ms, 1), limit=allowed, unit="ms")
    assert not load_result.saturated(allowed), (
        f"the generator was saturated, each time: {load_result.generator_cpu:.2f} cores (limit {load_result.MOST_CPU:g}), "
        f"its clock {load_result.late_ms:.0f} ms late (limit {allowed:g} ms); that says nothing about the release"
    )


@check("load", "failures")
def load_failures(load_result: LoadResult, limits: Limits, measure: Measure) -> None:
    """The share of failed requests is below its limit with confidence."""
    failed, requests = load_result.failures, load_result.requests
    bound = failure_bounds(failed, requests, 2 * CONFIDENCE - 1).high
    measure("failure ratio", round(load_result.failure_ratio, 4), samples=requests)
    measure("failure ratio, upper bound", round(bound, 4), limit=limits["failure_ratio"], samples=requests)
    first = "; ".join(f"{count} times {text}" for text, count in load_result.errors[:3])
    assert bound < limits["failure_ratio"], (
        f"{failed} of {requests} requests failed ({load_result.failure_ratio:.2%}, by {CONFIDENCE:.0%} confidence up to "
        f"{bound:.2%}, limit {limits['failure_ratio']:.2%}): {first or 'too few requests to be sure; raise gates.load.duration or gates.load.rate'}"
    )


def _percentiles(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    del service
    return [(name, {"name": name}) for name in ("p95", "p99")]


@check("load", "answers in time,", _percentiles)
def load_percentiles(load_result: LoadResult, limits: Limits, measure: Measure, name: str) -> None:
    """95 and 99 of 100 answers come within the budget."""
    key = f"{name}_ms"
    value = getattr(load_result, key)
    measure(f"{name} under load", value, limit=limits[key], unit="ms", samples=load_result.requests)
    slowest = max(load_result.by_operation, key=lambda one: float(getattr(one, key)))
    assert value <= limits[key], (
        f"{name} {value:.0f} ms, limit {limits[key]:g} ms; the slowest is {slowest.operation} with "
        f"{getattr(slowest, key):.0f} ms; {load_result.requests} requests"
    )


@check("load", "throughput")
def load_throughput(load_result: LoadResult, limits: Limits, measure: Measure) -> None:
    """As many answers a second as the users would have asked for."""
    floor = limits["throughput"] * limits["rate"]
    made = load_result.throughput
    measure("throughput", round(made, 1), limit=f"at least {floor:g}", unit="requests/s", samples=load_result.requests)
    assert made >= floor, (
        f"{made:.1f} requests/s, at least {floor:g} are needed ({limits['throughput']:.0%} of {limits['rate']:g}); "
        f"p50 {load_result.p50_ms:.0f} ms for {limits['users']} users at once"
    )


@check("load", "no slower than live")
def load_no_slower_than_live(
    load_result: LoadResult,
    load_beside_live: BesideLive | None,
    limits: Limits,
    measure: Measure,
    base_url: str,
    candidate: Release,
) -> None:
    """Both colours under a small load at once, if the settings ask for it (`compare_rate`); refused if found twice."""
    assert load_result.requests > 0
    if load_beside_live is None:
        why = "compare_rate is 0" if not limits.get("compare_rate") else "there is no healthy second colour"
        measure("under load beside live", NOT_COMPARED + why)
        return
    found = load_beside_live
    for operation, one in found.shifts.items():
        name = f"{operation} under load, beside live's {one.live_ms:g} ms"
        measure(name, round(one.ratio, 2), limit=limits["slower"], unit="times", samples=one.candidate + one.live)
    if found.tail is not None:
        share = round(found.tail.more, 4)
        measure("slow answers more than live's", share, limit=limits["tail_share"], samples=found.tail.candidate)
    assert found.problem is None, f"candidate and live cannot be compared under load: {found.problem}"
    slower = list(found.found)
    assert not slower, (
        f"{found.found[slower[0]]}{'; so are ' + ', '.join(slower[1:]) if slower[1:] else ''}"
        f"\npython -m pytest --base-url={base_url} --live-url={found.live_url} --expect-version={candidate.version or 'V'}"
        " --load suites/service.yaml::load"
    )


@check("load", "healthy after the load")
@pytest.mark.samples(CONSECUTIVE)
def healthy_after_the_load(
    load_result: LoadResult,
    player: Player,
    fresh_client: httpx.Client,
    client: httpx.Client,
    candidate: Release,
    measure: Measure,
) -> None:
    """Warming up is allowed, wearing out is not: health and dependencies answer as before, health 90 times in a row."""
    requests = load_result.requests
    for step in player.service.probes():
        player.probe(step, client)
    response = None
    for number in range(1, CONSECUTIVE + 1):
        try:
            response = player.probe(player.service.health.step, fresh_client if number % 3 == 0 else client)
        except JourneyFailed as problem:
            measure("healthy answers in a row after the load", number - 1, limit=CONSECUTIVE, samples=number)
            raise AssertionError(
                f"answer {number} of {CONSECUTIVE}, after {requests} requests of load: {problem}"
            ) from None
    measure("healthy answers in a row after the load", CONSECUTIVE, limit=CONSECUTIVE, samples=CONSECUTIVE)
    if response is not None and player.service.health.version is not None and candidate.version is not None:
        version = version_of(player, response)
        assert version == candidate.version, f"version {version} after the load, expected {candidate.version}"


@check("live", "bake")
def bake(
    baked: Bake, player: Player, client: httpx.Client, limits: Limits, measure: Measure, warn: Callable[[str], None]
) -> None:
    """The watch from the switch on saw enough requests, and hardly one fail; and the release still answers, in time."""
    ratio, previous = baked.failed / max(1, baked.requests), baked.previous_median_ms
    measure("watched", round(baked.seconds, 1), unit="s")
    measure("failure ratio", round(ratio, 4), limit=limits["failure_ratio"], samples=baked.requests)
    measure("median", round(baked.median_ms, 1), limit=limits["median_ms"], unit="ms", samples=baked.requests)
    if previous is not None:
        measure("median of the previous colour", round(previous, 1), unit="ms")
    assert baked.requests > 0, "no request was sent during the bake"
    assert ratio <= limits["failure_ratio"], f"{baked.failed} of {baked.requests} requests failed"
    if baked.median_ms > limits["median_ms"]:
        slow = f"the median answer took {baked.median_ms:.0f} ms, the limit is {limits['median_ms']:g} ms"
        beside = "too few good answers" if previous is None else f"a median of {previous:.0f} ms"
        slow = f"{slow}; the previous colour gave {beside} at the same time"
        # The same excuse as the watch's: then the machine was slow, and the release is not to blame.
        assert previous is not None, slow
        assert previous > limits["median_ms"], slow
        warn(slow)
    player.probe(player.service.health.step, client)

"""The release bears its users: one Locust run, in a process of its own, and what must be true of it."""

import pytest

from verification.statistics import failure_bounds

# One-sided: a release that fails more than the limit's share passes in one run of a hundred at most.
CONFIDENCE = 0.99


@pytest.mark.samples("min_requests")
def test_load_was_made(load_result, limits, measure):
    """Enough requests in the time planned."""
    measure("requests", load_result.requests, limit=f"at least {limits['min_requests']}")
    assert not load_result.cut_short, f"it ended after {load_result.seconds:.1f} of {load_result.planned_seconds:g} s"
    assert load_result.requests >= limits["min_requests"], (
        f"{load_result.requests} requests, at least {limits['min_requests']} are needed"
    )


def test_generator_was_not_the_bottleneck(load_result, limits, measure):
    """What was measured is the release: Locust, each of its workers, had time to spare, in one of its runs at least."""
    allowed = load_result.latest_of(limits)
    for number, worker in enumerate(load_result.workers, 1):
        told = f"{worker.generator_cpu:.2f} cores, clock {worker.late_ms:.1f} ms late (p95)"
        measure(f"worker {number} on {worker.host}", told, samples=worker.requests)
    measure("generator", round(load_result.generator_cpu, 2), limit=load_result.MOST_CPU, unit="cores")
    measure("generator's clock late, p95", round(load_result.late_ms, 1), limit=allowed, unit="ms")
    assert not load_result.saturated(allowed), (
        f"the generator was saturated, each time: {load_result.generator_cpu:.2f} cores (limit {load_result.MOST_CPU:g}), "
        f"its clock {load_result.late_ms:.0f} ms late (limit {allowed:g} ms); that says nothing about the release"
    )


def test_failures(load_result, limits, measure):
    """The share of failed requests is below its limit beyond doubt."""
    failed, requests = load_result.failures, load_result.requests
    bound = failure_bounds(failed, requests, 2 * CONFIDENCE - 1).high
    measure("failure ratio", round(load_result.failure_ratio, 4), samples=requests)
    measure("failure ratio, upper bound", round(bound, 4), limit=limits["failure_ratio"], samples=requests)
    first = "; ".join(f"{count} times {text}" for text, count in load_result.errors[:3])
    assert bound < limits["failure_ratio"], (
        f"{failed} of {requests} requests failed ({load_result.failure_ratio:.2%}, by {CONFIDENCE:.0%} confidence up to "
        f"{bound:.2%}, limit {limits['failure_ratio']:.2%}): {first or 'too few requests'}"
    )


@pytest.mark.parametrize("name", ["p95_ms", "p99_ms"])
def test_percentiles(load_result, limits, measure, name):
    """95 and 99 of 100 answers come within the budget."""
    value, short = getattr(load_result, name), name.removesuffix("_ms")
    measure(f"{short} under load", value, limit=limits[name], unit="ms", samples=load_result.requests)
    slowest = max(load_result.by_operation, key=lambda one: getattr(one, name))
    assert value <= limits[name], (
        f"{short} {value:.0f} ms, limit {limits[name]:g} ms; the slowest is {slowest.operation} with "
        f"{getattr(slowest, name):.0f} ms; {load_result.requests} requests"
    )


def test_throughput(load_result, limits, measure):
    """As many answers a second as the users would have asked for."""
    floor = limits["throughput"] * limits["rate"]
    made = load_result.throughput
    measure("throughput", round(made, 1), limit=f"at least {floor:g}", unit="requests/s", samples=load_result.requests)
    assert made >= floor, (
        f"{made:.1f} requests/s, at least {floor:g} are needed ({limits['throughput']:.0%} of {limits['rate']:g}); "
        f"p50 {load_result.p50_ms:.0f} ms for {limits['users']} users at once"
    )


def test_no_slower_than_live(load_result, load_beside_live, limits, measure, base_url):
    """Then both colours under a small load at once, where the settings ask for it (`compare_rate`): twice, before it is a no."""
    if load_beside_live is None:
        why = "compare_rate is 0" if not limits.get("compare_rate") else "there is no second colour that is well"
        measure("under load beside live", f"not compared: {why}")
        return
    found = load_beside_live
    for operation, one in found.shifts.items():
        name = f"{operation} under load, beside live's {one.live_ms:g} ms"
        measure(name, round(one.ratio, 2), limit=limits["slower"], unit="times", samples=one.candidate + one.live)
    if found.tail is not None:
        share = round(found.tail.more, 4)
        measure("slow answers more than live's", share, limit=limits["tail_share"], samples=found.tail.candidate)
    assert found.problem is None, f"candidate and live cannot be compared under load: {found.problem}"
    first, *others = found.found or [None]
    assert first is None, (
        f"{found.found[first]}{'; so are ' + ', '.join(others) if others else ''}"
        f"\npython -m pytest --base-url={base_url} --live-url={found.live_url} --load suites/load"
    )


def test_healthy_afterwards(load_result, client, candidate):
    """The release has outlived its load: still up, still itself."""
    assert load_result.requests > 0
    response = client.get("/health")
    assert response.status_code == 200, f"GET /health after the load: status {response.status_code}"
    assert response.json()["version"] == (candidate.version or response.json()["version"])

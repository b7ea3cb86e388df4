"""The release answers within its budgets: percentiles over enough warm samples, for each kind of request."""

import time
from collections.abc import Mapping

import pytest

from verification.statistics import percentiles

REQUESTS = {
    "health": ("GET", "/health"),
    "database": ("GET", "/health/database"),
    "consults": ("GET", "/consults?limit=20"),
}
SHARES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
# A release that is not warm by then is measured as it is: warming up must not take longer than being refused.
LONGEST_WARM_UP_S = 5


def _hopeless(times: list[float], limits: Mapping[str, float]) -> bool:
    """Whether so many of all samples are over a budget already that the rest cannot bring its percentile back."""
    allowed = {key: limits["samples"] * (100 - share) / 100 for key, share in SHARES.items()}
    return any(sum(one > limits[key] for one in times) > allowed[key] for key in SHARES)


@pytest.mark.parametrize("name", REQUESTS)
def test_percentiles(client, signed_in, limits, measure, name):
    """p50, p95 and p99 of `samples` requests on a kept connection, after `warmup` that are not counted."""
    method, path = REQUESTS[name]

    def ask():
        begin = time.perf_counter()
        response = client.request(method, path, headers=signed_in)
        elapsed = (time.perf_counter() - begin) * 1000
        assert response.status_code == 200, f"{method} {path}: status {response.status_code}, expected 200"
        return elapsed

    began = time.monotonic()
    for _ in range(limits["warmup"]):
        ask()
        if time.monotonic() - began > LONGEST_WARM_UP_S:
            break
    times: list[float] = []
    while len(times) < limits["samples"] and not _hopeless(times, limits):
        times.append(ask())
    seen = percentiles(times)
    over = []
    for key, value in (("p50_ms", seen.p50), ("p95_ms", seen.p95), ("p99_ms", seen.p99)):
        measure(f"{name} {key.removesuffix('_ms')}", round(value, 1), limit=limits[key], unit="ms", samples=len(times))
        if value > limits[key]:
            over.append(f"{key.removesuffix('_ms')} {value:.0f} ms, limit {limits[key]:g} ms")
    assert not over, f"{method} {path}: {'; '.join(over)}; over {len(times)} samples"
    assert len(times) == limits["samples"], f"{method} {path}: {len(times)} samples, {limits['samples']} are needed"

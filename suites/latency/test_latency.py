"""The release answers within its budgets: percentiles over enough warm samples, for each kind of request."""

import time

import pytest

from verification.statistics import percentiles

REQUESTS = {
    "health": ("GET", "/health"),
    "database": ("GET", "/health/database"),
    "consults": ("GET", "/consults?limit=20"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_percentiles(client, signed_in, limits, measure, name):
    """p50, p95 and p99 of `samples` requests on a kept connection, after `warmup` that are not counted."""
    method, path = REQUESTS[name]
    times = []
    for number in range(limits["warmup"] + limits["samples"]):
        begin = time.perf_counter()
        response = client.request(method, path, headers=signed_in)
        elapsed = (time.perf_counter() - begin) * 1000
        assert response.status_code == 200, f"{method} {path}: status {response.status_code}, expected 200"
        if number >= limits["warmup"]:
            times.append(elapsed)
    seen = percentiles(times)
    over = []
    for key, value in (("p50_ms", seen.p50), ("p95_ms", seen.p95), ("p99_ms", seen.p99)):
        measure(f"{name} {key.removesuffix('_ms')}", round(value, 1), limit=limits[key], unit="ms", samples=len(times))
        if value > limits[key]:
            over.append(f"{key.removesuffix('_ms')} {value:.0f} ms, limit {limits[key]:g} ms")
    assert not over, f"{method} {path}: {'; '.join(over)}; over {len(times)} samples"

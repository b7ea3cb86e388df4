"""The release bears its users: one Locust run, in a process of its own, and what must be true of it."""


def test_load_was_made(load_result, limits, measure):
    """Enough requests in the time planned, by a generator that was not the bottleneck."""
    measure("requests", load_result.requests, limit=f"at least {limits['min_requests']}")
    measure("throughput", round(load_result.throughput, 1), unit="requests/s")
    measure("generator", round(load_result.generator_cpu, 2), unit="cores")
    assert not load_result.cut_short, f"it ended after {load_result.seconds:.1f} of {load_result.planned_seconds:g} s"
    assert load_result.requests >= limits["min_requests"], (
        f"{load_result.requests} requests, at least {limits['min_requests']} are needed"
    )


def test_failures(load_result, limits, measure):
    """The share of failed requests stays within its limit."""
    measure(
        "failure ratio",
        round(load_result.failure_ratio, 4),
        limit=limits["failure_ratio"],
        samples=load_result.requests,
    )
    first = "; ".join(f"{count} times {text}" for text, count in load_result.errors[:3])
    assert load_result.failure_ratio <= limits["failure_ratio"], (
        f"{load_result.failures} of {load_result.requests} requests failed "
        f"({load_result.failure_ratio:.2%}, limit {limits['failure_ratio']:.2%}): {first}"
    )


def test_p95(load_result, limits, measure):
    """95 of 100 answers come within the budget."""
    measure("p95 under load", load_result.p95_ms, limit=limits["p95_ms"], unit="ms", samples=load_result.requests)
    assert load_result.p95_ms <= limits["p95_ms"], f"p95 {load_result.p95_ms:.0f} ms, limit {limits['p95_ms']:g} ms"


def test_healthy_afterwards(load_result, client, candidate):
    """The release has outlived its load: still up, still itself."""
    assert load_result.requests > 0
    response = client.get("/health")
    assert response.status_code == 200, f"GET /health after the load: status {response.status_code}"
    assert response.json()["version"] == (candidate.version or response.json()["version"])

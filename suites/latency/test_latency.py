"""The release answers within its budgets, and no slower than what is live: one measurement for the whole gate, and a second before a no."""

import pytest

from verification.latency.plan import CANDIDATE, KINDS, LIVE
from verification.statistics import percentiles

# What a user adds to curl for each kind of session.
SIGNED_IN = {
    "bearer": ' -H "Authorization: Bearer $TOKEN"',
    "basic": ' -u "$USER_AND_PASSWORD"',
    "cookie": ' -H "Cookie: $COOKIE"',
    "api-key": ' -H "{header}: $KEY"',
}


def again(operation, base_url):
    """What to type to see it again."""
    session = operation.session if operation.role != "sign in" else None
    method = "" if operation.method == "GET" else f" -X {operation.method}"
    credentials = SIGNED_IN.get(session.kind, "").format(header=session.header) if session else ""
    return f"\ncurl -s -o /dev/null -w '%{{time_total}}\\n'{method}{credentials} '{base_url}{operation.path}'"


def test_budgets(latency_result, limits, measure, base_url, measured_operation):
    """p50, p95 and p99 of the operation's answers, over kept and fresh connections."""
    operation = measured_operation
    seen = percentiles(latency_result.last(operation).of(operation, CANDIDATE) or [float("inf")])
    for name, value in (("p50", seen.p50), ("p95", seen.p95), ("p99", seen.p99)):
        measure(f"{operation} {name}", round(value, 1), limit=limits[f"{name}_ms"], unit="ms", samples=seen.count)
    found = latency_result.about(operation, "budget", "samples")
    assert not found, "; ".join(found) + again(latency_result.operations[operation], base_url)


def test_no_slower_than_live(latency_result, limits, measure, base_url, measured_operation):
    """The typical answer and the share of slow ones, beside live's in the same minutes."""
    operation = measured_operation
    if not latency_result.compared:
        measure(f"{operation} beside live", "not compared: there is no second colour that is well")
    for place in ((operation, kind) for kind in KINDS if latency_result.compared):
        found = latency_result.shift(place)
        name = f"{operation} beside live, {place[1]} connections"
        measure(name, round(found.ratio, 2), limit=limits["slower"], unit="times", samples=found.candidate + found.live)
    for first in latency_result.first_words(operation):
        measure(f"{operation}, the first of two measurements", first)
    found = latency_result.about(operation, "slower", "tail")
    assert not found, "; ".join(found) + again(latency_result.operations[operation], base_url)


def test_all_together_no_slower_than_live(latency_result, measure):
    """All operations as one: the typical answer and the share of slow ones, beside live's."""
    for first in latency_result.first_words("all"):
        measure("the first of two measurements", first)
    found = latency_result.about("all", "slower", "tail")
    assert not found, "; ".join(found)


@pytest.mark.samples("samples")
def test_was_measured(latency_result, limits, measure):
    """By a clock that kept time, at a rate that burdens nobody, and with answers that came."""
    measured = latency_result.second or latency_result.first
    measure("own clock late, p95", round(measured.lateness_ms, 2), limit=limits["p50_ms"] / 5, unit="ms")
    if latency_result.compared:
        asked = latency_result.first.asked[LIVE]
        rate = round(asked / max(latency_result.first.seconds, 0.001), 1)
        measure("live was asked", rate, limit=limits["rate"], unit="requests/s", samples=asked)
    found = latency_result.about("all", "failures", "samples", "generator")
    assert not found, "; ".join(found)
    assert latency_result.requests > 0

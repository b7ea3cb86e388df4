"""Latency: the release answers within its budgets, and no slower than the live colour; one measurement for the whole gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from deployment.evidence.data.details import NOT_COMPARED
from plugins.described.checks import check
from plugins.described.fixtures import Player
from verification.journeys.model import Service
from verification.latency.plan import CANDIDATE, KINDS, LIVE, Operation, operations_of
from verification.latency.repeating import LatencyResult
from verification.statistics import percentiles

Measure = Callable[..., None]
Limits = Mapping[str, Any]
# What a user adds to curl for each kind of session.
SIGNED_IN = {
    "bearer": ' -H "Authorization: Bearer $TOKEN"',
    "basic": ' -u "$USER_AND_PASSWORD"',
    "cookie": ' -H "Cookie: $COOKIE"',
    "api-key": ' -H "{header}: $KEY"',
}


def again(operation: Operation, base_url: str) -> str:
    """Return the command that repeats a request."""
    session = operation.session if operation.role != "sign in" else None
    method = "" if operation.method == "GET" else f" -X {operation.method}"
    credentials = SIGNED_IN.get(session.kind, "").format(header=session.header) if session else ""
    return f"\ncurl -s -o /dev/null -w '%{{time_total}}\\n'{method}{credentials} '{base_url}{operation.path}'"


def _operations(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return [(f"({name})", {"operation": name}) for name in operations_of(service)]


def _was_asked(result: LatencyResult, player: Player, operation: str) -> None:
    """Leave the check out if the operation needs an account that this run lacks."""
    if operation not in result.operations:
        player.deployment.users()


@check("latency", "budgets", _operations)
def budgets(
    latency_result: LatencyResult, player: Player, limits: Limits, measure: Measure, base_url: str, operation: str
) -> None:
    """p50, p95 and p99 of the operation's answers, over kept and fresh connections."""
    _was_asked(latency_result, player, operation)
    seen = percentiles(latency_result.last(operation).of(operation, CANDIDATE) or [float("inf")])
    for name, value in (("p50", seen.p50), ("p95", seen.p95), ("p99", seen.p99)):
        measure(f"{operation} {name}", round(value, 1), limit=limits[f"{name}_ms"], unit="ms", samples=seen.count)
    found = latency_result.about(operation, "budget", "samples")
    assert not found, "; ".join(found) + again(latency_result.operations[operation], base_url)


@check("latency", "no slower than live", _operations)
def no_slower_than_live(
    latency_result: LatencyResult, player: Player, limits: Limits, measure: Measure, base_url: str, operation: str
) -> None:
    """The typical answer and the share of slow ones, beside live's in the same minutes."""
    _was_asked(latency_result, player, operation)
    if not latency_result.compared:
        measure(f"{operation} beside live", NOT_COMPARED + "there is no healthy second colour")
    for kind in KINDS if latency_result.compared else ():
        if not latency_result.is_answered((operation, kind)):
            why = "; ".join(latency_result.about("all", "failures", "samples")) or "a colour gave no good answer"
            pytest.fail(f"{operation} could not be compared over {kind} connections: {why}", pytrace=False)
        shift = latency_result.shift((operation, kind))
        name = f"{operation} beside live, {kind} connections"
        measure(name, round(shift.ratio, 2), limit=limits["slower"], unit="times", samples=shift.candidate + shift.live)
    for first in latency_result.first_words(operation):
        measure(f"{operation}, the first measurement", first)
    for further in latency_result.unconfirmed_words(operation):
        measure(f"{operation}, a further measurement, which the next one did not confirm", further)
    found = latency_result.about(operation, "slower", "tail")
    assert not found, "; ".join(found) + again(latency_result.operations[operation], base_url)


@check("latency", "all together no slower than live")
def all_no_slower_than_live(latency_result: LatencyResult, measure: Measure) -> None:
    """All operations as one: the typical answer and the share of slow ones, beside live's."""
    for first in latency_result.first_words("all"):
        measure("the first measurement", first)
    for further in latency_result.unconfirmed_words("all"):
        measure("a further measurement, which the next one did not confirm", further)
    found = latency_result.about("all", "slower", "tail")
    assert not found, "; ".join(found)


@check("latency", "was measured")
@pytest.mark.samples("samples")
def was_measured(latency_result: LatencyResult, limits: Limits, measure: Measure) -> None:
    """The clock kept time, the rate stayed below its limit, and the answers arrived."""
    measured = latency_result.decisive
    measure("own clock late, p95", round(measured.lateness_ms, 2), limit=limits["p50_ms"] / 5, unit="ms")
    if latency_result.compared:
        asked = latency_result.first.asked[LIVE]
        rate = round(asked / max(latency_result.first.seconds, 0.001), 1)
        measure("live was asked", rate, limit=limits["rate"], unit="requests/s", samples=asked)
    found = latency_result.about("all", "failures", "samples", "generator")
    assert not found, "; ".join(found)
    assert latency_result.requests > 0

"""Plans of the measuring gates, from their tables of deployment.toml, and how often a measurement is repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugins.state import Release
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service
from verification.latency.judge import TAIL, Finding
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan
from verification.latency.repeating import LatencyResult, verify
from verification.latency.suspicion import Suspicion, confirm
from verification.load.comparison import BesideLive, compare, plans
from verification.load.model import LoadPlan, LoadResult
from verification.load.run import run_load, run_together

# A load that proves nothing is repeated, up to this total: other programs may have used the CPU at the time.
MOST_LOADS = 4
# Up to this total if no other program used the CPU, so that the generator's clock was on time: then the release is slow.
MOST_LOADS_ON_TIME = 2
ON_TIME_MS = 20.0
Count = Callable[[int], None]
Warn = Callable[[str], None]


def latency_plan(
    service: Service,
    candidate: Release,
    baseline: Release | None,
    users: Sequence[SmokeUser],
    gate: Mapping[str, Any],
) -> LatencyPlan:
    """Return the latency plan for the candidate and, if it is known, the live colour, each at its own address."""
    urls = {CANDIDATE: candidate.url} | ({} if baseline is None else {LIVE: baseline.url})
    return LatencyPlan(
        urls,
        service,
        users[0] if users else None,
        samples=int(gate.get("samples", 100)),
        warmup=int(gate.get("warmup", 20)),
        rate=float(gate.get("rate", 50)),
        timeout_s=float(gate.get("timeout", 10)),
        longest_s=float(gate.get("longest", 600)),
        route=candidate.route,
    )


def latency(plan: LatencyPlan, limits: LatencyLimits, suspicion: Suspicion | None, requested: Count) -> LatencyResult:
    """Measure as the latency gate does: first the suspected slow tail, if there is one, and everything if that proves nothing."""
    unconfirmed: tuple[Finding, ...] = ()
    if suspicion is not None and LIVE in plan.urls:
        result = confirm(plan, limits, suspicion)
        requested(result.requests)
        if result.findings:
            return result
        says = f"{suspicion}; {result.first.sessions} sessions beside live did not show the same"
        unconfirmed = (Finding(TAIL, suspicion.operation, says),)
    result = verify(plan, limits)
    requested(result.requests)
    return replace(result, unconfirmed=(*unconfirmed, *result.unconfirmed))


def load_plan(
    service: Service,
    candidate: Release,
    users: Sequence[SmokeUser],
    gate: Mapping[str, Any],
    workers: int | None = None,
) -> LoadPlan:
    """Return the load plan for the candidate alone, because the live colour serves users.

    ``workers`` overrides the settings' number of Locust processes on this machine.
    """
    elsewhere = int(gate.get("workers_elsewhere", 0))
    host, _, port = str(gate.get("listen", "")).rpartition(":")
    return LoadPlan(
        candidate.url,
        service,
        tuple(users),
        users=int(gate.get("users", 10)),
        rate=float(gate.get("rate", 50)),
        seconds=float(gate.get("duration", 30)),
        ramp=float(gate["ramp"]) if "ramp" in gate else None,
        workers=int(gate.get("workers", 1)) if workers is None else workers,
        elsewhere=elsewhere,
        listen=(host, int(port)) if elsewhere else None,
        route=candidate.route,
    )


def load(plan: LoadPlan, gate: Mapping[str, Any], log: Path, requested: Count, warn: Warn) -> LoadResult:
    """Run the load, and repeat it if it proves nothing; a load with too many failures is final.

    ``warn`` is called if the load could not remove all data that it wrote.
    """
    on_time = 0
    for _ in range(MOST_LOADS):
        result = run_load(plan, log=log)
        requested(result.requests)
        if result.left:
            warn(
                f"the load could not remove what {result.left} of its journeys wrote; what the run's ledger has of it is "
                "removed at the end of the run, or named there"
            )
        if result.proves_something(gate) or result.failure_ratio > float(gate.get("failure_ratio", 0)):
            break
        on_time += not result.saturated(min(ON_TIME_MS, result.latest_of(gate)))
        if on_time == MOST_LOADS_ON_TIME:
            break
    return result


def load_beside_live(
    plan: LoadPlan, live: Release | None, gate: Mapping[str, Any], log: Path, requested: Count
) -> BesideLive | None:
    """Run the same small load on both colours at once; return None without ``compare_rate`` or a live colour.

    If the candidate was slower the load runs a second time, and only findings of both runs count. A load that proves nothing
    is repeated as well.
    """
    rate = min(float(gate.get("compare_rate", 0)), plan.rate)
    if not rate or live is None:
        return None
    small, first = plans(plan, live.url, rate), None
    for _ in range(MOST_LOADS):
        made = run_together(small, log=log)
        requested(made[0].requests)
        result = compare(small, made, gate)
        if result.problem is not None:
            if result.harmed:
                return result
        elif first is None and result.found:
            first = result
        else:
            found = {name: text for name, text in result.found.items() if first is not None and name in first.found}
            return replace(result, found=found)
    return replace(
        result, found={}, problem=result.problem or "the candidate was slower once, and a second measurement is missing"
    )

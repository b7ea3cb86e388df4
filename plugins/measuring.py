"""What the gates that measure are to measure: their tables of deployment.toml as plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plugins.state import Release
from verification.accounts import SmokeUser
from verification.latency_plan import CANDIDATE, LIVE, LatencyPlan
from verification.load_model import DEFAULT_WEIGHTS, LoadPlan


def latency_plan(
    candidate: Release, baseline: Release | None, users: Sequence[SmokeUser], gate: Mapping[str, Any]
) -> LatencyPlan:
    """Of the candidate, and of the live colour at its own address where there is one: as direct a way to the one as to the other."""
    urls = {CANDIDATE: candidate.url} | ({} if baseline is None else {LIVE: baseline.url})
    return LatencyPlan(
        urls,
        users[0],
        samples=int(gate.get("samples", 100)),
        warmup=int(gate.get("warmup", 20)),
        rate=float(gate.get("rate", 50)),
        timeout_s=float(gate.get("timeout", 10)),
        longest_s=float(gate.get("longest", 600)),
    )


def load_plan(candidate: Release, users: Sequence[SmokeUser], gate: Mapping[str, Any]) -> LoadPlan:
    """Of the candidate alone: live has users of its own."""
    return LoadPlan(
        candidate.url,
        tuple(users),
        users=int(gate.get("users", 10)),
        rate=float(gate.get("rate", 50)),
        seconds=float(gate.get("duration", 30)),
        ramp=float(gate["ramp"]) if "ramp" in gate else None,
        weights=dict(gate.get("mix", DEFAULT_WEIGHTS)),
    )

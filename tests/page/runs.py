"""Runs of every outcome as folders with their evidence, built from journal lines and details as a real run writes them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from deployment.evidence import archive
from deployment.evidence.attestation import Signer
from deployment.evidence.data import details
from deployment.evidence.journal import Journal
from plugins.integrity.outcomes import shortened
from plugins.page import render

BEGIN = datetime(2026, 11, 29, 4, tzinfo=UTC)
ACTOR = "arn:aws:sts::123456789012:assumed-role/deployer/maria"
OLD_DIGEST, DIGEST = f"sha256:{'0a1b2c3d' * 8}", f"sha256:{'9f8e7d6c' * 8}"
SIZES = {
    "health": 5, "database": 6, "redis": 5, "auth": 32, "endpoints": 86, "latency": 20, "load": 8,
    "bystander": 12, "continuity": 24, "rehearsal": 8, "live": 12,
}  # fmt: skip
"""The gates and their numbers of checks, as in a usual deployment."""
BEFORE = tuple(name for name in SIZES if name != "live")
NO_REDIS = "the service declares no cache: sessions are kept in the database"
WAIVER = "INC-4711: the load generator's host is being replaced, agreed with the team lead"
WHOLE_REASON = (
    "latency: budgets (listConsults): GET /consults: p95 612.4 ms, limit 500 ms (60 answers); GET /consults: 1.61 times "
    "live's time (95 %: 1.38 to 1.92), limit 1.25 times; the first of two measurements: GET /consults: p95 598.0 ms, limit "
    "500 ms (60 answers); GET /consults: 1.58 times live's time (95 %: 1.31 to 1.84), limit 1.25 times"
)
REASON = shortened(WHOLE_REASON)
"""A reason that is too long for one line, as a measurement gives it."""
SLOW = {"candidate": [180.0, 260.0, 330.0, 410.0, 612.4, 700.1], "ratio": 1.61, "low": 1.38, "high": 1.92}
"""What the picture shows of an operation that is too slow."""
CURL = "curl -s -i -H 'Authorization: Bearer [redacted]' 'https://green.internal.example.com/consults?limit=500'"


@cache
def signer() -> Signer:
    """Return a signer with a new key, the same for all runs."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Signer(pem.decode())


class Clock:
    """A clock that only ``at`` moves."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds

    def beside(self, work: Callable[[], None]) -> None:
        work()


class Run:
    """One run's journal and details."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.clock = Clock()
        self.journal = Journal(folder / "audit.jsonl", ACTOR, self.clock)
        self.details = details.Details(folder / details.DETAILS_FILE)
        self.gates: dict[str, dict[str, Any]] = {}
        self.reasons: dict[str, str] = {}

    def add(self, kind: str, **data: Any) -> Run:
        """Append a line to the journal."""
        self.journal.append(kind, **data)
        return self

    def opened(self, mode: str = "deploy", **more: Any) -> Run:
        versions = {"pytest": "9.2.0", "pytest-xdist": "3.8.0", "httpx": "0.28.1", "python": "3.11.7"}
        return self.add(
            "opened", deployment_id=f"20261129-040000-green-{self.folder.name}", environment="production", target="auto",
            by="maria@ci", started_at=self.time(), mode=mode, host="runner-7", pid=4711, framework="1.1.0",
            schema_version=2, versions=versions,
            **({"image_tag": "1.1.0"} if mode == "deploy" else {}), **{"argv": ["--target=auto", "--image-tag", "1.1.0"], **more},
        )  # fmt: skip

    def planned(self, version: str = "1.1.0", target: str = "green", digest: str = DIGEST, **more: Any) -> Run:
        self.add("admitted", by=ACTOR, duties=["deploy", "promote"], target=target, unchecked=None)
        self.add(
            "planned", target=target, image=f"telehealth-api:{version}", digest=digest, version=version, by=ACTOR,
            requested_by="maria@runner-7", **more,
        )  # fmt: skip
        return self

    def preflight(self) -> Run:
        items = [
            ("credentials", "ok", f"{ACTOR}, who may deploy and promote", "a caller on the lists of [access]"),
            ("live", "ok", f"blue is RUNNING on {OLD_DIGEST}", "the live colour runs"),
            ("scan", "not_checked", "the image was never scanned (turn scan on push on)", "a finished scan"),
        ]
        names = ("name", "outcome", "found", "expected")
        self.add("preflight", items=[dict(zip(names, one, strict=True)) for one in items])
        todo = [
            ("pre", "code-review", "Code review completed", []),
            ("pre", "monitoring", "Monitoring configured", ["preflight live"]),
            ("during", "health", "Health checks passing", ["gate health"]),
            ("during", "switched", "Traffic switched", ["step promote"]),
        ]
        listed = [
            {"phase": p, "name": n, "item": i, "proof": proof, "required": True, "measured": []}
            for p, n, i, proof in todo
        ]
        attested = {"code-review": {"who": "Jo Lee", "what": "pull request 812"}}
        return self.add("checklist", mode="recorded", items=listed, attested=attested)

    def step(
        self,
        name: str,
        seconds: float,
        detail: str | None,
        outcome: str = "passed",
        during: Callable[[], Any] = int,
        **more: Any,
    ) -> Run:
        """Append a step's lines; ``during`` is called half way, and ``more`` goes to the outcome."""
        self.add("intent", step=name, what=f"do {name}")
        start = self.time()
        self.clock.sleep(seconds / 2)
        during()
        self.clock.sleep(seconds / 2)
        return self.add(
            "outcome", step=name, outcome=outcome, started_at=start, duration_s=seconds, detail=detail, **more
        )

    def time(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds")

    # -- checks ------------------------------------------------------------------------------------------------------------

    def expect(self, sizes: dict[str, int]) -> Run:
        names = [check_id(gate, number) for gate, size in sizes.items() for number in range(size)]
        for gate, size in sizes.items():
            self.gates[gate] = gate_line(gate, size, 0, 0, "not_run")
        self.add("checks", names=names)
        met = {"GET /health 200": names[:4], "GET /consults 200": names[4:6]}
        return self.add("coverage", documented=["GET /health 200", "GET /health 503", "GET /consults 200"], met=met)

    def ran(self, gate: str, ran: int | None = None, failed: int = 0, **more: Any) -> Run:
        """Write the results of a gate's first checks; the first ``failed`` of them did not pass."""
        size = self.gates[gate]["checks"]
        ran = size if ran is None else ran
        for number in range(ran):
            self.details.add(details.CHECK, **check(gate, number, number < failed))
        outcome = "failed" if failed else "passed" if ran == size else "incomplete" if ran else "not_run"
        self.gates[gate] = gate_line(gate, size, ran, failed, outcome, **more)
        if failed:
            self.reasons[gate] = f"budgets ({gate}): {REASON}" if gate == "latency" else "1 of its checks failed"
        elif 0 < ran < size:
            self.reasons[gate] = f"{ran} of {size} checks ran, and passed; the others did not run"
        return self

    def absent(self, gate: str, reason: str) -> Run:
        self.gates[gate] = gate_line(gate, 0, 0, 0, "absent")
        self.reasons[gate] = reason
        return self

    def series(
        self, watched: int, switch: int | None = None, failed: dict[int, int] | None = None, back: int | None = None
    ) -> Run:
        """Write every series. The candidate began to answer users in the second ``switch``, and ended in ``back``."""
        chance = random.Random(4)
        seconds = []
        for second in range(watched):
            label = "blue 1.0.0" if switch is None or not switch <= second < (back or watched) else "green 1.1.0"
            bad, good = (failed or {}).get(second, 0), chance.randint(36, 44)
            seconds.append([second, good, bad, {label: good}])
        self.details.add(
            details.SERIES, name="availability",
            data={"start": BEGIN.timestamp(), "longest_gap_ms": 48.2, "seconds": seconds},
        )  # fmt: skip
        if failed:
            problem = {
                "operation": "createConsult",
                "connection": "fresh",
                "colour": "green",
                "problem": "status 500, expected 201",
            }
            first = [
                {"at": BEGIN.timestamp() + second, **problem} for second, count in failed.items() for _ in range(count)
            ]
            self.details.add(details.SERIES, name="failed_requests", data={"count": len(first), "first": first[:50]})
        slow = self.gates["latency"]["failed"] > 0
        names = ("GET /health", "GET /consults", "POST /consults", "GET /consults/{id}", "POST /auth/login")
        operations = [
            {
                "operation": f"{name}, {kind}",
                "candidate": [2.1, 3.4, 5.2 * n, 7.1 * n, 22.0 * n, 61.0 * n],
                "live": [2.0, 3.1, 4.9 * n, 6.8 * n, 20.0 * n, 55.0 * n],
                "ratio": 1.0 + n / 50, "low": 0.9, "high": 1.1 + n / 20, "limit": 1.25,
            } | (SLOW if slow and name == "GET /consults" else {})
            for n, name in enumerate(names, 1)
            for kind in ("kept", "fresh")
        ]  # fmt: skip
        budgets = {"p50_ms": 100, "p95_ms": 500, "p99_ms": 1000}
        if self.gates["latency"]["ran"]:
            self.details.add(details.SERIES, name="latency", data={"operations": operations, "budgets": budgets})
        load = [[second, chance.randint(180, 220), int(second == 11), chance.uniform(30, 60)] for second in range(30)]
        if self.gates["load"]["ran"]:
            self.details.add(details.SERIES, name="load", data={"seconds": load, "p95_limit_ms": 500})
        if switch is not None:
            bake = {
                "failed requests": [
                    [t, 1.2 if failed and t + switch >= max(failed) else 0.0] for t in range(watched - switch)
                ],
                "slow answers": [[t, 0.1 + 0.01 * t] for t in range(watched - switch)],
            }
            self.details.add(details.SERIES, name="bake", data={"statistics": bake})
        return self

    def closed(self, verdict: str, exit_code: int | None, **more: Any) -> Path:
        """Close the run's evidence and return its folder."""
        reasons = {name: self.reasons.get(name) for name in self.gates}
        self.details.add(details.REASONS, **details.reasons_line(reasons))
        if self.gates:
            self.add("gates", gates=list(self.gates.values()))
        self.clock.sleep(0.6)
        said: list[str] = []
        closing = {"verdict": verdict, "exit_code": exit_code, "finished_at": self.time(), **more}
        target = archive.NOWHERE if verdict == "refused" else archive.Archive("production", signer, None)
        archive.close(self.journal, self.folder, [("closed", closing)], target, said.append, render)
        assert said == []
        return self.folder


def check_id(gate: str, number: int) -> str:
    if number % 3:
        return f"suites/{gate}/test_{gate}.py::test_answers_as_documented[{number}-a-consultation-of-another-doctor]"
    return f"suites/service.yaml::{gate}::case {number} of GET /consults answers as the contract says"


def gate_line(name: str, checks: int, ran: int, failed: int, outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "required": True, "outcome": outcome, "checks": checks, "ran": ran, "failed": failed,
        "duration_s": round(min(0.21 * ran, 300), 3), "waived": None, **more,
    }  # fmt: skip


def check(gate: str, number: int, failed: bool) -> dict[str, Any]:
    """Return a check's line."""
    line: dict[str, Any] = {
        "id": check_id(gate, number), "gate": gate, "outcome": "passed", "started": BEGIN.timestamp() + 60 + number,
        "duration_s": 0.12, "requests": 2, "samples": 2, "answers": ["GET /health 200"],
    }  # fmt: skip
    if gate == "latency":
        line["values"] = [
            {"name": "p95", "value": 612.4 if failed else 22.1, "limit": 500, "unit": "ms", "samples": 60}
        ]
    if failed:
        line |= {
            "outcome": "failed",
            "message": REASON if gate == "latency" else "GET /consults?limit=500: status 500, expected 422",
            "detail": f"{WHOLE_REASON}\n{CURL}" if gate == "latency" else
            f"GET /consults?limit=500\n  status: 500, expected 422\n  body: {{'error': 'the database refused {'x' * 60}'}}\n{CURL}",
            "exchanges": [
                {"method": "GET", "path": "/consults?limit=500", "status": 500, "elapsed_ms": 12.3, "at": 0.0, "problem": None, "kept": True},
                {"method": "GET", "path": "/health", "status": None, "elapsed_ms": 5000.0, "at": 1.0, "problem": "ReadTimeout: no answer within 5 s", "kept": False},
            ],
        }  # fmt: skip
    return line


def _begun(folder: Path, sizes: dict[str, int] = SIZES) -> Run:
    run = Run(folder).opened()
    run.clock.sleep(8)
    run.expect(sizes).planned().preflight()
    run.step("lease", 1.6, "blue is live and healthy on 1.0.0")
    run.add("compared", promotion="20261122-081500-blue-77aa01", checks=sum(sizes.values()) + ("redis" not in sizes))
    return run.step("provision", 42, "telehealth-api:1.1.0 runs on green, digest sha256:9f8e7d6c9f8e")


def _all_passed(run: Run, gates: Sequence[str] = BEFORE) -> Run:
    for gate in gates:
        run.ran(gate)
    return run


def _switch(run: Run) -> Callable[[], Any]:
    return lambda: run.add("switched", colour="green", generation=2)


PROMOTION = {"requests": 812, "failed": 0, "longest_gap_ms": 48.2, "switch_s": 0.031}


def promoted(folder: Path) -> Path:
    """Build a promotion with a waived gate, an advisory gate that failed, and a gate that the service declares absent."""
    sizes = {name: size for name, size in SIZES.items() if name != "redis"}
    run = _begun(folder, sizes).absent("redis", NO_REDIS)
    _all_passed(run, [name for name in BEFORE if name != "redis"])
    run.ran("load", failed=1, waived=WAIVER).ran("rehearsal", failed=1, required=False)
    run.add("gone", checks=[check_id("redis", 0)])
    run.add("waived", gate="load", reason=WAIVER).step("verify", 95, "every required gate passed")
    run.step("promote", 4, "green is live", during=_switch(run)).ran("live").step("live", 6, "12 checks passed")
    run.step("bake", 60, "no harm in 60 s").series(210, switch=149).add("traffic", promotion=PROMOTION, rollback=None)
    return run.closed("promoted", 0)


def rejected(folder: Path) -> Path:
    run = _all_passed(_begun(folder), [name for name in BEFORE if name != "load"]).ran("latency", failed=3)
    run.step("verify", 95, REASON, "failed").step("retire", 5.8, "green is PAUSED")
    return run.series(150).closed("rejected", 1, reason=REASON)


def rolled_back(folder: Path) -> Path:
    run = _all_passed(_begun(folder)).step("verify", 95, "every required gate passed")
    run.step("promote", 4, "green is live", during=_switch(run)).ran("live").step("live", 6, "12 checks passed")
    reason = "bake: 31 of 240 requests of users failed (limit 1 %): GET /consults: status 500"
    run.step("bake", 20, reason, "failed")
    run.step("rollback", 3, "blue is live", during=lambda: run.add("writing", colour="blue", generation=3, weight=100))
    run.add(
        "logs", colour="green", lines=[f"04:02:5{n} app: ERROR GET /consults: the database refused" for n in range(9)]
    )
    rollback = {"reason": reason, "detected_s": 1.2, "switch_s": 0.029, "requests": 240, "failed": 31}
    run.step("retire", 5, "green is PAUSED").series(184, switch=149, failed={170: 12, 171: 19}, back=178)
    run.add("traffic", promotion=PROMOTION, rollback=rollback)
    return run.closed("rolled_back", 10, reason=reason)


def halted(folder: Path) -> Path:
    """Build a rollback that failed."""
    run = _all_passed(_begun(folder)).step("verify", 95, "every required gate passed")
    run.step("promote", 4, "green is live", during=_switch(run)).ran("live").step("live", 6, "12 checks passed")
    reason = "bake: 31 of 240 requests of users failed (limit 1 %): GET /consults: status 500"
    run.step("bake", 20, reason, "failed").step("rollback", 30, "the router answers 503", "failed")
    run.series(206, switch=149, failed={170: 12, 171: 19})
    reason = f"rollback: the router answers 503; the rollback was started because of {reason}"
    return run.closed("rollback_failed", 11, reason=reason)


def verified(folder: Path) -> Path:
    """Build a verification of the live release."""
    run = Run(folder).opened("verify", argv=["--environment=production"]).expect(SIZES).planned()
    run.clock.sleep(58)
    return _all_passed(run, list(SIZES)).closed("verified", 0)


def refused(folder: Path) -> Path:
    run = Run(folder).opened().add("refusal", what="no such tag")
    run.clock.sleep(2)
    reason = "refused: telehealth-api has no image with the tag 1.1.0 in the registry of production"
    return run.closed("refused", 4, reason=reason, remedy="Push the image, or choose one of 1.0.0, 0.9.4, 0.9.3.")


def interrupted(folder: Path) -> Path:
    run = _all_passed(_begun(folder), BEFORE[:4]).ran("endpoints", 40)
    reason = "interrupted by SIGINT (Ctrl-C)"
    run.step("verify", 31, reason, "failed").step("retire", 5, "green is PAUSED")
    return run.series(86).closed("rejected", 2, reason=f"verify: {reason}", partial=True)


def recovered(folder: Path) -> Path:
    run = _all_passed(_begun(folder)).step("verify", 95, "every required gate passed")
    run.add("verified", gates=[{**gate, "reason": None} for gate in run.gates.values()])
    run.step("promote", 4, "green is live", during=_switch(run)).add("intent", step="bake", what="watch users")
    run.clock.sleep(400)
    run.add("recovering", phase="BAKING", step="bake", by="arn:aws:sts::123456789012:assumed-role/deployer/sam")
    run.step("rollback", 3, "blue is live", during=lambda: run.add("writing", colour="blue", generation=3, weight=100))
    run.series(149).add("leftovers", removed=2, gone=1, left=["book: no answer"])
    return run.closed("rolled_back", None, recovered=True, reason="bake: the run died in phase BAKING")


def undone(folder: Path) -> Path:
    """Build a rollback by hand."""
    run = Run(folder).opened(
        "rollback",
        reason="INC-4712: doctors cannot see new consultations",
        argv=["rollback", "--reason", "INC-4712: doctors cannot see new consultations"],
    )
    run.planned("1.0.0", "blue", OLD_DIGEST, undoes="20261128-160000-green-1a2b3c")
    live = {"colour": "green", "image": "telehealth-api:1.1.0", "version": "1.1.0", "digest": DIGEST}
    run.step("lease", 0.4, None, live=live)
    run.step("rollback", 3, "blue is live", during=lambda: run.add("writing", colour="blue", generation=3, weight=100))
    rollback = {"reason": "asked for", "detected_s": 0.0, "switch_s": 0.031, "requests": 120, "failed": 0}
    run.add("traffic", promotion=None, rollback=rollback)
    return run.closed("rolled_back", 0)


def many(folder: Path) -> Path:
    """Build a rejected run of 10,000 checks, of which 120 failed."""
    run = _begun(folder, SIZES | {"endpoints": 10_000 - sum(SIZES.values()) + SIZES["endpoints"]})
    run = _all_passed(run, [name for name in BEFORE if name != "endpoints"]).ran("endpoints", failed=120)
    reason = "endpoints: 120 of 9,868 checks failed; the first: GET /consults?limit=500: status 500, expected 422"
    run.step("verify", 620, reason, "failed").step("retire", 5.8, "green is PAUSED")
    return run.series(676).closed("rejected", 1, reason=reason)


RUNS: dict[str, Callable[[Path], Path]] = {
    one.__name__: one
    for one in (promoted, rejected, rolled_back, halted, verified, refused, interrupted, recovered, undone, many)
}

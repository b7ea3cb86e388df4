"""Reads the files that Locust wrote: its statistics (``--json-file``), and our locustfile's notes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.load.model import LoadFailed, LoadPlan, LoadResult, OperationLoad, WorkerLoad
from verification.statistics import percentile, percentile_of_counts

# Under this share of the planned time a run was cut short: SIGTERM ends Locust with exit code 0 and a valid file.
_WHOLE_RUN = 0.95


@dataclass(frozen=True)
class _Entry:
    name: str
    requests: int
    failures: int
    histogram: Mapping[float, int]
    max_ms: float


def result_of(plan: LoadPlan, stats: Path, extra: Path) -> LoadResult:
    """Return the result of a load.

    Raises LoadFailed if a file is missing or unreadable, a worker was lost, or no request was sent.
    """
    if extra.exists() and (problem := _read(extra, dict).get("problem")):
        raise LoadFailed(f"the load has no result: {problem}")
    entries = [_entry(value) for value in _read(stats, list)]
    noted = _read(extra, dict)
    try:
        workers = tuple(_worker(one) for one in noted.get("workers", ()))
        makers = workers or (_worker({**noted, "host": "", "requests": 0}),)
        errors = tuple((str(text), int(count)) for text, count in noted["errors"])
    except (KeyError, TypeError, ValueError) as exc:
        raise LoadFailed(f"the load's {extra.name} is incomplete: {type(exc).__name__}") from exc
    seconds, longest = min(one.seconds for one in makers), max(one.seconds for one in makers)
    mix = [entry for entry in entries if entry.name not in plan.sign_ins]
    failed_sign_ins = sum(entry.failures for entry in entries if entry.name in plan.sign_ins)
    made = sum(entry.requests for entry in mix)
    requests, failures = made + failed_sign_ins, sum(entry.failures for entry in mix) + failed_sign_ins
    if requests == 0:
        raise LoadFailed(f"the load made no request in {seconds:.1f} s")
    whole = _operation("all", mix)
    return LoadResult(
        requests=requests,
        failures=failures,
        failure_ratio=failures / requests,
        p50_ms=whole.p50_ms,
        p95_ms=whole.p95_ms,
        p99_ms=whole.p99_ms,
        max_ms=whole.max_ms,
        throughput=made / longest if longest else 0.0,
        seconds=seconds,
        planned_seconds=plan.seconds,
        cut_short=seconds < _WHOLE_RUN * plan.seconds,
        generator_cpu=max(one.generator_cpu for one in makers),
        late_ms=max(one.late_ms for one in makers),
        by_operation=tuple(_operation(entry.name, [entry]) for entry in sorted(entries, key=lambda e: e.name)),
        errors=errors,
        workers=workers,
        by_second=_by_second(noted.get("workers") or [noted]),
        left=sum(int(one.get("left", 0)) for one in noted.get("workers") or [noted]),
    )


def _by_second(makers: Iterable[Mapping[str, Any]]) -> tuple[tuple[int, int, int, float], ...]:
    """Return the load second by second, over all of its processes; it is only shown, so what is missing is left out."""
    rows: dict[int, tuple[Counter[str], Counter[float]]] = {}
    for maker in makers:
        for second, (requests, failures, times) in maker.get("by_second", ()):
            counts, histogram = rows.setdefault(int(second), (Counter(), Counter()))
            counts.update(requests=int(requests), failures=int(failures))
            histogram.update({float(ms): int(count) for ms, count in times.items()})
    return tuple(
        (second, counts["requests"], counts["failures"], percentile_of_counts(histogram, 95))
        for second, (counts, histogram) in sorted(rows.items())
    )


def _worker(noted: Mapping[str, Any]) -> WorkerLoad:
    seconds, cpu_s = float(noted["seconds"]), float(noted["cpu_s"])
    late_ms = sorted(float(one) for one in noted["late_ms"])
    return WorkerLoad(
        str(noted["host"]),
        int(noted["requests"]),
        seconds,
        cpu_s / seconds if seconds else 0.0,
        percentile(late_ms, 95) if late_ms else 0.0,
    )


def _read(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise LoadFailed(f"Locust wrote no {path.name}") from exc
    except ValueError as exc:
        raise LoadFailed(f"Locust's {path.name} is not JSON") from exc
    if not isinstance(value, kind):
        raise LoadFailed(f"Locust's {path.name} holds {type(value).__name__}, expected {kind.__name__}")
    return value


def _entry(value: Any) -> _Entry:
    try:
        histogram = {float(ms): int(count) for ms, count in value["response_times"].items()}
        return _Entry(
            str(value["name"]),
            int(value["num_requests"]),
            int(value["num_failures"]),
            histogram,
            float(value["max_response_time"] or 0.0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise LoadFailed(f"Locust's statistics are not as expected: {type(exc).__name__}") from exc


def _operation(name: str, entries: Iterable[_Entry]) -> OperationLoad:
    counts: Counter[float] = Counter()
    requests = failures = 0
    max_ms = 0.0
    for entry in entries:
        counts.update(entry.histogram)
        requests += entry.requests
        failures += entry.failures
        max_ms = max(max_ms, entry.max_ms)
    p50, p95, p99 = (percentile_of_counts(counts, share) if counts else 0.0 for share in (50, 95, 99))
    return OperationLoad(name, requests, failures, p50, p95, p99, max_ms, dict(counts))

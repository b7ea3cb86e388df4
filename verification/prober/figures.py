"""Evaluates the prober's samples over a time window; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from verification.prober.samples import Sample


@dataclass(frozen=True)
class Traffic:
    """Requests that were completed in a window. ``longest_gap_ms``: the longest time in it without any completed response."""

    requests: int
    failed: int
    longest_gap_ms: float


def traffic(samples: Iterable[Sample], *, since: float | None = None, until: float | None = None) -> Traffic:
    """Count the samples that were done in ``[since, until]`` (epoch seconds; None: open).

    The gap also counts from a given edge of the window: a window without any answer is one long gap. A failure without
    a status is not a response, and does not end a gap.
    """
    inside = within(samples, since=since, until=until)
    answers = sorted(s.done for s in inside if s.status is not None)
    moments = [*([] if since is None else [since]), *answers, *([] if until is None else [until])]
    if until is None and inside:
        moments.append(max(s.done for s in inside))
    gaps = (later - earlier for earlier, later in pairwise(moments))
    return Traffic(len(inside), sum(not s.ok for s in inside), max(gaps, default=0.0) * 1000)


def by_second(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the samples second by second, as JSON's types.

    ``start`` is the first moment of sending (epoch s). Each row of ``seconds`` is: second since then, answers as
    expected, failures, and the number of good answers by ``COLOUR VERSION`` as far as they named it. The health check
    names the version, so other answers get the last version that the colour named. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("there are no samples")
    ordered = sorted(samples, key=lambda one: one.done)
    start = min(one.at for one in ordered)
    versions: dict[str | None, str] = {}
    for one in reversed(ordered):
        if one.version is not None:
            versions[one.colour] = one.version
    rows: dict[int, list[Any]] = {}
    for one in ordered:
        if one.version is not None:
            versions[one.colour] = one.version
        row = rows.setdefault(int(one.done - start), [0, 0, {}])
        row[0 if one.ok else 1] += 1
        if one.ok:
            label = " ".join(part for part in (one.colour, versions.get(one.colour)) if part) or "answered"
            row[2][label] = row[2].get(label, 0) + 1
    last = max(rows)
    seconds = [[second, *rows.get(second, [0, 0, {}])] for second in range(last + 1)]
    return {"start": round(start, 3), "longest_gap_ms": round(traffic(ordered).longest_gap_ms, 1), "seconds": seconds}


def within(samples: Iterable[Sample], *, since: float | None = None, until: float | None = None) -> list[Sample]:
    """Return the samples that were done in ``[since, until]`` (epoch seconds; None: open), oldest answer first."""
    low = float("-inf") if since is None else since
    high = float("inf") if until is None else until
    return sorted((s for s in samples if low <= s.done <= high), key=lambda s: s.done)


def failed(samples: Iterable[Sample], most: int) -> dict[str, Any]:
    """Return the requests that failed, as JSON's types: their number, and in ``first`` at most ``most`` of them, oldest first.

    ``at`` is when each ended, in epoch seconds.
    """
    found = sorted((one for one in samples if not one.ok), key=lambda one: one.done)
    first = [
        {
            "at": round(one.done, 3),
            "operation": one.operation,
            "connection": one.kind,
            "colour": one.colour,
            "problem": one.problem,
        }
        for one in found[:most]
    ]
    return {"count": len(found), "first": first}


def first_failure(samples: Iterable[Sample], *, since: float | None = None) -> Sample | None:
    """Return the first failure from ``since`` on (epoch seconds); None if there is none."""
    return next((s for s in within(samples, since=since) if not s.ok), None)


def first_answer_by(
    samples: Sequence[Sample],
    *,
    since: float,
    colour: str | None = None,
    generation: int | None = None,
    version: str | None = None,
) -> Sample | None:
    """Return the first answer from ``since`` on that names this colour and this generation (None: any).

    An answer that names neither, as through a load balancer, is identified by its ``version`` (None: never). None if
    there is no such answer. Raises ValueError if neither colour nor generation is given.
    """
    if colour is None and generation is None:
        raise ValueError("colour or generation must be given, got neither")

    def is_by(sample: Sample) -> bool:
        if sample.colour is None and sample.generation is None:
            return version is not None and sample.version == version
        return _is_by(sample, colour, generation)

    return next((sample for sample in within(samples, since=since) if is_by(sample)), None)


def last_answer_by(
    samples: Sequence[Sample], *, until: float | None = None, colour: str | None = None, generation: int | None = None
) -> Sample | None:
    """Return the last answer up to ``until`` that names this colour and this generation (None: any).

    None if there is no such answer. Raises ValueError if neither colour nor generation is given.
    """
    if colour is None and generation is None:
        raise ValueError("colour or generation must be given, got neither")
    return next((s for s in reversed(within(samples, until=until)) if _is_by(s, colour, generation)), None)


def _is_by(sample: Sample, colour: str | None, generation: int | None) -> bool:
    return (
        sample.status is not None
        and (colour is None or sample.colour == colour)
        and (generation is None or sample.generation == generation)
    )

"""Evaluates the prober's samples over a time window; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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


def within(samples: Iterable[Sample], *, since: float | None = None, until: float | None = None) -> list[Sample]:
    """Return the samples that were done in ``[since, until]`` (epoch seconds; None: open), oldest answer first."""
    low = float("-inf") if since is None else since
    high = float("inf") if until is None else until
    return sorted((s for s in samples if low <= s.done <= high), key=lambda s: s.done)


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

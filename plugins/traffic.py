"""The live domain's traffic during a run: the prober, what harms users, and the figures of the report."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

from plugins.state import Bake
from verification import figures
from verification.prober import Prober
from verification.prober_config import ProberConfig
from verification.samples import Sample
from verification.watch import Watch, WatchLimits


class Traffic:
    """Asks the live domain from before provisioning to the end of the run."""

    def __init__(self, config: ProberConfig, limits: WatchLimits) -> None:
        self._prober = Prober.start(config)
        self._limits = limits
        self._watch: Watch | None = None
        self._read = 0

    def stop(self) -> None:
        """Ends the prober; its samples stay."""
        self._prober.stop()

    def settle(self) -> None:
        """Waits until the prober has seen the live domain, so that its later silence means something."""
        self._prober.wait_for_samples(5, deadline_s=30)

    @property
    def harmed(self) -> str | None:
        """What users of the live domain suffered so far, before any switch; None where nothing."""
        failures = self._prober.failures()
        return (
            f"{len(failures)} requests to the live domain failed, first: {describe(failures[0])}" if failures else None
        )

    @property
    def trouble(self) -> str | None:
        """Why the prober itself cannot be believed, None where it can."""
        return self._prober.problem

    def watch_from_now(self, *, colour: str, generation: int, version: str | None) -> None:
        """Begins to watch what the promoted release answers."""
        self._watch = Watch(replace(self._limits, colour=colour, generation=generation, version=version))
        self._read = len(self._prober.samples_from(0))

    def harm(self) -> str | None:
        """Proof that the promoted release harms its users, None while there is none."""
        if self._watch is None:
            return None
        if self.trouble:
            return f"nobody watches any more: {self.trouble}"
        fresh = self._prober.samples_from(self._read)
        self._read += len(fresh)
        for sample in fresh:
            found = self._watch.feed(sample)
            if found.harmed:
                return found.reason
        return None

    def bake(self, since: float, until: float) -> Bake:
        """What the watch saw between two moments (epoch seconds)."""
        samples = self._prober.samples(since, until)
        seen = figures.traffic(samples, since=since, until=until)
        times = [sample.elapsed_ms for sample in samples if sample.status is not None]
        return Bake(until - since, seen.requests, seen.failed, median(times) if times else 0.0, seen.longest_gap_ms)

    def promotion(self, written_at: float, generation: int, until: float) -> dict[str, Any]:
        """The report's ``promotion``: from the prober's start to the first failing answer, or ``until``."""
        failure = figures.first_failure(self._prober.samples(None, until))
        end = failure.done if failure else until
        samples = [sample for sample in self._prober.samples(None, end) if sample != failure]
        seen = figures.traffic(samples)
        return {
            "requests": seen.requests,
            "failed": seen.failed,
            "longest_gap_ms": round(seen.longest_gap_ms, 1),
            "switch_s": self._switch_s(written_at, generation),
        }

    def rollback(self, decided_at: float, written: tuple[float, int] | None, reason: str) -> dict[str, Any]:
        """The report's ``rollback``: from the first failing answer (or the decision) to now, the old colour verified."""
        failure = figures.first_failure(self._prober.samples(None, decided_at))
        since = failure.done if failure else decided_at
        samples = self._prober.samples(since, None)
        switched = None if written is None else self._switch_s(*written)
        return {
            "reason": reason,
            "detected_s": round(decided_at - since, 3),
            "switch_s": switched,
            "requests": len(samples),
            "failed": sum(not sample.ok for sample in samples),
        }

    def _switch_s(self, written_at: float, generation: int) -> float | None:
        first = figures.first_answer_by(self._prober.samples(), since=written_at, generation=generation)
        return None if first is None else round(first.done - written_at, 3)


def describe(sample: Sample) -> str:
    """One failed request in a few words."""
    by = f" by {sample.colour}" if sample.colour else ""
    return f"{sample.operation}{by}: {sample.problem or sample.status}"

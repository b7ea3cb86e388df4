"""The live domain's traffic during a run: the prober, what harms users, and the figures of the report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from deployment.strategy import Shift
from plugins.state import Bake
from verification import figures
from verification.baseline import Baseline, baseline
from verification.prober import Prober
from verification.prober_config import ProberConfig
from verification.samples import Sample
from verification.slowness import SlowLimits
from verification.vigil import Side, Vigil
from verification.watch import Watch, WatchLimits

SLOW_FOR_S = 5.0
"""So long, at the prober's rate, is the window that slowness is counted in: a hiccup of the machine is shorter."""
LEAST_WINDOW = 40
FAILURES_KEPT = 10
CONTROL_SHARE, LEAST_CONTROL_RATE = 0.2, 2.0
"""The previous colour is asked at its own address, too, at this share of the prober's rate, and so often a second at least."""


class TrafficMonitor:
    """Asks the live domain from before provisioning to the end of the run."""

    def __init__(self, config: ProberConfig, limits: WatchLimits) -> None:
        self._prober = Prober.start(config)
        self._rate = config.rate
        self._limits = limits
        self._live: Watch | None = None
        self._vigil: Vigil | None = None
        self._before: tuple[Baseline, Baseline | None] | None = None
        self._has_control = config.control is not None
        self._read = self._read_control = 0

    def stop(self) -> None:
        """Ends the prober; its samples stay."""
        self._prober.stop()

    def warm_up(self) -> None:
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

    def watch_live(self, *, colour: str, generation: int, version: str | None) -> None:
        """Begins to watch what is live while nothing is switched."""
        limits = replace(self._limits, slow=self._slow(1.0))
        self._live = Watch(replace(limits, colour=colour, generation=generation, version=version))
        self._read = len(self._prober.samples_from(0))

    def watch_candidate(
        self,
        candidate: Side,
        previous: Side,
        *,
        generation: int,
        since: float,
        share: float = 1.0,
        confirmed_at: float = math.inf,
    ) -> None:
        """Begins to watch what the candidate answers: from ``since`` on (epoch s) it has that share (0 to 1) of the traffic;
        ``confirmed_at``: see ``Vigil``.
        """
        before, control_before = self._baselines(since)
        self._vigil = Vigil(
            replace(self._limits, slow=self._slow(share)),
            candidate,
            previous,
            generation,
            before,
            control_before,
            share=share < 1,
            confirmed_at=confirmed_at,
        )
        everything = self._prober.samples_from(0)
        self._read = next((n for n, sample in enumerate(everything) if sample.done >= since), len(everything))
        controls = self._prober.controls_from(0)
        self._read_control = next((n for n, one in enumerate(controls) if one.done >= since), len(controls))

    def forget_before(self) -> None:
        """What was answered before the first switch is no measure: what was live was sick."""
        self._before = (Baseline(), None)
        self._live = None

    def _baselines(self, since: float) -> tuple[Baseline, Baseline | None]:
        """What was answered before the first switch, at the live domain and by the control."""
        if self._before is None:
            controls = [sample for sample in self._prober.controls_from(0) if sample.done < since]
            live = [sample for sample in self._prober.samples_from(0) if sample.done < since]
            self._before = baseline(live), baseline(controls) if self._has_control else None
        return self._before

    def _slow(self, share: float) -> SlowLimits:
        return replace(self._limits.slow, window=max(LEAST_WINDOW, round(self._rate * share * SLOW_FOR_S)))

    def harm(self) -> str | None:
        """Proof that users are harmed, by the candidate or while nothing was switched; None while there is none."""
        hear = self._vigil.hear if self._vigil else self._hear_live if self._live else None
        if hear is None:
            return None
        if self.trouble:
            return f"nobody watches any more: {self.trouble}"
        self._hear_control()
        for sample in self._prober.samples_from(self._read):
            self._read += 1
            if found := hear(sample):
                return found
        return None

    def _hear_live(self, sample: Sample) -> str | None:
        return self._live.feed(sample).reason if self._live else None

    def _hear_control(self) -> None:
        """Before the live domain's answers of the same time: they are weighed against it."""
        for sample in self._prober.controls_from(self._read_control) if self._vigil else ():
            self._read_control += 1
            if self._vigil:
                self._vigil.hear_control(sample)

    @property
    def seen(self) -> tuple[int, int]:
        """How many answers of the candidate's since its share last changed, and how many of them had failed."""
        return (self._vigil.requests, self._vigil.failures) if self._vigil else (0, 0)

    def watched(self, since: float) -> dict[str, Any]:
        """What the watch stands on, for the journal: what it compared with, what it saw, and the last failures from ``since`` on."""
        before, control = self._before or (Baseline(), None)
        failures = self._prober.failures(since)[-FAILURES_KEPT:]
        return {
            "requests_before": before.requests,
            "failed_before": before.failures,
            "typical_ms_before": {" ".join(cell).strip(): round(ms, 1) for cell, ms in before.typical_ms.items()},
            "control_requests_before": control.requests if control else 0,
            "requests": self.seen[0],
            "failed": self.seen[1],
            "slow_as_the_machine": self._vigil.excused if self._vigil else 0,
            "last_failures": [f"{one.done:.3f} {describe(one)}, {one.kind} connection" for one in failures],
        }

    def bake(self, since: float, until: float) -> Bake:
        """What the watch saw between two moments (epoch seconds)."""
        samples = self._prober.samples(since, until)
        seen = figures.traffic(samples, since=since, until=until)
        times = [sample.elapsed_ms for sample in samples if sample.status is not None]
        return Bake(until - since, seen.requests, seen.failed, median(times) if times else 0.0, seen.longest_gap_ms)

    def promotion(self, written_at: float, generation: int, until: float, version: str | None) -> dict[str, Any]:
        """The report's ``promotion``: from the prober's start to the first failing answer, or ``until``; ``version``: the new one."""
        failure = figures.first_failure(self._prober.samples(None, until))
        end = failure.done if failure else until
        samples = [sample for sample in self._prober.samples(None, end) if sample != failure]
        seen = figures.traffic(samples)
        return {
            "requests": seen.requests,
            "failed": seen.failed,
            "longest_gap_ms": round(seen.longest_gap_ms, 1),
            "switch_s": self._switch_s(written_at, generation, version),
        }

    def rollback(
        self, decided_at: float, written: tuple[float, int] | None, reason: str, version: str | None
    ) -> dict[str, Any]:
        """The report's ``rollback``: from the first failing answer (or the decision) to now, the old colour verified."""
        failure = figures.first_failure(self._prober.samples(None, decided_at))
        since = failure.done if failure else decided_at
        samples = self._prober.samples(since, None)
        switched = None if written is None else self._switch_s(*written, version)
        return {
            "reason": reason,
            "detected_s": round(decided_at - since, 3),
            "switch_s": switched,
            "requests": len(samples),
            "failed": sum(not sample.ok for sample in samples),
        }

    def _switch_s(self, written_at: float, generation: int, version: str | None) -> float | None:
        samples = self._prober.samples()
        first = figures.first_answer_by(samples, since=written_at, generation=generation, version=version)
        return None if first is None else round(first.done - written_at, 3)


def watch_limits(live: Mapping[str, Any]) -> WatchLimits:
    """What counts as harm, from the table of the live gate."""
    defaults = SlowLimits()
    slow = replace(
        defaults,
        factor=float(live.get("slowdown", defaults.factor)),
        max_ms=float(live.get("median_ms", defaults.max_ms)),
    )
    return WatchLimits(max_failure_ratio=float(live.get("failure_ratio", 0.01)), slow=slow)


def describe(sample: Sample) -> str:
    """One failed request in a few words."""
    by = f" by {sample.colour}" if sample.colour else ""
    return f"{sample.operation}{by}: {sample.problem or sample.status}"


class TrafficCanaryWatch:
    """A canary watch over the traffic of this run; see ``deployment.flow.canary.CanaryWatch``."""

    def __init__(self, traffic: TrafficMonitor, candidate: Side, previous: Side) -> None:
        self._traffic, self._candidate, self._previous = traffic, candidate, previous

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        """A new watch, of the candidate's own answers."""
        share = shift.weight / 100
        self._traffic.watch_candidate(self._candidate, self._previous, generation=generation, since=since, share=share)

    def whole(self, generation: int, since: float) -> None:
        """From ``since`` on everybody's answers are to be the candidate's, and it was just seen that they are."""
        self._traffic.watch_candidate(
            self._candidate, self._previous, generation=generation, since=since, confirmed_at=time.time()
        )

    def harm(self) -> str | None:
        """Proof that the candidate harms its users."""
        return self._traffic.harm()

    @property
    def seen(self) -> tuple[int, int]:
        """Its requests in this step, and how many of them failed."""
        return self._traffic.seen

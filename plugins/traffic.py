"""The live domain's traffic during a run: the prober, the watch for harm to users, and the report's figures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from deployment.errors import StepFailed
from deployment.files import problem_of
from deployment.recovery.leftovers import LEDGER_FILE
from deployment.settings import Settings
from deployment.strategy import Shift
from infrastructure.description import service_of
from plugins.state import Bake
from verification.http.answer_limits import AnswerLimits
from verification.journeys.accounts import SmokeUser
from verification.prober import figures
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober, ProberFailed
from verification.prober.samples import Sample
from verification.watch.baseline import Baseline, baseline
from verification.watch.candidate_watch import CandidateWatch, Side
from verification.watch.sequential import at_least_by_chance
from verification.watch.slowness import ENOUGH_CONTROLS, SlowLimits
from verification.watch.watch import Watch, WatchLimits

SLOW_FOR_S = 5.0
"""The window (s, at the prober's rate) in which slow answers are counted; a short stall of the machine does not fill it."""
LEAST_WINDOW = 40
FAILURES_KEPT = 10
FAILURES_LISTED = 50
"""How many failed requests of users a report lists."""
EVIDENCE_EVERY_S = 0.5
BESIDE_REQUESTS, BESIDE_WAIT_S = 3, 1.0
"""Requests to the previous colour that show how it is beside a failing candidate, and how long to wait for them (s)."""
TOO_MANY = 0.02
"""Failures are too many if the allowed ratio gives so many by chance more seldom than this; one of one request is enough."""
FIRST_SAMPLES, START_S = 5, 30.0
"""The samples that show that the prober works, and how long its process may take to start (s)."""
CONTROL_SHARE, LEAST_CONTROL_RATE = 0.2, 2.0
"""The control sends requests to the previous colour's own address: a share of the prober's rate, and the least rate (1/s)."""
LEAST_SILENCE_S, SILENT_TIMES = 10.0, 3
"""No sample for so many times the prober's timeout and interval, and so long at least (s), is a prober that is stuck."""
LONGEST_LOOK_S = 2.0
"""How much of the time (s) since the last look counts as silence: this process may have been suspended, and the prober with it."""


class TrafficMonitor:
    """Sends requests to the live domain from before provisioning to the end of the run."""

    def __init__(self, config: ProberConfig, limits: WatchLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds that never step back. Raise OSError if the prober's process cannot be started."""
        self._prober = Prober.start(config)
        self._rate, self._timeout_s = config.rate, config.timeout_s
        self._clock = clock
        self._most_silent_s = max(LEAST_SILENCE_S, SILENT_TIMES * (config.timeout_s + 1 / config.rate))
        self._silent_s, self._heard, self._looked_at, self._stopped = 0.0, 0, clock(), False
        self._limits = limits
        self._live: Watch | None = None
        self._candidate_watch: CandidateWatch | None = None
        self._sides: tuple[Side, Side] | None = None  # the candidate and the previous colour, from the first switch on
        self._switched_at = math.inf
        self._before: tuple[Baseline, Baseline | None] | None = None
        self._has_control = config.control is not None
        self._read = self._read_control = 0
        self._sent = (0, 0)
        self._evidence: list[tuple[float, dict[str, float]]] = []

    def stop(self) -> None:
        """Stop the prober; its samples stay."""
        self._stopped = True
        self._prober.stop()

    def warm_up(self, longest_s: float | None = None) -> None:
        """Wait for the first samples, so that a missing answer later proves a failure.

        ``longest_s``: how long, in seconds; None: as long as they take at this rate if every answer is as slow as allowed.
        Raises ProberFailed if they do not come in this time, or if the prober has ended.
        """
        if longest_s is None:
            longest_s = START_S + FIRST_SAMPLES / self._rate + self._timeout_s
        self._prober.wait_for_samples(FIRST_SAMPLES, deadline_s=longest_s)

    @property
    def harmed(self) -> str | None:
        """Return the failures of the live domain so far, None if there were none."""
        failures = self._prober.failures()
        return (
            f"{len(failures)} requests to the live domain failed, first: {describe(failures[0])}" if failures else None
        )

    @property
    def sent(self) -> tuple[int, int]:
        """The requests to the live domain so far, and how many of them failed; for one thread, which reads each sample once."""
        new = self._prober.samples_from(self._sent[0])
        self._sent = (self._sent[0] + len(new), self._sent[1] + _failed(new))
        return self._sent

    @property
    def problem(self) -> str | None:
        """Return why the prober's samples are unreliable, None if they are reliable."""
        return self._prober.problem

    def watch_live(self, *, colour: str, generation: int, version: str | None) -> None:
        """Start watching the live colour before the switch."""
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
        """Start watching the candidate's answers from ``since`` on (epoch seconds).

        ``share`` (0 to 1) is the candidate's part of the traffic; ``confirmed_at``: see ``CandidateWatch``.
        """
        before, control_before = self._baselines(since)
        self._sides, self._switched_at = (candidate, previous), min(since, self._switched_at)
        self._candidate_watch = CandidateWatch(
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

    def forget_baseline(self) -> None:
        """Discard the answers before the first switch as a baseline, because the live colour was unhealthy."""
        self._before = (Baseline(), None)
        self._live = None

    def _baselines(self, since: float) -> tuple[Baseline, Baseline | None]:
        """Return the baselines before the first switch: of the live domain, and of the control if there is one."""
        if self._before is None:
            controls = [sample for sample in self._prober.controls_from(0) if sample.done < since]
            live = [sample for sample in self._prober.samples_from(0) if sample.done < since]
            self._before = baseline(live), baseline(controls) if self._has_control else None
        return self._before

    def _slow(self, share: float) -> SlowLimits:
        return replace(self._limits.slow, window=max(LEAST_WINDOW, round(self._rate * share * SLOW_FOR_S)))

    def harm(self) -> str | None:
        """Return proof of harm to users since the last call, before or after the switch; None if there is none."""
        feed = self._candidate_watch.feed if self._candidate_watch else self._feed_live if self._live else None
        if feed is None:
            return None
        if problem := self.problem or self._silence():
            return f"the prober cannot watch the live domain any more: {problem}"
        self._feed_control()
        for sample in self._prober.samples_from(self._read):
            self._read += 1
            found = feed(sample)
            self._keep_evidence(sample.done, last=found is not None)
            if found:
                return found
        return None

    def _silence(self) -> str | None:
        """Return that a running prober has sent no sample for longer than a slow answer needs, None if it has sent one."""
        now, new = self._clock(), len(self._prober.samples_from(self._heard))
        self._silent_s = 0.0 if new else self._silent_s + min(now - self._looked_at, LONGEST_LOOK_S)
        self._heard, self._looked_at = self._heard + new, now
        if self._stopped or self._silent_s <= self._most_silent_s:
            return None
        return f"the availability prober runs, but has sent no sample for {self._silent_s:.0f} s"

    def _keep_evidence(self, at: float, *, last: bool) -> None:
        """Keep the watch's evidence once in a while, for the report's picture, and always the ``last``, which found harm."""
        due = not self._evidence or at - self._evidence[-1][0] >= EVIDENCE_EVERY_S
        if self._candidate_watch and (due or last):
            self._evidence.append((at, self._candidate_watch.evidence))

    def series(self) -> dict[str, Any]:
        """Return the series for the report: the live domain second by second, its failed requests, and the watch of the candidate."""
        samples = self._prober.samples()
        found: dict[str, Any] = {"availability": figures.by_second(samples)} if samples else {}
        if _failed(samples):
            found["failed_requests"] = figures.failed(samples, FAILURES_LISTED)
        if self._evidence:
            begin = self._evidence[0][0]
            names = self._evidence[0][1]
            points = {
                name: [[round(at - begin, 2), round(one[name], 3)] for at, one in self._evidence] for name in names
            }
            found["bake"] = {"statistics": points}
        return found

    def _feed_live(self, sample: Sample) -> str | None:
        return self._live.feed(sample).reason if self._live else None

    def _feed_control(self) -> None:
        """Pass the control's samples to the watch, before the live domain's samples, which are compared with them."""
        for sample in self._prober.controls_from(self._read_control) if self._candidate_watch else ():
            self._read_control += 1
            if self._candidate_watch:
                self._candidate_watch.feed_control(sample)

    def both_failed(self, decided_at: float) -> str | None:
        """Return the figures of both colours if the previous colour failed as well, None if it did not, or cannot be asked.

        From the beginning of the evidence, or the first failed answer after the switch, to ``decided_at`` (epoch seconds) for
        the candidate, and to now for the previous colour, for whose requests this waits a moment: call it once traffic is safe.
        """
        if not self._has_control or self._sides is None:
            return None
        failure = figures.first_failure(self._prober.samples(self._switched_at, decided_at))
        since = (self._candidate_watch and self._candidate_watch.harm_since) or (failure.at if failure else decided_at)
        deadline = time.monotonic() + BESIDE_WAIT_S
        while len(self._prober.controls(since)) < BESIDE_REQUESTS and time.monotonic() < deadline and not self.problem:
            time.sleep(0.02)  # pause of a poll with a deadline
        candidate, previous = (side.colour for side in self._sides)
        own = [one for one in self._prober.samples(since, decided_at) if one.colour in (None, candidate)]
        others = self._prober.controls(since)
        before, control_before = self._before or (Baseline(), None)
        if not self._fails(others, control_before or before):
            return None
        last = next(one for one in reversed(others) if not one.ok)
        of_previous = f"{_failed(others)} of {len(others)} requests at its own address"
        what = f"the last of {previous}: {describe(last)}"
        if not self._fails(own, before):
            return f"the previous colour {previous} failed at the same time: {of_previous}; {what}"
        return (
            f"both colours failed: {candidate} {_failed(own)} of {len(own)} requests through the live domain, "
            f"{previous} {of_previous}; {what}"
        )

    def _fails(self, samples: Sequence[Sample], before: Baseline) -> bool:
        """Return whether more requests failed than the watch allows, or than ``before`` the switch, beyond chance."""
        allowed = max(self._limits.max_failure_ratio, before.failure_ratio, 1e-4)
        return at_least_by_chance(_failed(samples), len(samples), min(0.99, allowed)) < TOO_MANY

    @property
    def seen(self) -> tuple[int, int]:
        """Return the candidate's answers since its share last changed, and how many of them failed."""
        return (self._candidate_watch.requests, self._candidate_watch.failures) if self._candidate_watch else (0, 0)

    def watched(self, since: float) -> dict[str, Any]:
        """Return the watch's data for the journal: baselines, counts, last failures from ``since`` on (epoch seconds)."""
        before, control = self._before or (Baseline(), None)
        failures, others = self._prober.failures(since)[-FAILURES_KEPT:], self._prober.controls(since)
        return {
            "requests_before": before.requests,
            "failed_before": before.failures,
            "typical_ms_before": {" ".join(cell).strip(): round(ms, 1) for cell, ms in before.typical_ms.items()},
            "control_requests_before": control.requests if control else 0,
            "requests": self.seen[0],
            "failed": self.seen[1],
            "control_requests": len(others),
            "control_failed": _failed(others),
            "slow_as_the_machine": self._candidate_watch.excused if self._candidate_watch else 0,
            "last_failures": [f"{one.done:.3f} {describe(one)}, {one.kind} connection" for one in failures],
        }

    def bake(self, since: float, until: float) -> Bake:
        """Return the result of the watch between two times (epoch seconds)."""
        samples = self._prober.samples(since, until)
        seen = figures.traffic(samples, since=since, until=until)
        times = [sample.elapsed_ms for sample in samples if sample.status is not None]
        others = [sample.elapsed_ms for sample in self._prober.controls(since, until) if sample.ok]
        return Bake(
            until - since,
            seen.requests,
            seen.failed,
            median(times) if times else 0.0,
            seen.longest_gap_ms,
            median(others) if len(others) >= ENOUGH_CONTROLS else None,
        )

    def promotion(self, written_at: float, generation: int, until: float, version: str | None) -> dict[str, Any]:
        """Return the report's ``promotion``: from the prober's start to the first failed answer or to ``until`` (epoch seconds).

        ``version`` is the new release's.
        """
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
        """Return the report's ``rollback``: from the first failed answer, or the decision, to now.

        ``version`` is the old release's.
        """
        failure = figures.first_failure(self._prober.samples(None, decided_at))
        since = failure.done if failure else decided_at
        samples = self._prober.samples(since, None)
        switched = None if written is None else self._switch_s(*written, version)
        return {
            "reason": reason,
            "detected_s": round(decided_at - since, 3),
            "switch_s": switched,
            "requests": len(samples),
            "failed": _failed(samples),
        }

    def _switch_s(self, written_at: float, generation: int, version: str | None) -> float | None:
        samples = self._prober.samples()
        first = figures.first_answer_by(samples, since=written_at, generation=generation, version=version)
        return None if first is None else round(first.done - written_at, 3)


@contextmanager
def prober_needed() -> Iterator[None]:
    """Raise StepFailed if the prober cannot be configured or started in the block, because the run cannot go on without it."""
    try:
        yield
    except (ProberFailed, OSError, ValueError) as error:
        raise StepFailed(
            f"the availability prober cannot be used: {problem_of(error)}",
            hint="See prober.log in the report's folder, and prober_rate and prober_timeout in deployment.toml.",
        ) from error


def prober_config(settings: Settings, live_url: str, users: Sequence[SmokeUser], folder: Path) -> ProberConfig:
    """Return the prober's configuration: the service's journeys, the last smoke user if there is one, and its log in the run's folder."""
    limits = settings.limits
    return ProberConfig(
        live_url,
        users[-1] if users else None,
        service_of(settings),
        rate=limits.prober_rate,
        timeout_s=limits.prober_timeout,
        largest=AnswerLimits.of(limits.largest_answer, limits.request_deadline).largest,
        stderr_log=str(folder / "prober.log"),
        ledger=str(folder / LEDGER_FILE),
    )


def watch_limits(live: Mapping[str, Any]) -> WatchLimits:
    """Return the limits of the watch from the table of the live gate."""
    defaults = SlowLimits()
    slow = replace(
        defaults,
        factor=float(live.get("slowdown", defaults.factor)),
        max_ms=float(live.get("median_ms", defaults.max_ms)),
    )
    return WatchLimits(max_failure_ratio=float(live.get("failure_ratio", 0.01)), slow=slow)


def describe(sample: Sample) -> str:
    """Return a short description of a failed request."""
    by = f" by {sample.colour}" if sample.colour else ""
    return f"{sample.operation}{by}: {sample.problem or sample.status}"


def _failed(samples: Sequence[Sample]) -> int:
    return sum(not sample.ok for sample in samples)


class TrafficCanaryWatch:
    """A canary watch over the traffic of this run; see ``deployment.flow.canary.CanaryWatch``."""

    def __init__(self, traffic: TrafficMonitor, candidate: Side, previous: Side) -> None:
        self._traffic, self._candidate, self._previous = traffic, candidate, previous

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        """Start a new watch of the candidate's share."""
        share = shift.weight / 100
        self._traffic.watch_candidate(self._candidate, self._previous, generation=generation, since=since, share=share)

    def whole(self, generation: int, since: float) -> None:
        """Start watching the whole traffic, which the candidate has from ``since`` on; the switch is confirmed now."""
        self._traffic.watch_candidate(
            self._candidate, self._previous, generation=generation, since=since, confirmed_at=time.time()
        )

    def harm(self) -> str | None:
        """Return proof that the candidate harms its users, None if there is none."""
        return self._traffic.harm()

    @property
    def seen(self) -> tuple[int, int]:
        """Return the candidate's requests in this step, and how many of them failed."""
        return self._traffic.seen

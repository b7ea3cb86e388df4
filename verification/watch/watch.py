"""After a switch: decides whether the live domain's users are still served well, or traffic must go back. Pure; fed sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from verification.prober.samples import Sample
from verification.watch.baseline import Baseline
from verification.watch.sequential import Hypotheses, PageTest
from verification.watch.slowness import Control, SlowLimits, Slowness

GROSS = 0.5
"""A release that fails every other request is found after a few requests."""
GROSS_THRESHOLD = 11.5
SLIGHT_TIMES = 5
SLIGHT_THRESHOLD = 8.0
ALL = ""
MOST_ALLOWED = 0.09
"""Above this ratio the two hypotheses of slight failure would be too close to gross failure."""


@dataclass(frozen=True)
class WatchLimits:
    """The limits of harm; ``benchmarks/watch_false_alarms.py`` measures how seldom a good release is taken for harmful.

    Failures: sequential tests of ``max_failure_ratio`` (or the ratio before the switch, if that was higher; at most
    ``MOST_ALLOWED``). One is against half of all requests, over all requests. The others are against five times the ratio,
    over all requests, for each operation and for each connection kind.

    Identity: ``wrong_identities`` answers of ``generation`` (None: of any) by another version or colour than the
    expected one (None: not compared); if answers name neither colour nor generation, only those on fresh connections
    count.

    Slowness: see ``SlowLimits``.
    """

    version: str | None = None
    colour: str | None = None
    generation: int | None = None
    max_failure_ratio: float = 0.01
    wrong_identities: int = 2
    slow: SlowLimits = field(default_factory=SlowLimits)


@dataclass(frozen=True)
class Health:
    """The result of the watch. ``reason`` is None exactly if not ``harmed``.

    ``at``: when the deciding sample was done; ``since``: when the first request of the evidence was sent (both epoch
    s).
    """

    harmed: bool
    reason: str | None = None
    at: float | None = None
    since: float | None = None


HEALTHY = Health(harmed=False)
NOTHING_BEFORE = Baseline()


class Watch:
    """Takes each sample since the switch, in the order of arrival. Harm, once found, stays harm.

    ``before`` is the baseline of the time before the switch; without it nothing is compared with that time. The caller
    feeds ``control`` with the previous colour's answers of the same time; without it slowness counts as the release's
    own.
    """

    def __init__(self, limits: WatchLimits, before: Baseline = NOTHING_BEFORE, control: Control | None = None) -> None:
        self._limits = limits
        self._health = HEALTHY
        self._requests = 0
        self._failures = 0
        self._wrong = 0
        self._allowed = min(MOST_ALLOWED, max(limits.max_failure_ratio, before.failure_ratio, 1e-4))
        self._gross = PageTest(Hypotheses(self._allowed, GROSS, GROSS_THRESHOLD))
        self._slightly = Hypotheses(self._allowed, min(0.45, SLIGHT_TIMES * self._allowed), SLIGHT_THRESHOLD)
        self._slight: dict[str, PageTest] = {}  # of all requests, of each operation, of each connection kind
        self._slowness = Slowness(before, limits.slow, control)

    @property
    def health(self) -> Health:
        """Return the result as of the last sample."""
        return self._health

    @property
    def requests(self) -> int:
        """Return the number of samples. Without samples, the watch has not shown that all is well."""
        return self._requests

    @property
    def failures(self) -> int:
        """Return how many of the samples had failed."""
        return self._failures

    @property
    def excused(self) -> int:
        """Return how often slow answers were excused because the previous colour's were slow, too: the machine is slow, not the release."""
        return self._slowness.excused

    @property
    def evidence(self) -> dict[str, float]:
        """Return how near each test is to its limit, as a share of it: at 1 the watch finds harm."""
        failing = max((test.share for test in (self._gross, *self._slight.values())), default=0.0)
        return {"failed requests": failing, "slow answers": self._slowness.share}

    def feed(self, sample: Sample) -> Health:
        """Take in one sample and return the health."""
        self._requests += 1
        self._failures += not sample.ok
        reason, since = self._identity(sample), sample.at
        if reason is None:
            reason, since = self._failing(sample) or (None, since)
        if reason is None:
            reason, since = self._slowness.feed(sample), self._slowness.began or since
        if reason is not None and not self._health.harmed:
            self._health = Health(harmed=True, reason=reason, at=sample.done, since=since)
        return self._health

    def _identity(self, sample: Sample) -> str | None:
        limits = self._limits
        stale = None not in (limits.generation, sample.generation) and sample.generation != limits.generation
        # If no header names the colour, DNS may have decided, which does not move a client that holds a connection.
        pinned = sample.kind == "kept" and sample.colour is None and sample.generation is None
        if sample.status is None or stale or pinned:
            return None
        wrong = [
            f"{what} {got}, expected {expected}"
            for what, got, expected in (
                ("version", sample.version, limits.version),
                ("colour", sample.colour, limits.colour),
            )
            if got is not None and expected is not None and got != expected
        ]
        self._wrong += bool(wrong)
        if not wrong or self._wrong < limits.wrong_identities:
            return None
        return f"{self._wrong} answers by {' and '.join(wrong)}"

    def _failing(self, sample: Sample) -> tuple[str, float] | None:
        """Return the harm and when its evidence began. Each test gets each request, even after another test has decided."""
        failed, found = not sample.ok, None
        for group in (ALL, sample.operation, sample.kind):
            test = self._slight.get(group) or self._slight.setdefault(group, PageTest(self._slightly))
            if test.feed(failed, sample.at):
                found = found or (group, test)
        if self._gross.feed(failed, sample.at):
            found = (ALL, self._gross)
        if found is None:
            return None
        (group, test), kinds = found, ("kept", "fresh")
        which = "" if group == ALL else f" on {group} connections" if group in kinds else f" for {group}"
        reason = (
            f"{test.failures} of the last {test.since} requests{which} failed, limit {100 * self._allowed:g} %; "
            f"the last: {sample.operation} on a {sample.kind} connection, {sample.problem}"
        )
        return reason, sample.at if test.began is None else test.began

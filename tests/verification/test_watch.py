"""The watch over the prober's samples: harm by failures, wrong identity and slowness."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from verification.prober.figures import (
    Traffic,
    by_second,
    failed,
    first_answer_by,
    first_failure,
    last_answer_by,
    traffic,
)
from verification.prober.samples import ConnectionKind, Sample
from verification.watch.baseline import Baseline, baseline
from verification.watch.candidate_watch import CandidateWatch, Side
from verification.watch.sequential import Hypotheses, PageTest, at_least_by_chance, by_chance
from verification.watch.slowness import Control, SlowLimits
from verification.watch.watch import HEALTHY, Health, Watch, WatchLimits

BLUE, GREEN = Side("blue", "1.0.0"), Side("green", "1.1.0")
OPERATIONS = (
    "health",
    "listConsults",
    "createConsult",
    "health",
    "readConsult",
    "listConsults",
    "health",
    "cancelConsult",
)


def sample(n: int, *, ok: bool = True, ms: float = 5.0, colour: str = "green", version: str | None = "1.1.0") -> Sample:
    at = 1000 + n / 40
    problem = None if ok else "status 500, expected 200"
    return Sample(at, at + ms / 1000, ok, "kept", "health", 200 if ok else 500, colour, 8, version, problem)


def health_after(*samples: Sample, limits: WatchLimits | None = None) -> Health:
    watch = Watch(limits or WatchLimits(version="1.1.0", colour="green", generation=8))
    for one in samples:
        watch.feed(one)
    assert watch.requests == len(samples)
    return watch.health


def pattern(text: str) -> list[Sample]:
    return [sample(n, ok=letter == ".") for n, letter in enumerate(text)]


def before(ms: float = 5.0, count: int = 200, colour: str = "blue") -> Baseline:
    return baseline(sample(n, ms=ms, colour=colour) for n in range(count))


def test_no_samples_or_only_good_samples_are_healthy() -> None:
    assert health_after() == HEALTHY
    assert health_after(*pattern("." * 400)) == HEALTHY


@pytest.mark.parametrize(
    "text", ["x" + "." * 300, "xx" + "." * 300, "." * 300 + "xx" + "." * 300, "." * 100 + "x" + "." * 400 + "x"]
)
def test_single_failures_are_no_harm(text: str) -> None:
    assert health_after(*pattern(text)) == HEALTHY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("xxx", "3 of the last 3 requests failed, limit 1 %"),
        ("." * 300 + "xxx", "3 of the last 3 requests failed"),
        ("." * 300 + "x.x.x.x", "4 of the last 7 requests failed"),
        ((("." * 19 + "x") * 12), "requests failed"),
    ],
)
def test_harm_by_failures_is_permanent(text: str, reason: str) -> None:
    health = health_after(*pattern(text), *pattern("." * 500))
    assert health.harmed
    assert reason in str(health.reason)
    assert "status 500" in str(health.reason)


def test_single_failing_operation_is_named() -> None:
    """It gets one in eight requests, and a quarter of them fail: 3 % of all requests."""
    samples = [replace(sample(n), operation=OPERATIONS[n % 8]) for n in range(400)]
    failing = [
        replace(one, ok=False, problem="status 500") if one.operation == "createConsult" and n % 32 == 2 else one
        for n, one in enumerate(samples)
    ]
    assert "requests for createConsult failed" in str(health_after(*failing).reason)


def test_failure_rate_before_the_switch_is_allowed_after_it() -> None:
    def sick(count: int) -> Iterable[Sample]:
        return (sample(n, ok=n % 20 != 0) for n in range(count))

    watch = Watch(WatchLimits(), baseline(sick(400)))
    assert not [one for one in sick(400) if watch.feed(one).harmed]
    assert health_after(*sick(400)).harmed


def test_the_second_wrong_identity_is_harm() -> None:
    wrong = sample(0, version="1.0.0")
    assert health_after(wrong) == HEALTHY
    health = health_after(wrong, sample(1), replace(wrong, at=1001, done=1001.5))
    assert (health.reason, health.at) == ("2 answers by version 1.0.0, expected 1.1.0", 1001.5)
    assert "colour blue, expected green" in str(health_after(*[sample(n, colour="blue") for n in range(2)]).reason)


def test_late_answers_of_the_old_generation_are_no_harm() -> None:
    late = [replace(sample(n, colour="blue", version="1.0.0"), generation=7) for n in range(50)]
    assert health_after(*late) == HEALTHY


def test_kept_connections_may_reach_the_previous_release() -> None:
    """The previous release may still answer on connections from before the switch, but not on a fresh one."""
    pinned = [replace(sample(n, version="1.0.0"), colour=None, generation=None) for n in range(50)]
    assert health_after(*pinned) == HEALTHY
    fresh = [replace(one, kind="fresh") for one in pinned[:2]]
    assert "version 1.0.0, expected 1.1.0" in str(health_after(*fresh).reason)
    named = [replace(one, generation=8) for one in pinned[:2]]
    assert health_after(*named).harmed, "a front door that sends its generation routes each request separately"


def slow_after(ms: float, control_ms: float | None, *, count: int = 300) -> Health:
    """Return the health of a release that takes ``ms`` instead of 5 ms.

    ``control_ms``: the latency of the previous colour at the same time; None: unknown.
    """
    limits = WatchLimits()
    control = None if control_ms is None else Control(limits.slow)
    watch = Watch(limits, before(), control)
    for n in range(count):
        if control and control_ms and n % 5 == 0:
            control.feed(replace(sample(n, ms=control_ms), control=True), before())
        watch.feed(sample(n, ms=ms))
    return watch.health


def test_lasting_slowness_is_harm() -> None:
    assert slow_after(25, 5, count=248) == HEALTHY
    health = slow_after(25, 5, count=249)
    assert "200 of the last 200 answers took longer than 3 times what they took before the switch" in str(health.reason)
    assert "health on a kept connection, 25 ms, before 5 ms" in str(health.reason)
    assert "of the previous colour at the same time: 0 of" in str(health.reason)


def test_a_slow_machine_is_not_a_slow_release() -> None:
    """No harm if the previous colour is equally slow, by both limits; a release that is slower than it is still harm."""
    assert slow_after(25, 25) == HEALTHY
    assert slow_after(1500, 1500) == HEALTHY
    assert slow_after(1500, 25).harmed


def test_slowness_without_a_control() -> None:
    assert slow_after(25, None).harmed
    assert "200 of the last 200 answers took longer than 1000 ms" in str(
        health_after(*[sample(n, ms=1500) for n in range(300)]).reason
    )
    assert slow_after(12, None) == HEALTHY
    assert health_after(*[sample(n, ms=25) for n in range(300)]) == HEALTHY, "nothing to compare with"


def test_short_slowness_is_no_harm() -> None:
    watch = Watch(WatchLimits(), before())
    assert not any(watch.feed(sample(n, ms=50 if 100 < n < 180 else 5)).harmed for n in range(400))


def candidate_watch(*, share: bool = False, control: bool = True) -> CandidateWatch:
    return CandidateWatch(WatchLimits(), GREEN, BLUE, 8, before(), before() if control else None, share=share)


def blue(n: int, *, generation: int = 8, ok: bool = True) -> Sample:
    return replace(sample(n, colour="blue", version="1.0.0", ok=ok), generation=generation)


def test_late_answers_are_ignored_and_answers_of_the_wrong_colour_are_harm() -> None:
    """The candidate gets all traffic: late answers of the old generation do not count, answers of the other colour do."""
    watch = candidate_watch()
    assert not any(watch.feed(blue(n, generation=7, ok=False)) for n in range(50))
    assert watch.requests == 0
    assert [watch.feed(blue(n)) for n in range(2)][1] == (
        "2 answers by version 1.0.0, expected 1.1.0 and colour blue, expected green"
    )


def test_without_a_generation_the_previous_version_is_harm_after_the_confirmation() -> None:
    """As behind a load balancer or DNS, where a kept connection may lead to the previous colour until it closes."""
    watch = CandidateWatch(WatchLimits(), GREEN, BLUE, 8, before(), None, confirmed_at=1001.0)

    def nameless(n: int, kind: ConnectionKind) -> Sample:
        return replace(blue(n), colour=None, generation=None, kind=kind)

    assert not any(watch.feed(nameless(n, "fresh")) for n in range(40))
    assert not any(watch.feed(nameless(n, "kept")) for n in range(41, 80))
    assert [watch.feed(nameless(n, "fresh")) for n in (81, 82)][1] == "2 answers by version 1.0.0, expected 1.1.0"


def test_with_a_share_only_answers_of_the_candidate_count() -> None:
    watch = candidate_watch(share=True)
    for n in range(0, 400, 2):
        assert watch.feed(blue(n, ok=n % 40 != 0)) is None
        assert watch.feed(sample(n + 1)) is None
    assert (watch.requests, watch.failures) == (200, 0)
    assert [watch.feed(sample(n, ok=False)) for n in range(400, 403)][-1]


def test_with_a_share_and_no_colours_the_version_decides() -> None:
    """Failures without colour and version are counted separately."""
    watch = candidate_watch(share=True)
    for n in range(100):
        watch.feed(replace(sample(n), colour=None))
        watch.feed(replace(blue(n), colour=None))
    assert (watch.requests, watch.harm) == (100, None)
    nameless = [replace(sample(n, ok=n % 10 != 0), colour=None, version=None) for n in range(200)]
    assert any(watch.feed(one) for one in nameless)


@pytest.mark.parametrize("share", [False, True])
def test_without_enough_good_answers_of_the_previous_colour_slowness_is_harm(share: bool) -> None:
    """With a share of the traffic, too: errors, requests without an answer, and fewer than five good answers excuse nothing."""
    slow = [sample(n, ms=25) for n in range(300)]
    for good_from, harmed in ((300, True), (296, True), (0, False)):
        watch, found = candidate_watch(share=share), []
        for n, one in enumerate(slow):
            good = n >= good_from
            other = replace(sample(n, ms=25 if good else 1, ok=good, colour="blue"), control=True)
            watch.feed_control(other if n % 2 or good else replace(other, status=None, done=other.at + 2))
            found.append(watch.feed(one))
        assert any(found) is harmed


def beside_few(ms: float, slow_share: float, good_every: int, good_ms: float, *, share: bool = False) -> CandidateWatch:
    """Return a watch of a release of which ``slow_share`` takes ``ms``; one of ``good_every`` controls is good."""
    watch, draw = candidate_watch(share=share), random.Random(1)
    for n in range(1200):
        if n % 5 == 0:
            good = n // 5 % good_every == 0
            watch.feed_control(replace(sample(n, ms=good_ms if good else 1, ok=good, colour="blue"), control=True))
        watch.feed(sample(n, ms=ms if draw.random() < slow_share else 6))
    return watch


@pytest.mark.parametrize(("ms", "slow_share"), [(50, 0.70), (50, 0.75), (50, 0.80), (1500, 0.60), (1500, 0.65)])
@pytest.mark.parametrize("good_every", [6, 7, 8, 50, 1])
def test_few_fast_answers_of_the_previous_colour_excuse_nothing(ms: float, slow_share: float, good_every: int) -> None:
    """A previous colour that fails most requests excuses no more than a dead one."""
    assert beside_few(ms, slow_share, good_every, 5).harm


def test_reason_says_that_the_previous_colour_gave_too_few_answers() -> None:
    harm = beside_few(50, 0.7, 8, 5).harm
    assert str(harm).endswith("; of the previous colour at the same time: 0 of 5, too few to excuse the release")


@pytest.mark.parametrize(("ms", "slow_share"), [(50, 0.75), (1500, 0.60)])
@pytest.mark.parametrize("good_every", [8, 1])
def test_few_slow_answers_of_the_previous_colour_excuse(ms: float, slow_share: float, good_every: int) -> None:
    watch = beside_few(ms, slow_share, good_every, ms)
    assert watch.harm is None
    assert watch.excused


def test_with_a_share_slowness_is_compared_with_the_previous_colour() -> None:
    small = SlowLimits(window=40)
    watch = CandidateWatch(WatchLimits(slow=small), GREEN, BLUE, 8, before(), None, share=True)
    both_slow = [one for n in range(300) for one in (sample(n, ms=25), replace(blue(n), done=1000 + n / 40 + 0.025))]
    assert not any(watch.feed(one) for one in both_slow)
    one_slow = [one for n in range(300, 500) for one in (sample(n, ms=25), blue(n))]
    assert any(watch.feed(one) for one in one_slow)


def test_rates_of_false_and_missed_alarms() -> None:
    """At most one of 300 good releases is rolled back, and every bad one. More: ``benchmarks/watch_false_alarms.py``."""
    draw = random.Random(20)
    alarms = missed = 0
    for _ in range(300):
        good = [sample(n, ok=draw.random() >= 0.001, ms=draw.lognormvariate(3, 1)) for n in range(400)]
        alarms += health_after(*good).harmed
    for _ in range(200):
        missed += not health_after(*[sample(n, ok=draw.random() >= 0.3) for n in range(80)]).harmed
    assert alarms <= 1
    assert missed == 0


def test_false_alarm_rate_of_page_test() -> None:
    """At the allowed failure ratio there is on average at most one false alarm in exp(threshold) requests."""
    draw, alarms, requests = random.Random(3), 0, 200_000
    hypotheses = Hypotheses(0.05, 0.25, math.log(2000))
    test = PageTest(hypotheses)
    for _ in range(requests):
        if test.feed(draw.random() < 0.05):
            alarms += 1
            test = PageTest(hypotheses)
    assert 0 < alarms <= requests / 2000
    with pytest.raises(ValueError, match="cannot be distinguished"):
        Hypotheses(0.5, 0.5, 1)


def test_fisher_s_exact_test() -> None:
    """The value of fisher.test(matrix(c(3, 1, 1, 3), 2), alternative="greater") in R, and an extreme table."""
    assert by_chance(3, 4, 1, 4) == pytest.approx(0.2428571)
    assert by_chance(10, 10, 0, 10) == pytest.approx(1 / 184756)
    assert by_chance(0, 10, 5, 5) == pytest.approx(1)
    assert by_chance(5, 10, 0, 0) == 1.0
    with pytest.raises(ValueError, match="no sense"):
        by_chance(5, 4, 0, 0)


def test_binomial_tail() -> None:
    """The values of pbinom(f - 1, n, p, lower.tail = FALSE) in R."""
    assert at_least_by_chance(0, 0, 0.01) == 1.0
    assert at_least_by_chance(1, 1, 0.01) == pytest.approx(0.01)
    assert at_least_by_chance(1, 2, 0.01) == pytest.approx(0.0199)
    assert at_least_by_chance(2, 10, 0.01) == pytest.approx(0.004266200)
    assert at_least_by_chance(5, 300, 0.01) == pytest.approx(0.1839, abs=1e-4)
    with pytest.raises(ValueError, match="no sense"):
        at_least_by_chance(2, 1, 0.01)


def test_evidence_of_harm_begins_with_its_first_request() -> None:
    samples = pattern("." * 50 + "x" + "." * 300 + "xxx")
    assert health_after(*samples).since == samples[-3].at
    watch = Watch(WatchLimits(), before())
    slow = [sample(n, ms=25) for n in range(300)]
    assert any(watch.feed(one).harmed for one in slow)
    assert watch.health.since == slow[49].at


def test_baseline_by_operation_and_connection_kind() -> None:
    quick = [replace(sample(n, ms=2), kind="fresh") for n in range(20)]
    few = [replace(sample(n, ms=90), operation="login") for n in range(3)]
    found = baseline([*quick, *(sample(n, ms=8) for n in range(20)), *few, sample(9, ok=False)])
    assert (found.requests, found.failures) == (44, 1)
    assert found.typical(quick[0]) == pytest.approx(2)
    assert found.typical(sample(0)) == pytest.approx(8)
    assert found.typical(few[0]) == pytest.approx(2), "too few samples for a value of their own"
    assert Baseline().typical(sample(0)) is None


def test_traffic_counts_and_longest_gap() -> None:
    samples = [sample(n) for n in range(40)] + [sample(n, ok=False) for n in range(80, 90)]
    found = traffic(samples)
    assert (found.requests, found.failed) == (50, 10)
    assert found.longest_gap_ms == pytest.approx(1025)
    silent = traffic(samples, since=1001.5, until=1001.6)
    assert (silent.requests, silent.failed) == (0, 0)
    assert silent.longest_gap_ms == pytest.approx(100)
    assert traffic([]) == Traffic(0, 0, 0)


def test_unanswered_request_does_not_end_a_gap() -> None:
    lost = replace(sample(20, ok=False), status=None)
    assert traffic([sample(0), lost, sample(40)]).longest_gap_ms == pytest.approx(1000)


def test_first_and_last_answers() -> None:
    samples = [*(sample(n, colour="blue") for n in range(10)), *(sample(n, ok=n != 15) for n in range(10, 20))]
    assert first_failure(samples) == samples[15]
    assert first_failure(samples, since=1000.45) is None
    assert first_answer_by(samples, since=1000, colour="green") == samples[10]
    assert first_answer_by(samples, since=1000, generation=9) is None
    assert last_answer_by(samples, colour="blue") == samples[9]
    with pytest.raises(ValueError, match="colour or generation"):
        first_answer_by(samples, since=0)


def test_without_a_colour_the_version_identifies_the_release() -> None:
    """A load balancer adds no headers; the first answer of the new release and an unexpected release are still found."""
    bare = [replace(sample(n, version="1.0.0" if n < 3 else "1.1.0"), colour=None, generation=None) for n in range(6)]
    assert first_answer_by(bare, since=1000, generation=8, version="1.1.0") == bare[3]
    assert first_answer_by(bare, since=1000, generation=8) is None
    unexpected = [replace(one, version="6.6.6", kind="fresh") for one in bare[:2]]
    reason = health_after(*unexpected).reason
    assert reason is not None
    assert "version 6.6.6, expected 1.1.0" in reason


def test_sample_is_read_back_from_its_line() -> None:
    assert Sample.from_line(sample(3).to_line()) == sample(3)
    with pytest.raises(ValueError, match="not a sample"):
        Sample.from_line('{"at": 1}')


def test_traffic_by_second() -> None:
    """Answers are counted in the second in which they ended, under the release that the colour's health check named."""
    samples = [
        sample(0, colour="blue", version="1.0.0"),
        sample(1, colour="blue", version=None),
        sample(2, colour="blue", ok=False),
        sample(81, version=None),
        sample(82),
    ]
    found = by_second(samples)
    assert found["start"] == 1000
    assert found["seconds"] == [
        [0, 2, 1, {"blue 1.0.0": 2}],
        [1, 0, 0, {}],
        [2, 2, 0, {"green 1.1.0": 2}],
    ]
    assert found["longest_gap_ms"] == pytest.approx(79 / 40 * 1000)
    with pytest.raises(ValueError, match="no samples"):
        by_second([])


def test_failed_requests_are_listed_oldest_first() -> None:
    samples = [sample(5, ok=False), sample(1), sample(0, ok=False, colour="green"), sample(9, ok=False)]
    found = failed(samples, most=2)
    assert found["count"] == 3
    assert [one["at"] for one in found["first"]] == [round(one.done, 3) for one in (samples[2], samples[0])]
    assert found["first"][0]["colour"] == "green"
    assert failed([sample(1)], most=2) == {"count": 0, "first": []}


def test_evidence_reaches_1_when_the_watch_finds_harm() -> None:
    watch = Watch(WatchLimits(version="1.1.0", colour="green", generation=8))
    for number in range(40):
        watch.feed(sample(number))
    assert max(watch.evidence.values()) < 0.1
    number = 40
    while not watch.feed(sample(number, ok=False)).harmed:
        assert 0 < watch.evidence["failed requests"] < 1
        number += 1
    assert watch.evidence["failed requests"] >= 1

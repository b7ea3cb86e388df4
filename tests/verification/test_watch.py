from __future__ import annotations

import random
from dataclasses import replace

import pytest

from verification.figures import Traffic, first_answer_by, first_failure, last_answer_by, traffic
from verification.samples import Sample
from verification.watch import HEALTHY, Health, Watch, WatchLimits


def sample(n: int, *, ok: bool = True, ms: float = 5.0, colour: str = "green", version: str | None = "1.1.0") -> Sample:
    at = 1000 + n / 40
    problem = None if ok else "status 500, expected 200"
    return Sample(at, at + ms / 1000, ok, "kept", "health", 200 if ok else 500, colour, 8, version, problem)


def fed(*samples: Sample, limits: WatchLimits | None = None) -> Health:
    watch = Watch(limits or WatchLimits(version="1.1.0", colour="green", generation=8))
    for one in samples:
        watch.feed(one)
    assert watch.requests == len(samples)
    return watch.health


def pattern(text: str) -> list[Sample]:
    return [sample(n, ok=letter == ".") for n, letter in enumerate(text)]


def test_nothing_seen_and_all_well() -> None:
    assert fed() == HEALTHY
    assert fed(*pattern("." * 400)) == HEALTHY


@pytest.mark.parametrize(
    "text", ["x" + "." * 300, "xx" + "." * 300, "." * 300 + "xx" + "." * 300, "." * 100 + "x" + "." * 400 + "x"]
)
def test_a_hiccup_is_no_harm(text: str) -> None:
    assert fed(*pattern(text)) == HEALTHY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("xxx", "3 failures in a row"),
        ("." * 300 + "xxx", "3 failures in a row"),
        ("." * 300 + "x.x.x.x", "4 failures in the last 20"),
        ((("." * 30 + "x") * 12), "requests failed: at least"),
    ],
)
def test_failures_are_harm_and_stay_it(text: str, reason: str) -> None:
    health = fed(*pattern(text), *pattern("." * 500))
    assert health.harmed
    assert reason in str(health.reason)
    assert "status 500" in str(health.reason)


def test_the_second_wrong_identity_is_harm() -> None:
    wrong = sample(0, version="1.0.0")
    assert fed(wrong) == HEALTHY
    health = fed(wrong, sample(1), replace(wrong, at=1001, done=1001.5))
    assert (health.reason, health.at) == ("2 answers by version 1.0.0, expected 1.1.0", 1001.5)
    assert "colour blue, expected green" in str(fed(*[sample(n, colour="blue") for n in range(2)]).reason)


def test_late_answers_of_the_old_generation_are_not_wrong() -> None:
    late = [replace(sample(n, colour="blue", version="1.0.0"), generation=7) for n in range(50)]
    assert fed(*late) == HEALTHY


def test_slowness_is_harm_once_it_is_the_rule() -> None:
    assert fed(*[sample(n, ms=1500) for n in range(39)]) == HEALTHY
    health = fed(*[sample(n, ms=1500) for n in range(40)])
    assert health.reason == "median of the last 40 requests 1500 ms, limit 1000 ms"


def test_of_two_thousand_good_releases_hardly_one_is_rolled_back_and_every_bad_one_is() -> None:
    draw = random.Random(20)
    alarms = missed = 0
    for _ in range(2000):
        good = [sample(n, ok=draw.random() >= 0.001, ms=draw.lognormvariate(3, 1)) for n in range(400)]
        alarms += fed(*good).harmed
    for _ in range(200):
        missed += not fed(*[sample(n, ok=draw.random() >= 0.3) for n in range(80)]).harmed
    assert alarms <= 4
    assert missed == 0


def test_traffic_counts_and_the_longest_gap() -> None:
    samples = [sample(n) for n in range(40)] + [sample(n, ok=False) for n in range(80, 90)]
    found = traffic(samples)
    assert (found.requests, found.failed) == (50, 10)
    assert found.longest_gap_ms == pytest.approx(1025)
    silent = traffic(samples, since=1001.5, until=1001.6)
    assert (silent.requests, silent.failed) == (0, 0)
    assert silent.longest_gap_ms == pytest.approx(100)
    assert traffic([]) == Traffic(0, 0, 0)


def test_an_unanswered_request_ends_no_gap() -> None:
    lost = replace(sample(20, ok=False), status=None)
    assert traffic([sample(0), lost, sample(40)]).longest_gap_ms == pytest.approx(1000)


def test_first_and_last() -> None:
    samples = [*(sample(n, colour="blue") for n in range(10)), *(sample(n, ok=n != 15) for n in range(10, 20))]
    assert first_failure(samples) == samples[15]
    assert first_failure(samples, since=1000.45) is None
    assert first_answer_by(samples, since=1000, colour="green") == samples[10]
    assert first_answer_by(samples, since=1000, generation=9) is None
    assert last_answer_by(samples, colour="blue") == samples[9]
    with pytest.raises(ValueError, match="which"):
        first_answer_by(samples, since=0)


def test_a_sample_survives_its_line() -> None:
    assert Sample.from_line(sample(3).to_line()) == sample(3)
    with pytest.raises(ValueError, match="not a sample"):
        Sample.from_line('{"at": 1}')

"""The watch over the live domain as a deployment uses it: the prober's samples in, a decision out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from plugins.described.fixtures import Player
from plugins.described.measured import bake
from plugins.state import Bake
from plugins.traffic import TrafficMonitor, watch_limits
from tests.plugins.project import ROOT
from verification.declarative.service import load_service
from verification.journeys.accounts import SmokeUser
from verification.prober import figures
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober
from verification.prober.samples import Sample
from verification.watch.candidate_watch import Side

GREEN, BLUE = Side("green", "1.1.0"), Side("blue", "1.0.0")
SWITCHED = 2000.0
RATE, CONTROL_RATE = 40, 8
NORMAL_MS, SLOW_MS = 5.0, 50.0
TIMEOUT_MS = 2000.0
CONFIG = ProberConfig(
    "http://api.telehealth.localhost:1",
    SmokeUser("one@smoke.example", "canary-password-1"),
    load_service(ROOT / "suites" / "service.yaml", "suites/service.yaml"),
    rate=RATE,
    control_url="http://127.0.0.1:2",
    control_rate=CONTROL_RATE,
)


class FakeProber:
    """A prober whose samples the test writes."""

    problem = None

    def __init__(self) -> None:
        self.live: list[Sample] = []
        self.control: list[Sample] = []

    def samples(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        return figures.within(self.live, since=since, until=until)

    def controls(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        return figures.within(self.control, since=since, until=until)

    def failures(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        return [sample for sample in self.samples(since, until) if not sample.ok]

    def samples_from(self, index: int) -> list[Sample]:
        return self.live[index:]

    def controls_from(self, index: int) -> list[Sample]:
        return self.control[index:]


Ask = Callable[[float], Sample | None]
"""Returns the previous colour's sample of a request at that time (epoch s); None: there is none."""


def answered(at: float, ms: float = NORMAL_MS, status: int = 200) -> Sample:
    """Return a sample of the control."""
    problem = None if status == 200 else f"status {status}, expected 200"
    return Sample(
        at, at + ms / 1000, status == 200, "kept", "health", status, None, None, "1.0.0", problem, control=True
    )


def hangs(at: float) -> Sample:
    lost = replace(
        answered(at, TIMEOUT_MS), ok=False, version=None, problem="WireTimeout: no complete answer within 2 s"
    )
    return replace(lost, status=None)


def refuses(at: float) -> Sample:
    lost = replace(answered(at, 0.1), ok=False, version=None, problem="ConnectionRefusedError: [Errno 111]")
    return replace(lost, status=None)


KINDS: dict[str, Ask] = {
    "503": lambda at: answered(at, 1.0, 503),
    "hangs": hangs,
    "refuses": refuses,
    "silent": lambda _: None,
    "nine in ten hang": lambda at: hangs(at) if round(at * CONTROL_RATE) % 10 else answered(at),
}


def of_candidate(at: float, ms: float, *, ok: bool = True) -> Sample:
    problem = None if ok else "status 503, expected 200"
    return Sample(at, at + ms / 1000, ok, "kept", "health", 200 if ok else 503, "green", 8, "1.1.0", problem)


class World:
    """Both colours' answers by the second, and the monitor that watches them."""

    def __init__(self, prober: FakeProber) -> None:
        self.prober = prober
        self.now = 0.0  # of the clock, in seconds
        self.monitor = TrafficMonitor(CONFIG, watch_limits({}), lambda: self.now)
        self.asked = 0
        self._control: list[Sample] = []

    def before(self, ms: Callable[[], float] = lambda: NORMAL_MS) -> None:
        """Let both colours answer for ten seconds, then switch."""
        for n in range(10 * RATE):
            at = SWITCHED - 10 + n / RATE
            self.prober.live.append(replace(of_candidate(at, ms()), colour="blue", generation=7, version="1.0.0"))
            if n % (RATE // CONTROL_RATE) == 0:
                self.prober.control.append(answered(at, ms()))
        self.monitor.watch_candidate(GREEN, BLUE, generation=8, since=SWITCHED)

    def ask(self, answers: int, candidate: Callable[[float], Sample], control: Ask) -> str | None:
        """Return the harm that ``answers`` further answers of the candidate prove, and stop at it."""
        for _ in range(answers):
            at = SWITCHED + 0.01 + self.asked / RATE
            if self.asked % (RATE // CONTROL_RATE) == 0 and (found := control(at)) is not None:
                self._control.append(found)
            self.asked += 1
            self.prober.live.append(candidate(at))
            done = [one for one in self._control if one.done <= at]
            self.prober.control.extend(done)
            self._control = [one for one in self._control if one.done > at]
            if harm := self.monitor.harm():
                return harm
        return None

    def look(self, every_s: float, seconds: float) -> str | None:
        """Look for harm for some time without a new sample; return the first."""
        ends = self.now + seconds
        while self.now < ends:
            self.now += every_s
            if harm := self.monitor.harm():
                return harm
        return None


MakeWorld = Callable[[], World]


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> MakeWorld:
    """Return a function that makes a world with a prober of its own."""

    def make() -> World:
        prober = FakeProber()
        monkeypatch.setattr(Prober, "start", lambda _config: prober)
        return World(prober)

    return make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


def slow(at: float) -> Sample:
    return of_candidate(at, SLOW_MS)


def normal(at: float) -> Sample:
    return of_candidate(at, NORMAL_MS)


@pytest.mark.parametrize("kind", KINDS)
def test_without_answers_of_the_previous_colour_the_candidates_own_limits_decide(world: World, kind: str) -> None:
    world.before()
    harm = world.ask(4000, slow, KINDS[kind])
    assert harm is not None, "4,000 answers at 10 times the normal time are harm"
    assert "200 of the last 200 answers took longer than 3 times what they took before the switch" in harm
    assert "the previous colour gave only" in harm
    assert world.asked < 500


@pytest.mark.parametrize("kind", KINDS)
def test_previous_colour_that_stops_answering_in_the_middle_excuses_nothing(world: World, kind: str) -> None:
    world.before()
    assert world.ask(400, normal, answered) is None
    assert world.ask(40, slow, answered) is None
    assert world.ask(4000, slow, KINDS[kind]) is not None
    assert world.asked < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_slow_machine_is_excused_only_while_the_previous_colour_shows_it(world: World, kind: str) -> None:
    world.before()
    assert world.ask(2000, slow, lambda at: answered(at, SLOW_MS)) is None
    assert world.ask(4000, slow, KINDS[kind]) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_answers_beyond_the_absolute_limit_without_a_control(world: World, kind: str) -> None:
    """The release takes 1.5 s, which is also what the limit of the median forbids."""
    world.before(lambda: 600.0)
    harm = world.ask(4000, lambda at: of_candidate(at, 1500), KINDS[kind])
    assert harm is not None
    assert "200 of the last 200 answers took longer than 1000 ms, the limit is half of them" in harm
    assert "the previous colour gave only" in harm


def test_healthy_control_decides_as_before(world: World) -> None:
    world.before()
    harm = world.ask(4000, slow, answered)
    assert harm is not None
    assert world.asked == 249
    assert harm.endswith("of the previous colour at the same time: 0 of 40")


@pytest.mark.parametrize("kind", KINDS)
def test_noisy_good_releases_do_not_trip_without_a_control(make_world: MakeWorld, kind: str) -> None:
    """Twenty histories in all, each with long tails and without answers of the previous colour after the switch."""
    for seed in range(4):
        draw = random.Random(f"{kind} {seed}")
        noise = partial(draw.lognormvariate, 3, 1)
        world = make_world()
        world.before(noise)
        harm = world.ask(600, partial(noisy, noise), KINDS[kind])
        assert harm is None, (kind, seed)


def noisy(noise: Callable[[], float], at: float) -> Sample:
    return of_candidate(at, noise())


def bake_check(baked: Bake) -> tuple[dict[str, object], list[str]]:
    """Run the live gate's check of the bake; return the values beside their limits, and the warnings."""
    player = cast(
        Player, SimpleNamespace(service=SimpleNamespace(health=SimpleNamespace(step=None)), probe=lambda *_: None)
    )
    shown: dict[str, object] = {}
    warned: list[str] = []

    def measure(name: str, value: object, limit: object = None, **_: object) -> None:
        shown[name] = (value, limit)

    with httpx.Client(
        base_url="http://live.example", transport=httpx.MockTransport(lambda _: httpx.Response(200))
    ) as client:
        bake(baked, player, client, {"failure_ratio": 0.01, "median_ms": 1000}, measure, warned.append)
    return shown, warned


@pytest.mark.parametrize("previous", [None, 900.0])
def test_bake_with_a_median_beyond_its_limit_is_not_a_pass(previous: float | None) -> None:
    with pytest.raises(
        AssertionError, match="the median answer took 1500 ms, the limit is 1000 ms; the previous colour"
    ):
        bake_check(Bake(10, 400, 0, 1500.0, 50.0, previous))


def test_bake_of_a_slow_machine_is_a_pass_with_a_warning() -> None:
    shown, warned = bake_check(Bake(10, 400, 0, 1500.0, 50.0, 1490.0))
    assert (shown["median"], shown["median of the previous colour"]) == ((1500.0, 1000), (1490.0, None))
    assert "the previous colour gave a median of 1490 ms at the same time" in warned[0]
    assert bake_check(Bake(10, 400, 0, 999.0, 50.0)) == (
        {"watched": (10, None), "failure ratio": (0.0, 0.01), "median": (999.0, 1000)},
        [],
    )


@pytest.mark.parametrize(("control", "expected"), [(answered, NORMAL_MS), (hangs, None)])
def test_bake_has_the_previous_colours_median_if_there_are_enough_answers(
    world: World, control: Ask, expected: float | None
) -> None:
    world.before()
    assert world.ask(200, normal, control) is None
    median = world.monitor.bake(SWITCHED, SWITCHED + 6).previous_median_ms
    assert median == (expected and pytest.approx(expected))


def fails(at: float) -> Sample:
    return of_candidate(at, 2.0, ok=False)


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("503", "health: status 503, expected 200"),
        ("hangs", "health: WireTimeout: no complete answer within 2 s"),
        ("refuses", "health: ConnectionRefusedError: [Errno 111]"),
    ],
)
def test_reason_has_the_figures_of_both_colours_if_both_failed(world: World, kind: str, last: str) -> None:
    world.before()
    assert world.ask(800, normal, answered) is None
    broke = SWITCHED + 0.01 + world.asked / RATE
    assert world.ask(100, fails, KINDS[kind]) is not None
    world.prober.control.extend(KINDS[kind](broke + n / CONTROL_RATE) or answered(broke) for n in range(1, 6))
    found = world.monitor.both_failed(broke + 1)
    assert found == (
        "both colours failed: green 3 of 3 requests through the live domain, blue 6 of 6 requests at its own address; "
        f"the last of blue: {last}"
    ).replace("6 of 6", "5 of 5" if kind == "hangs" else "6 of 6")


def test_figures_begin_with_the_first_failure_if_the_watch_did_not_decide(world: World) -> None:
    """A check or an alarm decides two seconds after it."""
    world.before()
    assert world.ask(100, normal, answered) is None
    broke = SWITCHED + 5
    world.prober.live.extend(fails(broke + n / RATE) for n in range(2))
    world.prober.control.extend(answered(broke + n / CONTROL_RATE, status=503) for n in range(5))
    assert str(world.monitor.both_failed(broke + 2)).startswith(
        "both colours failed: green 2 of 2 requests through the live domain, blue 5 of 5 requests at its own address"
    )


def test_with_a_share_the_figures_of_the_candidate_are_its_own(world: World) -> None:
    """The live domain has answers of both colours."""
    world.before()
    world.monitor.watch_candidate(GREEN, BLUE, generation=8, since=SWITCHED, share=0.5)
    broke = SWITCHED + 1
    of_green = [fails(broke + 2 * n / RATE) for n in range(3)]
    world.prober.live.extend(one for green in of_green for one in (green, replace(green, colour="blue")))
    world.prober.control.extend(answered(broke + n / CONTROL_RATE, status=503) for n in range(5))
    assert "green 3 of 3 requests through the live domain" in str(world.monitor.both_failed(broke + 1))


def test_previous_colour_that_fails_beside_a_slow_candidate_is_named(world: World) -> None:
    world.before()
    assert world.ask(4000, slow, KINDS["503"]) is not None
    found = world.monitor.both_failed(SWITCHED + 8)
    assert found is not None
    assert found.startswith("the previous colour blue failed at the same time: 40 of 40 requests at its own address")


def test_healthy_previous_colour_adds_nothing_to_the_reason(world: World) -> None:
    """One failure of many is not enough, and nothing is said about a time before the evidence."""
    world.before()
    assert world.ask(100, normal, KINDS["503"]) is None
    assert world.ask(400, normal, answered) is None
    broke = SWITCHED + 0.01 + world.asked / RATE
    assert world.ask(100, fails, answered) is not None
    world.prober.control.extend(answered(broke + n / CONTROL_RATE, status=503 if n == 4 else 200) for n in range(1, 12))
    assert world.monitor.both_failed(broke + 1) is None


def test_silent_previous_colour_adds_nothing_to_the_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.traffic.BESIDE_WAIT_S", 0.0)
    world.before()
    assert world.ask(100, fails, KINDS["silent"]) is not None
    assert world.monitor.both_failed(SWITCHED + 1) is None


# -- a prober that runs, but sends no samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [0.1, 1.0])
def test_a_prober_that_sends_no_samples_any_more_cannot_watch(world: World, every_s: float) -> None:
    """Its timeout is 2 s, so that 10 s are more than any answer takes."""
    world.before()
    assert world.ask(40, normal, answered) is None
    assert world.look(every_s, 9.5) is None
    harm = world.look(every_s, 2)
    assert harm is not None
    assert harm.startswith(
        "the prober cannot watch the live domain any more: the availability prober runs, but has sent"
    )
    assert 10 < world.now <= 11.5


def test_a_silent_prober_of_the_live_colour_before_the_switch_is_found_too(world: World) -> None:
    world.monitor.watch_live(colour="blue", generation=7, version="1.0.0")
    assert "no sample for 10 s" in str(world.look(0.5, 30))


def test_a_prober_with_a_long_timeout_may_be_silent_for_longer(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CONFIG", replace(CONFIG, timeout_s=20.0, rate=0.5))
    world = make_world()
    world.before()
    assert world.look(1.0, 66) is None
    assert "no sample for 67 s" in str(world.look(1.0, 5))


def test_each_sample_ends_the_silence(world: World) -> None:
    world.before()
    for _ in range(10):
        assert world.look(0.5, 9) is None
        assert world.ask(1, normal, answered) is None


@pytest.mark.parametrize("suspended_s", [600.0, 86400.0])
def test_a_suspended_machine_is_no_silence(world: World, suspended_s: float) -> None:
    world.before()
    assert world.ask(40, normal, answered) is None
    world.now += suspended_s
    assert world.monitor.harm() is None
    assert world.look(0.5, 7.5) is None
    assert world.ask(40, normal, answered) is None


def test_a_stopped_prober_is_no_silence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.prober, "stop", lambda: None, raising=False)
    world.before()
    world.monitor.stop()
    assert world.look(1.0, 60) is None

"""The measuring thread moves between cores, evenly and in a random order, and returns to what it was allowed before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection

import pytest

from tests.verification.contract_server import SERVICE, USER
from verification.journeys.accounts import SmokeUser
from verification.latency import measuring
from verification.latency.cores import MOST_CORES, moving
from verification.latency.measuring import Measured, SessionPlan, measure_sessions_with
from verification.latency.plan import AGAIN, CANDIDATE, LIVE, Kind, LatencyPlan, Operation, Place


class FakeAffinity:
    """Keeps the cores that were chosen; refuses from the call with number ``refuses`` on."""

    def __init__(self, cores: Collection[int], refuses: int = 1000) -> None:
        self.cores = set(cores)
        self.chosen: list[set[int]] = []
        self._refuses = refuses

    def allowed(self) -> Collection[int]:
        return self.cores

    def limit(self, cores: Collection[int]) -> None:
        if len(self.chosen) >= self._refuses:
            raise PermissionError("not permitted")
        self.chosen.append(set(cores))


def test_each_core_gets_as_many_sessions_and_the_affinity_is_restored() -> None:
    affinity = FakeAffinity({2, 5})
    with moving(affinity, random.Random(1)) as move:
        cores = [move() for _ in range(16)]
    assert Counter(cores) == {2: 8, 5: 8}
    assert all({*cores[n : n + 2]} == {2, 5} for n in range(0, 16, 2))
    assert cores != [2, 5] * 8 != cores[::-1]
    assert affinity.chosen == [*({core} for core in cores), {2, 5}]


def test_affinity_is_restored_after_an_error() -> None:
    affinity = FakeAffinity({0, 1})

    def fail() -> None:
        with moving(affinity, random.Random(1)) as move:
            move()
            raise ConnectionError("the colour is gone")

    with pytest.raises(ConnectionError):
        fail()
    assert affinity.chosen[-1] == {0, 1}


def test_large_machine_uses_a_few_cores() -> None:
    with moving(FakeAffinity(range(64)), random.Random(1)) as move:
        assert len({move() for _ in range(32)}) == MOST_CORES


@pytest.mark.parametrize("cores", [(), (3,)])
def test_single_core_is_left_as_it_is(cores: Collection[int]) -> None:
    affinity = FakeAffinity(cores)
    with moving(affinity, random.Random(1)) as move:
        assert [move(), move()] == [None, None]
    assert affinity.chosen == []


def test_system_that_refuses_is_not_asked_again() -> None:
    affinity = FakeAffinity({0, 1}, refuses=1)
    with moving(affinity, random.Random(1)) as move:
        assert [move() is None for _ in range(3)] == [False, True, True]


def test_system_that_does_not_know_its_cores_is_left_as_it_is() -> None:
    class Unknown(FakeAffinity):
        def allowed(self) -> Collection[int]:
            raise OSError("not supported")

    with moving(Unknown(()), random.Random(1)) as move:
        assert move() is None


class Quick:
    """A colour that takes 1 ms for each answer."""

    def __init__(self) -> None:
        self.cleared = False
        self.asked: list[Place] = []

    def ask(self, operation: Operation, kind: Kind) -> float:
        self.asked.append((operation.name, kind))
        return 1.0

    def sign_in(self) -> None: ...

    def reconnect(self) -> None: ...

    def clear(self) -> None:
        self.cleared = True


PLAN = LatencyPlan(
    {CANDIDATE: "http://a", LIVE: "http://b"}, SERVICE, SmokeUser(**USER), samples=16, warmup=0, rate=1e9
)


@pytest.fixture
def askers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Quick]:
    """The series of a measurement in sessions; there are no pauses."""
    monkeypatch.setattr(measuring, "_BETWEEN_SESSIONS_S", (0.0, 0.0))
    monkeypatch.setattr(measuring, "_PAUSE_S", 0.0)
    return {colour: Quick() for colour in (CANDIDATE, LIVE, *AGAIN.values())}


def test_each_session_has_its_core_and_both_colours_get_as_many_requests(askers: dict[str, Quick]) -> None:
    affinity = FakeAffinity({0, 1})
    sessions = SessionPlan(2, (4,), affinity=affinity)
    measured = measure_sessions_with(
        askers,
        PLAN,
        [],
        sessions,
        hopeless=lambda _: None,
        wanted=lambda seen: [("health", "kept")] if seen.sessions < 4 else [],
    )
    assert (measured.sessions, sorted(measured.cores)) == (4, [0, 0, 1, 1])
    assert affinity.chosen == [*({core} for core in measured.cores), {0, 1}]
    assert len({tuple(sorted(one.asked)) for one in askers.values()}) == 1
    assert measured.planned["health", "kept"] == 2
    assert all(one.cleared for one in askers.values())


class Noted(Quick):
    """A series that writes its name into a list at each request."""

    def __init__(self, name: str, asked_names: list[str]) -> None:
        super().__init__()
        self._name = name
        self._names = asked_names

    def ask(self, operation: Operation, kind: Kind) -> float:
        self._names.append(self._name)
        return super().ask(operation, kind)


def order_of(seed: int) -> list[str]:
    """Return the names of the series in the order of their requests."""
    names: list[str] = []
    made = {name: Noted(name, names) for name in (CANDIDATE, LIVE, *AGAIN.values())}
    sessions = SessionPlan(8, (8,), affinity=FakeAffinity({0}), seed=seed)
    measure_sessions_with(made, PLAN, [], sessions, hopeless=lambda _: None, wanted=lambda _: [])
    return names


@pytest.mark.usefixtures("askers")
@pytest.mark.parametrize("seed", [0, 7])
def test_the_series_are_asked_in_an_order_that_is_drawn(seed: int) -> None:
    """None of them comes first each time, or always after the same other one; the same seed gives the same order."""
    names = order_of(seed)
    turns = {tuple(names[begin : begin + 4]) for begin in range(0, len(names), 4)}
    assert order_of(seed) == names
    assert all(len(set(turn)) == 4 for turn in turns)
    assert len(turns) > 12  # of 24; an order that is only reversed has two
    assert {turn[0] for turn in turns} == {CANDIDATE, LIVE, *AGAIN.values()}


def test_measurement_may_end_before_all_its_sessions(askers: dict[str, Quick]) -> None:
    looks: list[tuple[int, bool]] = []

    def wanted(seen: Measured) -> list[Place]:
        looks.append((seen.sessions, seen.is_early))
        return [] if not seen.is_early else [("health", "kept")]

    sessions = SessionPlan(4, (6,), early=(1, 2), affinity=FakeAffinity(()))
    measured = measure_sessions_with(askers, PLAN, [], sessions, hopeless=lambda _: None, wanted=wanted)
    assert (looks, measured.sessions) == ([(1, True), (2, True), (4, False)], 4)
    measured = measure_sessions_with(askers, PLAN, [], sessions, hopeless=lambda _: None, wanted=lambda _: [])
    assert (measured.sessions, measured.is_early) == (1, True)


def test_measurement_that_fails_returns_the_cores(askers: dict[str, Quick]) -> None:
    affinity = FakeAffinity({0, 1})

    def fail(_: Measured) -> str | None:
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        measure_sessions_with(
            askers, PLAN, [], SessionPlan(2, (4,), affinity=affinity), hopeless=fail, wanted=lambda _: []
        )
    assert affinity.chosen[-1] == {0, 1}


def test_measurement_without_affinity_has_no_cores(askers: dict[str, Quick]) -> None:
    sessions = SessionPlan(2, (4,), affinity=FakeAffinity(()))
    measured = measure_sessions_with(askers, PLAN, [], sessions, hopeless=lambda _: None, wanted=lambda _: [])
    assert (measured.sessions, measured.cores) == (2, [])

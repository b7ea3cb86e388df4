"""The measuring thread moves between cores, evenly and in a random order, and returns to what it was allowed before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection

import pytest

from verification.latency.cores import MOST_CORES, moving


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

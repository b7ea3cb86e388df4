"""The proof that an operation is too slow: how often it is wrong, how soon it is found, and which answers it ignores."""

from __future__ import annotations

import math

import pytest

from tests.verification.contract_server import SERVICE
from verification.latency.budget_watch import (
    SHARES,
    BudgetWatch,
    OverBudget,
    decoded,
    encoded,
    measured_as,
    without_ids,
)
from verification.latency.plan import LatencyLimits, operations_of

OPERATIONS = operations_of(SERVICE)
LIMITS = LatencyLimits(p95_ms=100, p99_ms=200)
READ = next(f"{one.method} {one.path.partition('?')[0]}" for one in OPERATIONS.values() if one.method == "GET")
QUESTIONS = len(SHARES) * len(OPERATIONS)


@pytest.mark.parametrize(("budget", "times"), [("p95_ms", 150), ("p99_ms", 250)])
def test_operation_that_is_always_too_slow_is_suspected_after_four_answers(budget: str, times: float) -> None:
    watch = BudgetWatch(LatencyLimits(**{"p95_ms": 10**6, "p99_ms": 10**6, budget: times - 1}), OPERATIONS)
    for _ in range(3):
        watch.count(READ, times)
    assert watch.suspect() is None
    watch.count(READ, times)
    found = watch.suspect()
    assert found is not None
    assert (found.operation, found.budget, found.counts.answers) == (READ, budget, 4)
    assert str(found) == f"4 of 4 answers to checks took longer than {times - 1} ms"


@pytest.mark.parametrize("budget", SHARES)
def test_operation_that_just_keeps_its_budget_is_suspected_less_often_than_stated(budget: str) -> None:
    """The exact chance of any proof within 300 answers, each of which is looked at, is below the budget's share of 0.1 %."""
    allowed, counts, proven = SHARES[budget], [1.0], 0.0
    for answers in range(1, 301):
        grown = [0.0] * (answers + 1)
        for over, chance in enumerate(counts):
            grown[over] += chance * (1 - allowed)
            grown[over + 1] += chance * allowed
        for over, chance in enumerate(grown):
            # Beyond this chance nothing changes the sum.
            if chance > 1e-12 and OverBudget(answers, **{budget: over}).proves(QUESTIONS) == budget:
                proven += chance
                grown[over] = 0.0
        counts = grown
    assert math.isclose(sum(counts) + proven, 1.0, abs_tol=1e-6)
    assert 0 < proven < 0.001 / QUESTIONS


def test_one_answer_in_five_over_the_p95_budget_is_found() -> None:
    watch = BudgetWatch(LIMITS, OPERATIONS)
    for number in range(200):
        watch.count(READ, 150 if number % 5 == 0 else 50)
    assert watch.suspect() is not None


def test_settled_operation_is_not_suspected_again() -> None:
    watch = BudgetWatch(LIMITS, OPERATIONS)
    watch.add(READ, OverBudget(9, 9, 9))
    watch.settle(READ)
    watch.add(READ, OverBudget(90, 90, 90))
    assert watch.suspect() is None


def test_operation_that_latency_does_not_measure_is_not_suspected() -> None:
    watch = BudgetWatch(LIMITS, OPERATIONS)
    watch.add("PATCH /no-such-operation", OverBudget(9, 9, 9))
    assert watch.suspect() is None


def test_read_without_parameters_is_measured_first() -> None:
    watch = BudgetWatch(LIMITS, OPERATIONS)
    for one in reversed(list(OPERATIONS.values())):
        watch.add(f"{one.method} {one.path.partition('?')[0]}", OverBudget(9, 9, 9))
    found = watch.suspect()
    assert found is not None
    assert found.operation.startswith("GET ")
    assert "{" not in found.operation


def test_names_of_parameters_do_not_matter() -> None:
    templates = [f"{one.method} {one.path}" for one in OPERATIONS.values() if "{" in one.path]
    assert [measured_as(one.replace("{", "{another_"), OPERATIONS) for one in templates] == [
        measured_as(one, OPERATIONS) for one in templates
    ]
    assert None not in [measured_as(one, OPERATIONS) for one in templates]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/items/17", "/items/{}"),
        ("/v2/items/0b1f6a8e-7a4e-4a39-9a5e-0d7a1b3c5d7e/notes", "/v2/items/{}/notes"),
        ("/items", "/items"),
        ("/", "/"),
    ],
)
def test_path_of_a_service_without_a_contract(path: str, expected: str) -> None:
    assert without_ids(path) == expected


def test_counts_survive_the_way_to_the_coordinator() -> None:
    assert decoded(encoded(OverBudget(7, 5, 1))) == OverBudget(7, 5, 1)

"""A check that loses a coroutine of its own fails; one during which the coroutine of another check is collected does not."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.integrity.resource_warnings import Coroutines
from tests.plugins.project import Project

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ASK = "import asyncio\nasync def ask(n): assert n > 5\n"
FAILS = """
async def main():
    asked = [ask(n) for n in range(3)]
    [await one for one in asked]

def test_fails(): asyncio.run(main())

class TestClass:
    def test_x(self, n):
        asked = [ask(n)]
        assert n

def test_x(n): assert ask and n

def test_loses(): asyncio.run(deep(10))

async def deep(n):
    if n: await deep(n - 1)
    else: [ask(n)]
"""
GOOD = """
def test_good():
    import gc, json
    rows = json.loads(json.dumps([{"id": n} for n in range(3000)]))
    gc.collect()
    assert len(rows) == 3000
"""


def checks(suites: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(ASK + FAILS, str(suites / "test_x.py"), "exec"), names)  # noqa: S102 - a coroutine needs a file of suites/
    return names


def failure_of(coroutines: Coroutines, check: Callable[..., object], *given: object) -> list[BaseException]:
    """Return the failure of a check with its traceback, which keeps the check's coroutines; the watch sees it, too."""
    kept: list[BaseException] = []
    try:
        with coroutines.watched(check):
            check(*given)
    except AssertionError as error:
        kept.append(error)
    return kept


@pytest.mark.parametrize("failing", ["test_fails", "TestClass.test_x"])
def test_coroutine_of_an_earlier_check(tmp_path: Path, failing: str) -> None:
    names, coroutines = checks(tmp_path), Coroutines(tmp_path)
    first, given = (names["test_fails"], ()) if failing == "test_fails" else (names["TestClass"].test_x, (None, 0))
    kept = failure_of(coroutines, first, *given)
    assert kept
    with coroutines.watched(names["test_x"]):
        kept.clear()
        gc.collect()
        names["test_x"](1)


def test_coroutine_of_earlier_parameters_of_the_check(tmp_path: Path) -> None:
    names, coroutines = checks(tmp_path), Coroutines(tmp_path)
    check = names["TestClass"].test_x
    kept = failure_of(coroutines, check, None, 0)
    assert kept
    with coroutines.watched(check):
        kept.clear()
        gc.collect()


def test_coroutine_that_is_lost_far_below_the_check(tmp_path: Path) -> None:
    check, coroutines = checks(tmp_path)["test_loses"], Coroutines(tmp_path)
    with pytest.raises(pytest.fail.Exception, match="ask was never awaited"), coroutines.watched(check):
        check()


def test_check_that_fails_gets_no_second_failure(tmp_path: Path) -> None:
    check, coroutines = checks(tmp_path)["TestClass"].test_x, Coroutines(tmp_path)
    assert [type(one) for one in failure_of(coroutines, check, None, 0)] == [AssertionError]
    gc.collect()


def test_good_check_after_one_that_failed(project: Project) -> None:
    project.add("endpoints", ASK + FAILS[: FAILS.index("class")] + GOOD)
    run = project.run_outside(target=None)
    assert run.code == 1
    assert run.report["verdict"] == "failed", run.output
    gate = run.gate("endpoints")
    assert (gate["ran"], gate["failed"]) == (3, 1), gate

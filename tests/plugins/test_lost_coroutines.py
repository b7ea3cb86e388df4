"""A check that loses a coroutine, or the failure of a thread or of code that Python calls, fails whatever filters of warnings say.

One during which the coroutine of another check is collected does not fail.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.integrity.resource_warnings import Coroutines, LostFailures, without_result
from tests.plugins.project import REJECTED, Project

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
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

def test_hides(ignore):
    with ignore():
        ask(1)

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


def test_coroutine_that_is_lost_while_warnings_are_ignored(tmp_path: Path) -> None:
    check, coroutines = checks(tmp_path)["test_hides"], Coroutines(tmp_path)
    ignore = functools.partial(warnings.catch_warnings, action="ignore")
    with pytest.raises(pytest.fail.Exception, match="ask was never awaited"), coroutines.watched(check):
        check(ignore)


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


OWN = """
import contextlib
def fails(*_): assert 1 == 2
def breaks(*_): raise OSError("a socket")
class Closes:
    def __init__(self, act): self.act = act
    def __del__(self): self.act()
def rows(act):
    try: yield 1
    finally: act()
"""


def started(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def with_hook(hook: object, act: Callable[[], object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", hook)
        started(act)


def timed(act: Callable[[], object]) -> None:
    timer = threading.Timer(0, act)
    timer.start()
    timer.join()


OWN_CODE: dict[str, Any] = {}
exec(compile(OWN, "/project/suites/test_x.py", "exec"), OWN_CODE)  # noqa: S102 - code of a file of suites/
FAILS_IN, BREAKS_IN, CLOSES, ROWS = (OWN_CODE[name] for name in ("fails", "breaks", "Closes", "rows"))
LOST = {
    "thread": lambda: started(FAILS_IN),
    "other error in a thread": lambda: started(BREAKS_IN),
    "timer": lambda: timed(FAILS_IN),
    "hook replaced": lambda: with_hook(print, FAILS_IN),
    "pytest.fail": lambda: started(lambda: pytest.fail("no")),
    "__del__": lambda: CLOSES(FAILS_IN),
    "generator": lambda: next(ROWS(FAILS_IN)),
}
HARMLESS = {
    "thread": lambda: started(lambda: None),
    "exit of a thread": lambda: started(sys.exit),
    "failure that the thread catches": lambda: started(lambda: failure_of_call(FAILS_IN)),
    "error of a socket in __del__": lambda: CLOSES(BREAKS_IN),
    "generator that is closed": lambda: ROWS(lambda: None).close(),
}


def failure_of_call(act: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        act()


@pytest.fixture
def lost() -> Iterator[LostFailures]:
    failures = LostFailures(Path("/project/suites"))
    yield failures
    failures.pytest_unconfigure()


def during(failures: LostFailures, act: Callable[[], object]) -> None:
    """Act as a fixture of a check, or as any other part of it."""
    watch = failures.pytest_runtest_setup()
    next(watch)
    act()
    with pytest.raises(StopIteration):
        next(watch)


@pytest.mark.parametrize("act", LOST.values(), ids=LOST)
def test_lost_failure(lost: LostFailures, act: Callable[[], object]) -> None:
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(pytest.fail.Exception, match=r"failed: (Assert|OSErr|Failed)"),
    ):
        during(lost, act)
    during(lost, HARMLESS["thread"])


@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
def test_no_lost_failure(lost: LostFailures, act: Callable[[], object]) -> None:
    during(lost, act)


def test_object_of_a_check_that_failed_fails_no_other(lost: LostFailures) -> None:
    lost.pytest_runtest_logreport(pytest.TestReport("x", ("x", 1, "x"), {}, "failed", None, "call"))
    during(lost, LOST["__del__"])
    with pytest.raises(pytest.fail.Exception):
        during(lost, LOST["thread"])


async def waits() -> None: ...


def iter_nothing() -> Iterator[None]:
    yield


@pytest.mark.parametrize("value", [1, False, iter_nothing(), waits], ids=["1", "False", "generator", "coroutine"])
def test_check_with_a_result(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setattr(request.node, "obj", lambda: value() if value is waits else value)
    with pytest.raises(pytest.fail.Exception), without_result(request.node):
        request.node.obj()


def test_check_without_a_result(request: pytest.FixtureRequest) -> None:
    before = request.node.obj
    with without_result(request.node):
        assert request.node.obj.__name__ == before.__name__
    assert request.node.obj == before


MARKED = "import pytest, threading, unittest\npytestmark = pytest.mark.filterwarnings('ignore')\n"
WORSE = {
    "thread": "def test_x(client):\n    def ask(): assert client.get('/health').status_code == 500\n"
    "    thread = threading.Thread(target=ask)\n    thread.start()\n    thread.join()\n",
    "unittest": "def twice(f):\n    def test(self):\n        for _ in range(2): one = f(self)\n        return one\n    return test\n"
    "class Case(unittest.TestCase):\n    @twice\n    def test_x(self):\n        self.assertEqual(1, 2)\n        yield\n",
}


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", ["thread", pytest.param("unittest", marks=pytest.mark.soak)])
def test_mark_that_ignores_warnings(project: Project, name: str, workers: str) -> None:
    project.add("endpoints", MARKED + WORSE[name])
    assert project.run(workers).result == REJECTED

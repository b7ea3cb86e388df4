"""Decides which warnings fail a check, under all options: resource warnings never do. A failed thread, a failed assertion
that Python ignores, a coroutine that was not awaited and a check that returns a value always do.

The garbage collector raises resource warnings at an arbitrary moment, often while a check of another gate runs, so they
would fail the wrong check. The others are not left to filters of warnings, which a mark or a check can change.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import threading
import traceback
import unittest
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, CoroutineType
from typing import Any

import pytest

from plugins.integrity.hook_guard import blamed, packages_of_others

ALWAYS_ERRORS = (pytest.PytestUnhandledThreadExceptionWarning,)
"""Warnings without which a failure is lost; ``-W ignore`` does not apply to them."""
REPORTED_ONLY = (ResourceWarning, pytest.PytestUnraisableExceptionWarning)
"""Warnings that Python raises when it destroys an object, in the check that happens to run then."""
ORIGIN_DEPTH = 64
"""So many calls may lie between a check and the creation of a coroutine; one with more between is not counted."""
RECORDING = "record_(property|xml_attribute) is "
"""How pytest's warnings about these two fixtures begin; the framework's own junit.xml has what they record, or omits it."""


class WarningsOfPlugins:
    """A plugin that keeps warnings of other plugins from ending pytest: pytest.ini turns them into errors, for checks.

    While pytest starts or ends, and while it passes on a report, no check runs. During a check the module that warns tells
    a plugin's warning from one of the check.
    """

    LINE = "default"

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._known = config.known_args_namespace
        self._known.pythonwarnings = [*(self._known.pythonwarnings or ()), self.LINE]
        self._filters = warnings.catch_warnings()
        self._filters.__enter__()
        warnings.simplefilter("default")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """Apply pytest.ini again after it: every plugin has started, and checks follow."""
        try:
            return (yield)
        finally:
            self._filters.__exit__(None, None, None)
            lines = list(reversed(self._known.pythonwarnings))
            lines.remove(self.LINE)
            self._known.pythonwarnings = lines[::-1]
            _warn_between_checks()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        """Only show the warnings of plugins' code around a check; pytest has applied its filters and the check's marks."""
        warnings.filterwarnings("default", module=self._modules_of_plugins)

    @functools.cached_property
    def _modules_of_plugins(self) -> str:
        # A hook that warns of its caller names pluggy, which calls it; no check's code is called by pluggy.
        packages = "|".join(map(re.escape, sorted({*packages_of_others(self._config), "pluggy"})))
        return rf"(?:{packages})(?:\.|$)"

    # pytest applies its filters around these hooks, in wrappers outside of these, which are the innermost ones.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_logstart(self) -> Generator[None, None, None]:
        """Only show the warnings of plugins that are told that a check begins, also by a worker."""
        with _shown_only():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_logfinish(self) -> Generator[None, None, None]:
        """Only show the warnings of plugins that are told that a check ends, also by a worker."""
        with _shown_only():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_logreport(self) -> Generator[None, None, None]:
        """Only show the warnings of plugins that receive a report."""
        with _shown_only():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """Only show the warnings of plugins that end."""
        with _shown_only():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self) -> Generator[None, None, None]:
        """Only show the warnings of plugins that write a summary."""
        with _shown_only():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> Generator[None, None, None]:
        """Only show an error of another plugin: the run has ended, and pytest would exit with 1, which means rejected."""
        try:
            with _shown_only():
                return (yield)
        except Exception as error:
            problem = blamed(config, error)
            what = problem.what if problem is not None else f"a plugin failed with {type(error).__name__}"
            print(f"{what} after the run had ended; the result stands", file=sys.stderr)


@contextmanager
def _shown_only() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


def warn_only(config: pytest.Config) -> None:
    """Show these warnings in pytest's summary and never raise them, also if pytest.ini or ``-W`` turns warnings into errors.

    Called for runs of ``suites/`` only; in other runs, such as the framework's own tests, pytest.ini applies.
    """
    known = config.known_args_namespace  # its last entries override pytest.ini and the rest of the command line
    lines = [f"default::{_dotted(category)}" for category in REPORTED_ONLY]
    lines += [f"error::{_dotted(category)}" for category in ALWAYS_ERRORS]
    known.pythonwarnings = [*(known.pythonwarnings or ()), *lines]
    _warn_between_checks()


def _warn_between_checks() -> None:
    for category in REPORTED_ONLY:  # between two checks, and after the last, the process's own filters apply
        warnings.filterwarnings("default", category=category)


def _dotted(category: type[Warning]) -> str:
    return category.__name__ if category.__module__ == "builtins" else f"{category.__module__}.{category.__qualname__}"


def allow_recording() -> None:
    """Hide pytest's warnings about ``record_property`` and ``record_xml_attribute``; call it when marks are applied."""
    warnings.filterwarnings("ignore", message=RECORDING, category=pytest.PytestWarning)


class LostFailures:
    """A plugin that fails a check during which a thread fails, or an assertion fails whose exception Python ignores.

    Python ignores exceptions in ``__del__``, in a generator that it closes, and in threads of ``_thread``. Such an assertion
    counts if its code is below ``suites/`` and no check has failed yet: a failed check keeps its objects until a later one.
    """

    def __init__(self, suites: Path) -> None:
        self._suites = suites
        self._lost: deque[tuple[str, BaseException]] = deque()
        self._any_failed = False
        # Each thread calls what this function returned when the thread was created, and only that calls the public
        # ``threading.excepthook``, which a check can replace.
        make = threading._make_invoke_excepthook  # type: ignore[attr-defined]  # not in typeshed
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(threading, "_make_invoke_excepthook", lambda: self._noting(make()))

    def pytest_unconfigure(self) -> None:
        """Watch no further threads."""
        self._patch.undo()

    def _noting(self, invoke: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
        def note(thread: threading.Thread) -> None:
            error = sys.exc_info()[1]
            if error is not None and not isinstance(error, SystemExit):
                self._lost.append(("a thread of the check", error))
            invoke(thread)

        return note

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        """Watch the fixtures of a check."""
        with self._watched():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Watch a check, and fail it if it returns a value."""
        with self._watched(), without_result(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Watch the end of a check's fixtures."""
        with self._watched():
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a check failed."""
        self._any_failed |= report.failed

    @contextmanager
    def _watched(self) -> Iterator[None]:
        __tracebackhide__ = True
        others = sys.unraisablehook

        def note(unraisable: sys.UnraisableHookArgs) -> None:
            error = unraisable.exc_value
            if isinstance(error, AssertionError | pytest.fail.Exception) and self._is_own(error):
                self._lost.append(("an assertion in code whose errors Python ignores", error))
            others(unraisable)

        sys.unraisablehook = note
        try:
            yield
        except BaseException:
            self._lost.clear()
            raise
        finally:
            sys.unraisablehook = others
        if self._lost:
            where, error = self._lost.popleft()
            self._lost.clear()
            first_line = traceback.format_exception_only(error)[0].splitlines()[0]
            raise pytest.fail.Exception(f"{where} failed: {first_line}") from error

    def _is_own(self, error: BaseException) -> bool:
        place = error.__traceback__
        return (
            not self._any_failed
            and place is not None
            and Path(place.tb_frame.f_code.co_filename).is_relative_to(self._suites)
        )


@contextmanager
def without_result(item: pytest.Item) -> Iterator[None]:
    """Fail a Python check that returns a value, such as a generator that nothing runs; pytest and unittest only warn.

    A TestCase with a ``run`` of its own, such as twisted's, may use the value.
    """
    function, group = getattr(item, "obj", None), getattr(item, "cls", None)
    case = isinstance(group, type) and issubclass(group, unittest.TestCase)
    runs = (unittest.TestCase.run, unittest.IsolatedAsyncioTestCase.run)
    if (
        not isinstance(item, pytest.Function)
        or not callable(function)
        or inspect.iscoroutinefunction(function)
        or (case and getattr(group, "run", None) not in runs)
    ):
        yield
        return

    @functools.wraps(function)
    def judged(*given: Any, **named: Any) -> None:
        __tracebackhide__ = True
        result = function(*given, **named)
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            pytest.fail("the check has a yield, so its body never runs; remove the yield", pytrace=False)
        if inspect.iscoroutine(result):
            result.close()
            pytest.fail("the check returns a coroutine that nothing awaits; write it with asyncio.run", pytrace=False)
        if result is not None:
            pytest.fail("the check returns a value, which checks nothing; use assert", pytrace=False)

    item.obj = judged
    try:
        yield
    finally:
        item.obj = function


class Coroutines:
    """Fails a check that loses a coroutine of a file below ``suites/``: its assertions did not run, and Python only warns.

    No filter of warnings hides it. These change nothing: a coroutine of a library, one that an earlier check
    created (the traceback of a failed check lives until the next check), and one that the check created in a thread.
    """

    def __init__(self, suites: Path) -> None:
        self._suites = suites
        self._failed: set[CodeType] = set()

    @contextmanager
    def watched(self, check: object) -> Iterator[None]:
        """Run a check; ``check``: its function, or None for a check that is no Python function.

        A check that fails anyway gets no second failure, and its coroutines do not fail its next parameters.
        """
        code = getattr(inspect.unwrap(check) if callable(check) else None, "__code__", None)
        if not isinstance(code, CodeType):
            yield
            return
        lost: list[str] = []
        with self._noted(code, lost):
            try:
                yield
            except BaseException:
                self._failed.add(code)
                raise
        if lost and code not in self._failed:
            pytest.fail(
                f"the coroutine {lost[0]} was never awaited, so its assertions did not run; await it", pytrace=False
            )

    @contextmanager
    def _noted(self, code: CodeType, lost: list[str]) -> Iterator[None]:
        depth = sys.get_coroutine_origin_tracking_depth()
        warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]  # not in typeshed

        def note(coroutine: CoroutineType[Any, Any, Any]) -> None:
            if Path(coroutine.cr_code.co_filename).is_relative_to(self._suites) and _is_created_by(coroutine, code):
                lost.append(coroutine.cr_code.co_qualname)
            else:
                warn(coroutine)

        sys.set_coroutine_origin_tracking_depth(ORIGIN_DEPTH)
        try:
            with pytest.MonkeyPatch.context() as patch:
                # The interpreter calls this function before any filter decides about the warning.
                patch.setattr(warnings, "_warn_unawaited_coroutine", note)
                yield
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)


def _is_created_by(coroutine: CoroutineType[Any, Any, Any], code: CodeType) -> bool:
    """Return whether this code was running when the coroutine was created, or is the coroutine's own."""
    if coroutine.cr_origin is None:
        return False
    lines = {line for *_, line in code.co_lines()}
    return coroutine.cr_code is code or any(
        (file, name) == (code.co_filename, code.co_name) and line in lines for file, line, name in coroutine.cr_origin
    )

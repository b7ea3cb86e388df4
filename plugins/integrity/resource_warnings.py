"""Decides which warnings fail a check, under all options: resource warnings never do, a failed thread and a coroutine
that was not awaited always do.

The garbage collector raises them at an arbitrary moment, often while a check of another gate runs, so they would fail
the wrong check. An exception in a thread stays an error: the thread's result is missing.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, CoroutineType
from typing import Any

import pytest

ALWAYS_ERRORS = (pytest.PytestUnhandledThreadExceptionWarning,)
"""Warnings without which a failure is lost; ``-W ignore`` does not apply to them."""
REPORTED_ONLY = (ResourceWarning, pytest.PytestUnraisableExceptionWarning)
"""Warnings that Python raises when it destroys an object, in the check that happens to run then."""
ORIGIN_DEPTH = 64
"""So many calls may lie between a check and the creation of a coroutine; one with more between is not counted."""


class StartUpWarnings:
    """A plugin that keeps warnings of other plugins from ending pytest while it starts: pytest.ini turns them into errors."""

    LINE = "default"

    def __init__(self, config: pytest.Config) -> None:
        self._known = config.known_args_namespace
        self._known.pythonwarnings = [*(self._known.pythonwarnings or ()), self.LINE]
        self._filters = warnings.catch_warnings()
        self._filters.__enter__()
        warnings.simplefilter("default")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Apply pytest.ini again: every plugin is configured, and checks follow."""
        self._filters.__exit__(None, None, None)
        lines = list(reversed(self._known.pythonwarnings))
        lines.remove(self.LINE)
        self._known.pythonwarnings = lines[::-1]
        _warn_between_checks()


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


class Coroutines:
    """Fails a check that loses a coroutine of a file below ``suites/``: its assertions did not run, and Python only warns.

    No filter of pytest.ini or ``-W`` hides it. These change nothing: a coroutine of a library, one that an earlier check
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
        others, depth = sys.unraisablehook, sys.get_coroutine_origin_tracking_depth()

        def note(unraisable: sys.UnraisableHookArgs) -> None:
            coroutine = unraisable.object
            if (
                isinstance(unraisable.exc_value, RuntimeWarning)
                and isinstance(coroutine, CoroutineType)
                and Path(coroutine.cr_code.co_filename).is_relative_to(self._suites)
                and _is_created_by(coroutine, code)
            ):
                lost.append(coroutine.cr_code.co_qualname)
            else:
                others(unraisable)

        sys.unraisablehook = note
        sys.set_coroutine_origin_tracking_depth(ORIGIN_DEPTH)
        warnings.filterwarnings("error", message="coroutine .* was never awaited", category=RuntimeWarning)
        try:
            yield
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)
            sys.unraisablehook = others


def _is_created_by(coroutine: CoroutineType[Any, Any, Any], code: CodeType) -> bool:
    """Return whether this code was running when the coroutine was created, or is the coroutine's own."""
    if coroutine.cr_origin is None:
        return False
    lines = {line for *_, line in code.co_lines()}
    return coroutine.cr_code is code or any(
        (file, name) == (code.co_filename, code.co_name) and line in lines for file, line, name in coroutine.cr_origin
    )

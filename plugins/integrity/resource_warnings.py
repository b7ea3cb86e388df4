"""Decides which warnings fail a check, under all options: resource warnings never do, a failed thread always does.

The garbage collector raises them at an arbitrary moment, often while a check of another gate runs, so they would fail
the wrong check. An exception in a thread stays an error: the thread's result is missing.
"""

from __future__ import annotations

import warnings

import pytest

ALWAYS_ERRORS = (pytest.PytestUnhandledThreadExceptionWarning,)
"""Warnings without which a failure is lost; ``-W ignore`` does not apply to them."""
REPORTED_ONLY = (ResourceWarning, pytest.PytestUnraisableExceptionWarning)
"""Warnings that Python raises when it destroys an object, in the check that happens to run then."""


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

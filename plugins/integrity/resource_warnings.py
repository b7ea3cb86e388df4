"""Resource warnings are reported but never fail a check.

The garbage collector raises them at an arbitrary moment, often while a check of another gate runs, so they would fail the
wrong check. An exception in a thread stays an error: the thread's result is missing.
"""

from __future__ import annotations

import warnings

import pytest

REPORTED_ONLY = (ResourceWarning, pytest.PytestUnraisableExceptionWarning)
"""Warnings that Python raises when it destroys an object, in the check that happens to run then."""


def warn_only(config: pytest.Config) -> None:
    """Show these warnings in pytest's summary and never raise them, also if pytest.ini or ``-W`` turns warnings into errors.

    Called for runs of ``suites/`` only; in other runs, such as the framework's own tests, pytest.ini applies.
    """
    known = config.known_args_namespace  # its last entries override pytest.ini and the rest of the command line
    lines = [f"default::{_dotted(category)}" for category in REPORTED_ONLY]
    known.pythonwarnings = [*(known.pythonwarnings or ()), *lines]
    for category in REPORTED_ONLY:  # between two checks, and after the last, the process's own filters apply
        warnings.filterwarnings("default", category=category)


def _dotted(category: type[Warning]) -> str:
    return category.__name__ if category.__module__ == "builtins" else f"{category.__module__}.{category.__qualname__}"

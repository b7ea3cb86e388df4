"""What the garbage collector finds is told, and decides no check: it comes while any other may be running.

A check that leaves a socket open is found out at a moment that nobody chose, often in another gate; a release is refused for
what it answers, not for that. An exception in a thread stays an error: what the thread was to find out, nobody found out.
"""

from __future__ import annotations

import warnings

import pytest

TOLD = (ResourceWarning, pytest.PytestUnraisableExceptionWarning)
"""Raised at nobody's request: by an object's end, whichever check that falls into."""


def warn_only(config: pytest.Config) -> None:
    """Whatever pytest.ini and ``-W`` make of other warnings, these are shown among pytest's and raise nothing.

    For runs below ``suites/``; ordinary ones, the framework's own tests among them, are as strict as pytest.ini.
    """
    known = config.known_args_namespace  # what is last there outranks pytest.ini and the rest of the command line
    lines = [f"default::{_dotted(category)}" for category in TOLD]
    known.pythonwarnings = [*(known.pythonwarnings or ()), *lines]
    for category in TOLD:  # between two checks, and after the last, it is the process's own filters that count
        warnings.filterwarnings("default", category=category)


def _dotted(category: type[Warning]) -> str:
    return category.__name__ if category.__module__ == "builtins" else f"{category.__module__}.{category.__qualname__}"

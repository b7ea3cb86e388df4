"""The traceback of a failed check without the framework's own lines: a reader needs the line of the check, and the problem."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment.errors import DeploymentError
from deployment.project import FRAMEWORK

ABOUT_THE_RELEASE = (AssertionError, httpx.HTTPError, DeploymentError)
"""Errors that tell of the release or its cloud; any other one may be a defect, and keeps its whole traceback."""
_PACKAGES = ("deployment", "infrastructure", "plugins", "scripts", "verification")
_LIBRARIES = ("stdlib", "purelib", "platlib")
_HIDDEN = (
    *(FRAMEWORK / package for package in _PACKAGES),
    *(Path(sysconfig.get_path(name)).resolve() for name in _LIBRARIES),
)


def shorten(call: pytest.CallInfo[Any], *, full: bool) -> None:
    """Hide the lines of this framework and of libraries in the error of a check; if no other line is left, show only its text.

    ``full``: the user wants the whole traceback (``--full-trace``).
    """
    found = call.excinfo
    if found is None or full or not isinstance(found.value, ABOUT_THE_RELEASE):
        return
    own = found.traceback.filter(lambda entry: not _is_hidden(Path(entry.path)))
    if len(own) == 0:
        call.excinfo = _only_text(found.value)
    elif _is_hidden(Path(found.traceback[-1].path)):
        found.value.__cause__ = None  # the library's error, whose lines are as long; this one names the problem
        found.traceback = own


def _is_hidden(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _HIDDEN)


def _only_text(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    text = str(error) or type(error).__name__
    named = f"{type(error).__name__}: {text}" if isinstance(error, httpx.HTTPError) else text
    try:
        pytest.fail(named, pytrace=False)
    except pytest.fail.Exception as failed:
        return pytest.ExceptionInfo.from_exception(failed)

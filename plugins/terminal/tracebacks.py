"""The traceback of a failed check without the framework's own lines: a reader needs the line of the check, and the problem."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

from deployment.errors import DeploymentError
from deployment.project import FRAMEWORK
from plugins.integrity.hook_guard import Problem

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
    lines = list(_walk(found.value.__traceback__))
    own = [line for line in lines if not _is_hidden(line)]
    if not own:
        call.excinfo = _only_text(found.value)
    elif _is_hidden(lines[-1]):
        found.value.__cause__ = None  # the library's error, whose lines are as long; this one names the problem
        call.excinfo = pytest.ExceptionInfo.from_exception(found.value.with_traceback(_linked(own)))


def text_of(excrepr: Any, problem: Problem | None, config: pytest.Config) -> str:
    """Return the text of an internal error: without the traceback if a plugin is the problem, unless ``--full-trace`` is given."""
    if problem is None or config.option.fulltrace:
        return str(excrepr)
    return f"{problem.what} (--full-trace shows where)"


def show_instead(excrepr: Any, text: str) -> None:
    """Let every plugin show this text for an internal error."""
    excrepr.toterminal = lambda writer: writer.line(text)  # every plugin prints the error through this method


def _walk(line: TracebackType | None) -> Iterator[TracebackType]:
    while line is not None:
        yield line
        line = line.tb_next


def _linked(lines: Sequence[TracebackType]) -> TracebackType | None:
    """Return a traceback of these lines alone. pytest goes from one line to the next by itself, so leaving them out of its list is not enough."""
    linked = None
    for line in reversed(lines):
        linked = TracebackType(linked, line.tb_frame, line.tb_lasti, line.tb_lineno)
    return linked


def _is_hidden(line: TracebackType) -> bool:
    path = Path(line.tb_frame.f_code.co_filename).resolve()
    return any(path.is_relative_to(folder) for folder in _HIDDEN)


def _only_text(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    text = str(error) or type(error).__name__
    named = f"{type(error).__name__}: {text}" if isinstance(error, httpx.HTTPError) else text
    try:
        pytest.fail(named, pytrace=False)
    except pytest.fail.Exception as failed:
        return pytest.ExceptionInfo.from_exception(failed)

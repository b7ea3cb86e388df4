"""Redaction of pytest's reports: in the process that makes them, and again before they are written.

Control characters are removed as well, since a report can quote an answer of the service and is printed to a terminal.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprFileLocation, ReprTracebackNative, TerminalRepr

from verification.redaction.printable import printable
from verification.redaction.redactor import LearningRedactor

Clean = Callable[[str], str]


def redact(report: pytest.TestReport, redactor: LearningRedactor) -> None:
    """Redact everything that a report shows except the check's name; see ``redact_name``."""
    clean = _cleaner(redactor)
    report.sections = [(clean(title), clean(text)) for title, text in report.sections]
    report.user_properties = [
        (_clean_text(name, clean), _clean_value(value, clean)) for name, value in report.user_properties
    ]
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        path, line, reason = report.longrepr
        report.longrepr = (path, line, clean(reason))
    elif report.longrepr is not None:
        report.longrepr = _cleaned(report.longrepr, clean)
    if hasattr(report, "wasxfail"):
        report.wasxfail = clean(report.wasxfail)
    if isinstance(report, pytest.SubtestReport):
        context = report.context
        message = context.msg and _clean_text(context.msg, clean)  # a check can give any object
        values = {clean(name): _clean_text(value, clean) for name, value in context.kwargs.items()}
        if (message, values) != (context.msg, context.kwargs):
            report.context = type(context)(msg=message, kwargs=values)


def redact_collection(report: pytest.CollectReport, redactor: LearningRedactor) -> None:
    """Redact the report of a file that was skipped or could not be collected."""
    clean = _cleaner(redactor)
    report.sections = [(clean(title), clean(text)) for title, text in report.sections]
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        path, line, reason = report.longrepr
        report.longrepr = (path, line, clean(reason))
    elif report.longrepr is not None:
        report.longrepr = clean(str(report.longrepr))


def redact_warning(shown: warnings.WarningMessage, redactor: LearningRedactor) -> None:
    """Redact the text of a warning."""
    text = str(shown.message)
    cleaned = _cleaner(redactor)(text)
    if cleaned != text:
        shown.message = UserWarning(cleaned)


def redact_name(report: pytest.TestReport, redactor: LearningRedactor) -> None:
    """Redact the name of a check, which can contain a parameter. The coordinator counts the check by its original name."""
    clean = _cleaner(redactor)
    report.nodeid = clean(report.nodeid)
    path, line, domain = report.location
    report.location = (path, line, clean(domain))


def _cleaner(redactor: LearningRedactor) -> Clean:
    """Return a function that removes control characters first: they could hide a secret from the redactor."""
    return lambda text: redactor.clean(printable(text))


def _cleaned(shown: Any, clean: Clean) -> Any:
    """Return a report's representation of an error with every text in it cleaned, as pytest can still format it.

    If a secret spreads over several of these texts, the traceback becomes one text: a line alone does not show such a
    secret. The crash message stays, because the terminal's summary, junit.xml and the reason of the run show it.
    """
    each, cleaned = _cleaned_parts(shown, clean), clean(str(shown))
    crash = getattr(each, "reprcrash", None)
    # The whole is cleaned before its parts: without its first line a key is not recognised any more.
    if str(each) == cleaned:
        return each
    if not isinstance(crash, ReprFileLocation):
        return cleaned
    return ExceptionChainRepr([(ReprTracebackNative([cleaned + "\n"]), crash, None)])


def _cleaned_parts(value: Any, clean: Clean) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return type(value)(_cleaned_parts(inner, clean) for inner in value)
    if isinstance(value, TerminalRepr):
        cleaned = copy.copy(value)
        for name, inner in vars(value).items():
            object.__setattr__(cleaned, name, _cleaned_parts(inner, clean))
        return cleaned
    return value


def _clean_value(value: Any, clean: Clean) -> Any:
    """Return a property's value with all texts in it redacted, in types that JSON and xdist's connection have.

    A value that no report can show, such as a list that holds itself, becomes a text that names its type.
    """
    try:
        return _plain(value, clean)
    except (RecursionError, ValueError, OverflowError):
        return _without_text(value)


def _plain(value: Any, clean: Clean) -> Any:
    if value is None or isinstance(value, bool):
        return value
    for number in (int, float):
        if isinstance(value, number):  # also a subclass, such as IntEnum or numpy's float64
            str(number(value))  # raises ValueError for more digits than Python writes
            return number(value)
    if isinstance(value, dict):
        return {_clean_key(name, clean): _plain(inner, clean) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, clean) for inner in value]
    return _clean_text(value, clean)


def _clean_key(key: Any, clean: Clean) -> Any:
    return _clean_text(key, clean) if isinstance(key, str | tuple) else _plain(key, clean)


def _clean_text(value: Any, clean: Clean) -> str:
    """Return a text of exactly the type ``str``, the only one that execnet sends; of any other object, its text."""
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # the code of a check's own class, which must not end the run
        text = _without_text(value)
    return clean(text)


def _without_text(value: object) -> str:
    return f"<{type(value).__name__} without a text>"

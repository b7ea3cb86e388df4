"""Redaction of pytest's reports: in the process that makes them, and again before they are written."""

from __future__ import annotations

from typing import Any

import pytest

from verification.redaction import LearningRedactor


def redact(report: pytest.TestReport, redactor: LearningRedactor) -> None:
    """Redact everything that a report shows except the check's name; see ``redact_name``."""
    report.sections = [(title, redactor.clean(text)) for title, text in report.sections]
    report.user_properties = [
        (redactor.clean(name), _clean_value(value, redactor)) for name, value in report.user_properties
    ]
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        path, line, reason = report.longrepr
        report.longrepr = (path, line, redactor.clean(reason))
    elif report.longrepr is not None:
        text = str(report.longrepr)
        cleaned = redactor.clean(text)
        if cleaned != text:
            report.longrepr = cleaned
    if hasattr(report, "wasxfail"):
        report.wasxfail = redactor.clean(report.wasxfail)
    if isinstance(report, pytest.SubtestReport):
        context = report.context
        message = context.msg and redactor.clean(context.msg)
        values = {name: redactor.clean(value) for name, value in context.kwargs.items()}
        if (message, values) != (context.msg, context.kwargs):
            report.context = type(context)(msg=message, kwargs=values)


def redact_name(report: pytest.TestReport, redactor: LearningRedactor) -> None:
    """Redact the name of a check, which can contain a parameter. The coordinator counts the check by its original name."""
    report.nodeid = redactor.clean(report.nodeid)
    path, line, domain = report.location
    report.location = (path, line, redactor.clean(domain))


def _clean_value(value: Any, redactor: LearningRedactor) -> Any:
    """Return a property's value with all texts in it redacted."""
    if isinstance(value, str):
        return redactor.clean(value)
    if isinstance(value, dict):
        return {name: _clean_value(inner, redactor) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_value(inner, redactor) for inner in value]
    return value

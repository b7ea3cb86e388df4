"""The outcome of a check, from one of pytest's reports."""

from __future__ import annotations

import re

import pytest

from deployment.evidence.verdict import CheckOutcome

_OWN_NAMES = re.compile(r"^(?:Failed|AssertionError|(?:verification|plugins)(?:\.\w+)+): (?=.)")
"""What Python calls a check's failure, or an error of this framework: the message after it says all that a reader needs."""
LONGEST = 300
"""The most characters of a check's message."""


def outcome_of(report: pytest.TestReport) -> CheckOutcome | None:
    """Return the check's outcome by this report; None if the report adds nothing (a setup or teardown that passed)."""
    if report.passed and isinstance(report, pytest.SubtestReport):
        return None  # only the whole check can pass
    if hasattr(report, "wasxfail") or report.skipped:
        return CheckOutcome.INCONCLUSIVE
    if report.failed:
        return CheckOutcome.FAILED if report.when == "call" else CheckOutcome.ERROR
    if not report.passed:
        # An outcome that another plugin defines, such as "rerun": a second attempt proves nothing.
        return CheckOutcome.INCONCLUSIVE
    return CheckOutcome.PASSED if report.when == "call" else None


def freeze_outcome(report: pytest.TestReport, problem: str | None = None) -> None:
    """Store the outcome in the report as soon as pytest has made it, so that ``changed`` detects a later change.

    A report with a ``problem`` is not sealed: a foreign hook may have decided its outcome.
    """
    if problem is None:
        report.sealed = _seal(report)  # type: ignore[attr-defined]  # reports keep and serialise unknown attributes
    else:
        report.unsealed = problem  # type: ignore[attr-defined]  # as above


def changed(report: pytest.TestReport) -> bool:
    """Return whether a report that passed differs from the one that pytest made when the check had run."""
    return (
        report.passed and not isinstance(report, pytest.SubtestReport) and _seal(report) != vars(report).get("sealed")
    )


def _seal(report: pytest.TestReport) -> str:
    return f"{report.when} {report.outcome}{' xfail' if hasattr(report, 'wasxfail') else ''}"


def message_of(report: pytest.TestReport) -> str:
    """Return the failure in one line, at most ``LONGEST`` characters."""
    if changed(report) and (problem := vars(report).get("unsealed")):
        return shortened(str(problem))
    if changed(report):
        return "its report, or the check itself, was changed while it ran"
    if report.skipped:
        return "it was skipped, which proves nothing"
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr or report.outcome)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return shortened(_OWN_NAMES.sub("", lines[0]) if lines else report.outcome)


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text of at most ``most`` characters: a longer one ends after a whole word, with an ellipsis."""
    if len(text) <= most:
        return text
    kept = text[: most - 2]
    words = kept.rpartition(" ")[0]
    # One very long word, such as a URL, is cut: its beginning says more than the few words before it.
    return (words if len(words) >= most // 2 else kept).rstrip(" ,;:") + " …"

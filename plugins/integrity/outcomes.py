"""What one of pytest's reports says of its check."""

from __future__ import annotations

import pytest

from deployment.evidence.verdict import CheckOutcome


def outcome_of(report: pytest.TestReport) -> CheckOutcome | None:
    """What one report says of its check; None where it adds nothing (a setup or teardown that went well)."""
    if report.passed and isinstance(report, pytest.SubtestReport):
        return None  # only the whole check can pass
    if hasattr(report, "wasxfail") or report.skipped:
        return CheckOutcome.INCONCLUSIVE
    if report.failed:
        return CheckOutcome.FAILED if report.when == "call" else CheckOutcome.ERROR
    if not report.passed:
        # A word of another plugin's, "rerun" for instance: a second try proves nothing.
        return CheckOutcome.INCONCLUSIVE
    return CheckOutcome.PASSED if report.when == "call" else None


def freeze_outcome(report: pytest.TestReport) -> None:
    """Notes in the report, as pytest has just made it, what it says; whoever changes it later is found out."""
    report.sealed = _said(report)  # type: ignore[attr-defined]  # reports keep, and send on, what they do not know


def changed(report: pytest.TestReport) -> bool:
    """Whether a report that speaks well of its check is another than was made when it had run."""
    return (
        report.passed and not isinstance(report, pytest.SubtestReport) and _said(report) != vars(report).get("sealed")
    )


def _said(report: pytest.TestReport) -> str:
    return f"{report.when} {report.outcome}{' xfail' if hasattr(report, 'wasxfail') else ''}"


def message_of(report: pytest.TestReport) -> str:
    """The failure in one line."""
    if changed(report):
        return "its report, or the check itself, was changed while it ran"
    if report.skipped:
        return "it was skipped, which proves nothing"
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr or report.outcome)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    # Where a secret was redacted, all that is left is the text of the whole traceback; pytest marks its errors with an E.
    lines = [line[1:].strip() for line in lines if crash is None and line.startswith("E  ")] or lines
    return (lines[0] if lines else report.outcome)[:300]

"""The outcome of a check, from one of pytest's reports."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

import pytest

from deployment.evidence.verdict import CheckOutcome
from verification.redaction.redactor import MARK

_OWN_NAMES = re.compile(r"^(?:Failed|AssertionError|(?:verification|plugins)(?:\.\w+)+): (?=.)")
"""What Python calls a check's failure, or an error of this framework: the message after it says all that a reader needs."""
_NAME = re.compile(r"(?:\w+\.)*+\w+:(?: |\Z)")
"""The name of an error before its message."""
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


@dataclass(frozen=True)
class Seal:
    """Signs the outcome in a report as soon as pytest has made it, so that the coordinator detects a later change.

    ``key`` is a secret of the run, which the coordinator gives to its workers.
    """

    key: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)

    def put(self, report: pytest.TestReport, problem: str | None = None) -> None:
        """Seal a report. One with a ``problem`` gets no seal: a foreign hook may have decided its outcome."""
        if problem is None:
            report.sealed = self._code(report)  # type: ignore[attr-defined]  # reports keep and serialise unknown attributes
        else:
            report.unsealed = problem  # type: ignore[attr-defined]  # as above

    def is_broken(self, report: pytest.TestReport) -> bool:
        """Return whether a report that passed differs from the one that pytest made when the check had run."""
        if not report.passed or isinstance(report, pytest.SubtestReport):
            return False
        return self._code(report) != vars(report).get("sealed")

    def _code(self, report: pytest.TestReport) -> str:
        parts = [report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail")]
        return hmac.new(self.key, repr(parts).encode(), sha256).hexdigest()


def why_broken(report: pytest.TestReport) -> str:
    """Return in one line why a report has no valid seal."""
    problem = vars(report).get("unsealed")
    return shortened(str(problem)) if problem else "its report, or the check itself, was changed while it ran"


def message_of(report: pytest.TestReport) -> str:
    """Return the failure in one line, at most ``LONGEST`` characters: the first line that is not blank or a hidden secret alone."""
    if report.skipped:
        return "it was skipped, which proves nothing"
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr or report.outcome)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return shortened(_OWN_NAMES.sub("", _first_telling(lines)) if lines else report.outcome)


def _first_telling(lines: list[str]) -> str:
    """Return the first line; if its message says nothing, the error's name with the first line that does."""
    found = _NAME.match(lines[0])
    name = found[0] if found else ""
    for line in (lines[0][len(name) :], *lines[1:]):
        if line and not (MARK in line and re.search(r"\w", line.replace(MARK, "")) is None):
            return f"{name.rstrip()} {line}".lstrip()
    return lines[0]


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text of at most ``most`` characters: a longer one ends after a whole word, with an ellipsis."""
    if len(text) <= most:
        return text
    kept = text[: most - 2]
    words = kept.rpartition(" ")[0]
    # One very long word, such as a URL, is cut: its beginning says more than the few words before it.
    return (words if len(words) >= most // 2 else kept).rstrip(" ,;:") + " …"

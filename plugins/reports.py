"""The report's details: the result and the evidence of each check, and the series that measurements took."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from deployment.evidence.data.details import CHECK, SERIES
from deployment.evidence.junit import in_xml
from deployment.evidence.verdict import CheckOutcome
from plugins.options import register
from plugins.recorder import (
    answers_in,
    exchanges_in,
    measurement_data_in,
    requests_in,
    samples_in,
    series_in,
    warnings_in,
)
from plugins.run import coordinator_key

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

LONGEST = 8000
"""The most characters of a failure's text that the report keeps; the first and the last parts of a longer one."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the recorder of details if this run writes a report."""
    if (run := config.stash.get(coordinator_key, None)) is not None:
        # Imported here: workers have this plugin as well, and only the coordinator makes a page.
        from plugins import page

        run.use_page(page.render, page.refresh)
        register(config, DetailsRecorder(run), "deployment-details")


class DetailsRecorder:
    """A listener that keeps what each check saw; it decides nothing."""

    def __init__(self, run: Coordinator) -> None:
        self._run = run
        self._open: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one of a check's reports; its teardown completes the line."""
        if report.nodeid not in self._run.tally.expected:
            return
        line = self._open.setdefault(report.nodeid, {"started": round(report.start, 3), "duration_s": 0.0})
        line["duration_s"] = round(line["duration_s"] + report.duration, 3)
        line["requests"] = line.get("requests", 0) + requests_in(report)
        line["samples"] = line.get("samples", 0) + samples_in(report)
        for name, found in (
            ("values", measurement_data_in(report)),
            ("warnings", warnings_in(report)),
            ("answers", answers_in(report)),
            ("exchanges", exchanges_in(report)),
        ):
            if found:
                line.setdefault(name, []).extend(found)
        if report.failed and "detail" not in line:
            line["detail"] = _shortened(report.longreprtext)
        for name, data in series_in(report).items():
            self._run.details.add(SERIES, name=name, data=data)
        if report.when == "teardown":
            self._close(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the lines of checks that the run stopped in between."""
        for check in list(self._open):
            self._close(check)

    def _close(self, check: str) -> None:
        line, tally = self._open.pop(check), self._run.tally
        results = tally.results.get(check, [])
        bad = next((one for one in results if one.outcome is not CheckOutcome.PASSED), None)
        outcome = "not_run" if not results else (bad or results[0]).outcome.value
        if bad is not None and bad.message:
            line["message"] = bad.message
        self._run.details.add(CHECK, id=check, gate=tally.expected[check], outcome=outcome, **line)


def _shortened(text: str) -> str:
    """Return a text of at most ``LONGEST`` characters."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n… {len(text) - LONGEST} characters …\n{text[-half:]}"


# -- fixtures of pytest that write junit.xml ---------------------------------------------------------------------------


@pytest.fixture
def record_xml_attribute() -> Callable[[str, object], None]:
    """Record nothing: a check must not rename its testcase, and junit.xml has the attributes of its schema alone."""
    return lambda name, value: None  # noqa: ARG005


@pytest.fixture(scope="session")
def record_testsuite_property(
    record_testsuite_property: Callable[[str, object], None],
) -> Callable[[str, object], None]:
    """Record a property of all checks, without the characters that make the file unreadable."""
    return lambda name, value: record_testsuite_property(
        in_xml(name) if isinstance(name, str) else name, in_xml(str(value))
    )

"""The HTML report: pytest-html's, with the deployment's verdict, gates, values and timeline on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from deployment.evidence import archive
from deployment.evidence.journal import Record
from deployment.evidence.verdict import CheckOutcome
from plugins import page
from plugins.recorder import Measurement, measurements_in
from plugins.run import coordinator_key

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator

measured_key = pytest.StashKey[dict[str, list[Measurement]]]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the report's listener if this run writes a report."""
    if config.stash.get(coordinator_key, None) is not None:
        config.stash[measured_key] = {}
        config.pluginmanager.register(HtmlReport(config), "deployment-html")


class HtmlReport:
    """A listener that adds the summary to pytest-html's page; it decides nothing."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._measured = config.stash[measured_key]
        self._run.use_page(self._final)

    @property
    def _run(self) -> Coordinator:
        return self._config.stash[coordinator_key]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the values that a check compared with limits."""
        if found := measurements_in(report):
            self._measured.setdefault(report.nodeid, []).extend(found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """Set the page's title."""
        report.title = f"Deployment report {self._run.run_id}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Put the summary on top of the page."""
        prefix.insert(0, self.render())

    def render(self) -> str:
        """Return the summary as HTML; the template engine escapes every value."""
        run = self._run
        return run.redactor.clean(page.mark(page.summary(run.projected_records(), run.gate_reasons(), self._values())))

    def _final(self, records: Sequence[Record]) -> str:
        """Return the whole page with a new summary, because the verdict can still change after pytest-html wrote the page."""
        run = self._run
        path = run.folder / archive.PAGE_FILE
        if not path.exists():  # pytest-html did not finish
            return page.standalone(records)
        return page.replace_summary(
            path.read_text(encoding="utf-8"), page.summary(records, run.gate_reasons(), self._values())
        )

    def _values(self) -> list[dict[str, Any]]:
        """Return a row for each value: its gate, its check, and whether the check passed."""
        run, rows = self._run, []
        for nodeid, measurements in self._measured.items():
            results = run.tally.results.get(nodeid, [])
            passed = bool(results) and all(result.outcome is CheckOutcome.PASSED for result in results)
            gate = run.tally.expected.get(nodeid, "")
            check = nodeid.rpartition("::")[2]
            rows += [{"gate": gate, "check": check, "value": value, "passed": passed} for value in measurements]
        return rows

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
    """Where there is a report to make, collects what it shows."""
    if config.stash.get(coordinator_key, None) is not None:
        config.stash[measured_key] = {}
        config.pluginmanager.register(HtmlReport(config), "deployment-html")


class HtmlReport:
    """A listener: adds to pytest-html's page, decides nothing."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._measured = config.stash[measured_key]
        self._run.use_page(self._final)

    @property
    def _run(self) -> Coordinator:
        return self._config.stash[coordinator_key]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the values that a check compared with limits."""
        if found := measurements_in(report):
            self._measured.setdefault(report.nodeid, []).extend(found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """The page's title."""
        report.title = f"Deployment report {self._run.run_id}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """The verdict in one sentence, then who, what, when, and the gates."""
        prefix.insert(0, self.render())

    def render(self) -> str:
        """The summary as HTML; everything in it is escaped by the template engine."""
        run = self._run
        reasons = {gate.name: gate.reason for gate in run.gates()} if run.settings else {}
        return run.redactor.clean(page.marked(page.summary(run.projected_records(), reasons, self._values())))

    def _final(self, records: Sequence[Record]) -> str:
        """The whole page as it stands, its summary made anew: what comes after the checks can still change the verdict."""
        run = self._run
        path = run.folder / archive.PAGE_FILE
        if not path.exists():  # pytest-html did not come to its end
            return page.standalone(records)
        reasons = {gate.name: gate.reason for gate in run.gates()} if run.settings else {}
        return page.replaced(path.read_text(encoding="utf-8"), page.summary(records, reasons, self._values()))

    def _values(self) -> list[dict[str, Any]]:
        """One row for each value: its gate, its check, whether the check passed."""
        run, rows = self._run, []
        for nodeid, measurements in self._measured.items():
            results = run.tally.results.get(nodeid, [])
            passed = bool(results) and all(result.outcome is CheckOutcome.PASSED for result in results)
            gate = run.tally.expected.get(nodeid, "")
            check = nodeid.rpartition("::")[2]
            rows += [{"gate": gate, "check": check, "value": value, "passed": passed} for value in measurements]
        return rows

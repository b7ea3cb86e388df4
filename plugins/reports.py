"""The HTML report: pytest-html's, with the deployment's verdict, gates, values and timeline on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pytest

from deployment.journal import Record
from deployment.verdict import CheckOutcome
from plugins.evidence import Measurement, measurements_in
from plugins.progress import sentence
from plugins.run import coordinator_key

if TYPE_CHECKING:
    from plugins.coordinator import Coordinator

TEMPLATES = Path(__file__).with_name("templates")
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
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        facts = run.preview()
        records = run.journal.records()
        html = environment.get_template("summary.html").render(
            report=facts,
            sentence=sentence(facts),
            good=facts["exit_code"] == 0,
            gates=self._gates(facts["gates"]),
            steps=facts["steps"],
            timeline=_timeline(records),
            measured=self._values(),
            gone=run.gone,
            logs=[record.data for record in records if record.kind == "logs"],
            requested_by=next((r.data.get("requested_by") for r in records if r.kind == "planned"), None),
        )
        return run.redactor.clean(html)

    def _gates(self, gates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        run = self._run
        reasons = {gate.name: gate.reason for gate in run.gates()} if run.settings else {}
        return [{**gate, "reason": reasons.get(gate["name"])} for gate in gates]

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


def _timeline(records: Sequence[Record]) -> list[dict[str, str]]:
    """The journal in words, for a reader."""
    rows = []
    for record in records:
        data = record.data
        text = {
            "opened": lambda d=data: f"run opened by {d.get('by')} on {d.get('host')}, pid {d.get('pid')}",
            "planned": lambda d=data: f"{d.get('image')} ({d.get('digest')}) for {d.get('target')}",
            "intent": lambda d=data: f"{d['step']}: about to {d.get('what')}",
            "outcome": lambda d=data: f"{d['step']}: {d['outcome']} — {d.get('detail')}",
            "phase": lambda d=data: f"phase {d['before']} → {d['after']}",
            "writing": lambda d=data: f"routes: {d['colour']}, generation {d['generation']}",
            "fault": lambda d=data: f"fault: {d['what']}",
            "decided": lambda d=data: f"decided: {d['reason']}",
            "admitted": lambda d=data: f"{d['by']} may {' and '.join(d['duties'])}" + _unchecked(d),
            "broken_locks": lambda d=data: f"locks broken by hand since the last deployment: {_broken(d)}",
            "approval_awaited": lambda d=data: f"waiting for another principal's approval until {d['until']}",
            "approved": lambda d=data: f"approved by {d['by']}: {d.get('reason') or 'no reason given'}",
            "approval_refused": lambda d=data: f"approval by {d['by']} refused: {d['reason']}",
            "settled": lambda d=data: f"settled what {d['deployment_id']} had left: {d['verdict']}",
        }.get(record.kind)
        if text is not None:
            rows.append({"time": record.time[11:23], "text": text()})
    return rows


def _unchecked(data: Mapping[str, Any]) -> str:
    return f"; not checked: {data['unchecked']}" if data.get("unchecked") else ""


def _broken(data: Mapping[str, Any]) -> str:
    return "; ".join(f"{lock['deployment_id']} by {lock['by']}: {lock['reason']}" for lock in data["locks"])

"""A rollback by hand does not depend on the prober, which only counts users' requests."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.commands import rollback
from tests.deployment.fakes import NEW, OLD, FakeRegistry
from tests.deployment.harness import Deployment
from tests.scripts.test_denied_reads import NoTraffic
from tests.scripts.test_rollback_redeploy import SETTINGS, environment
from verification.prober.prober import ProberFailed

SILENT = "the prober has 0 samples, expected 5: waited 5 s"


class Silent(NoTraffic):
    """A live domain that does not answer, or a prober that has died."""

    def warm_up(self, longest_s: float = 0.0) -> None:
        assert 0 < longest_s <= 5, "users wait for the rollback"
        raise ProberFailed(SILENT)


def no_process(*_: Any) -> NoTraffic:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.parametrize(
    ("traffic", "problem"), [(Silent, SILENT), (no_process, "the prober did not start: Cannot allocate memory")]
)
def test_traffic_moves_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], traffic: Any, problem: str
) -> None:
    monkeypatch.setattr(rollback, "TrafficMonitor", traffic)
    one = Deployment(tmp_path)
    one.run()
    assert rollback.rollback(SETTINGS, environment(one, FakeRegistry(OLD, NEW)), one.reports) == 0
    assert one.ports.router.observe().live.value == "blue"
    assert f"not counted from the start, and the rollback goes on: {problem}" in capsys.readouterr().out
    (folder,) = one.reports.glob("*-rollback-*")
    report = json.loads((folder / "verification.json").read_text())
    assert (report["verdict"], report["rollback"]) == ("rolled_back", None)
    assert problem in (folder / "audit.jsonl").read_text()

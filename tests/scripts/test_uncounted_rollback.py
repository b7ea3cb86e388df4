"""A rollback by hand does not depend on the prober, which only counts users' requests."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
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


@pytest.mark.parametrize(
    ("limits", "live_url", "problem"),
    [
        ({"prober_timeout": 0}, "http://live.example", "the prober's timeout is 0 s; it must be above 0"),
        ({"prober_rate": -1}, "http://live.example", "the prober's rate is -1 requests/s; it must be above 0"),
        ({}, "live.example", "the prober needs an http or https URL, got 'live.example'"),
    ],
    ids=["timeout", "rate", "address"],
)
def test_traffic_moves_back_if_the_prober_cannot_be_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limits: dict[str, Any], live_url: str, problem: str
) -> None:
    one = Deployment(tmp_path)
    one.run()
    settings = replace(SETTINGS, limits=replace(SETTINGS.limits, **limits))
    world = replace(environment(one, FakeRegistry(OLD, NEW)), live_url=live_url)
    assert rollback.rollback(settings, world, one.reports) == 0
    assert one.ports.router.observe().live.value == "blue"
    assert f"the rollback goes on: the prober did not start: {problem}" in capsys.readouterr().out
    (folder,) = one.reports.glob("*-rollback-*")
    assert json.loads((folder / "verification.json").read_text())["verdict"] == "rolled_back"
    assert problem in (folder / "audit.jsonl").read_text()

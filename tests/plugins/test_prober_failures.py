"""A prober that cannot be used ends a run with a reason, and never as an internal error."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from plugins.traffic import TrafficMonitor
from tests.plugins.project import Project
from tests.plugins.test_traffic_watch import CONFIG
from verification.prober.prober import Prober, ProberFailed
from verification.watch.watch import WatchLimits

SILENT = "the prober has 3 samples, expected 5: waited 30 s"
MEMORY = os.strerror(errno.ENOMEM)
Break = Callable[[pytest.MonkeyPatch], None]


def _silent(patch: pytest.MonkeyPatch) -> None:
    def wait(self: Prober, count: int, deadline_s: float) -> None:
        raise ProberFailed(SILENT)

    patch.setattr(Prober, "wait_for_samples", wait)


def _no_process(patch: pytest.MonkeyPatch) -> None:
    def start(*_: Any) -> Prober:
        raise OSError(errno.ENOMEM, MEMORY)

    patch.setattr(Prober, "start", start)


BROKEN = pytest.mark.parametrize(
    ("broken", "problem"), [(_silent, SILENT), (_no_process, MEMORY)], ids=["silent", "no process"]
)


@BROKEN
def test_a_deployment_is_rejected(
    project: Project, monkeypatch: pytest.MonkeyPatch, broken: Break, problem: str
) -> None:
    broken(monkeypatch)
    run = project.run()
    assert run.result == (1, "rejected", 0, 0, 0), run.output
    assert run.report["reason"] == f"lease: the availability prober cannot be used: {problem}"
    assert "Traceback" not in run.output


@BROKEN
def test_a_verification_fails(project: Project, monkeypatch: pytest.MonkeyPatch, broken: Break, problem: str) -> None:
    broken(monkeypatch)
    run = project.run(target=None)
    assert (run.code, run.report["verdict"]) == (1, "failed"), run.output
    assert f"the availability prober cannot be used: {problem}" in run.report["reason"]
    assert "Traceback" not in run.output


class Recording:
    """A prober that notes for how long its samples are waited for."""

    waited: ClassVar[list[float]] = []

    def wait_for_samples(self, count: int, deadline_s: float) -> None:
        assert count == 5
        self.waited.append(deadline_s)


@pytest.mark.parametrize(("rate", "timeout_s"), [(0.1, 10.0), (500.0, 60.0)])
def test_a_slow_prober_gets_the_time_for_its_first_samples(
    monkeypatch: pytest.MonkeyPatch, rate: float, timeout_s: float
) -> None:
    """At one request in 10 s the fifth one is sent after 40 s, and each answer may take until its time-out."""
    prober = Recording()
    monkeypatch.setattr(Prober, "start", lambda _: prober)
    TrafficMonitor(replace(CONFIG, rate=rate, timeout_s=timeout_s), WatchLimits()).warm_up()
    assert prober.waited.pop() >= 4 / rate + timeout_s

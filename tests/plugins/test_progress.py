"""Progress on a terminal: a line that is cut still has the state and the time."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from deployment.events import Waiting
from deployment.model import Colour, Rollout
from infrastructure.aws.apprunner.platform import _judge
from infrastructure.aws.apprunner.requests import Operation
from infrastructure.aws.ecs.requests import Followed, judge
from plugins.terminal.progress import Progress

OPERATION = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
LONG = "telehealth-api-production-eu-central-green"  # as long as names on App Runner may be, and more


class Screen:
    """A terminal reporter of 80 columns that keeps what was written."""

    isatty = True
    currentfspath = None

    def __init__(self, columns: int = 80) -> None:
        self.written: list[str] = []
        self._tw = TerminalWriter(io.StringIO())
        self._tw.fullwidth = columns

    def rewrite(self, text: str, **_: Any) -> None:
        self.written.append(text)

    def write(self, text: str, **_: Any) -> None:
        self.written.append(text)

    def write_line(self, text: str, **_: Any) -> None:
        self.written.append(text)

    def ensure_newline(self) -> None:
        """Do nothing: there is no other line."""


def progress_on(screen: Screen) -> Progress:
    plugins = SimpleNamespace(get_plugin=lambda _: screen)
    config: Any = SimpleNamespace(pluginmanager=plugins, option=SimpleNamespace(verbose=0))
    return Progress(config)


def apprunner(name: str) -> str:
    service = {"ServiceName": name, "Status": "OPERATION_IN_PROGRESS"}
    operation = Operation(OPERATION, "UPDATE_SERVICE", "IN_PROGRESS")
    return _judge(service, operation, Rollout(Colour.GREEN, "sha256:b", OPERATION)).detail


def ecs(name: str) -> str:
    deployment = {"id": "ecs-svc/1", "taskDefinition": "d:2", "rolloutState": "IN_PROGRESS", "status": "PRIMARY"}
    counts = {"runningCount": 1, "desiredCount": 4, "failedTasks": 2}
    service = {"serviceName": name, "deployments": [deployment | counts], "events": [{"message": "has started" * 9}]}
    found = judge(service, Followed("d:2", "ecs-svc/1", 0.0))
    assert found is not None
    return found.detail


@pytest.mark.parametrize(
    ("detail", "state"),
    [
        (apprunner("telehealth-api-green"), "IN_PROGRESS"),
        (apprunner(LONG), "IN_PROGRESS"),
        (ecs("telehealth-api-green"), "1 of 4 tasks run, 2 failed to start"),
        (ecs(LONG), "1 of 4 tasks run, 2 failed to start"),
    ],
    ids=["App Runner", "App Runner, long name", "ECS", "ECS, long name"],
)
def test_line_that_is_cut_has_state_and_time(detail: str, state: str) -> None:
    screen = Screen()
    progress_on(screen).event(Waiting("provision", detail, 127.4))
    line = screen.written[-1]
    assert len(line) == 79, f"not cut: {line}"
    assert line.startswith(f"provision  127 s: {state}"), line


def test_log_line_begins_with_the_time() -> None:
    screen = Screen()
    screen.isatty = False
    progress = progress_on(screen)
    progress._last_line = float("-inf")
    progress.event(Waiting("provision", apprunner("telehealth-api-green"), 31.0))
    assert screen.written[-1].startswith("still waiting after 31 s: IN_PROGRESS")

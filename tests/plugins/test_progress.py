"""Progress on a terminal: a line that is cut still has the state and the time."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from deployment.events import PhaseChanged, StepBegan, StepEnded, Waiting
from deployment.model import Colour, Reason, Rollout
from deployment.phases import Phase
from infrastructure.aws.apprunner.platform import _judge
from infrastructure.aws.apprunner.requests import Operation
from infrastructure.aws.ecs.requests import Followed, judge
from plugins.terminal.progress import Progress
from tests.plugins.project import REJECTED, Project

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
        """Do nothing: no other line exists."""


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


RAW = "\x1b[41mred\x1b]0;another title\x07 bell\x07 \x9b5mblink \u202edesrever \x1b[2J\r\x08gone"


def test_texts_of_a_service_reach_the_terminal_without_control_characters() -> None:
    screen = Screen()
    progress = progress_on(screen)
    progress.say(RAW)
    progress.event(StepBegan("provision", RAW))
    progress.event(Waiting("provision", RAW, 1.0))
    progress.event(StepEnded("bake", False, 1.0, f"BadStatusLine: HTTP/1.1 {RAW}"))
    progress.event(PhaseChanged(Phase.BAKING, Phase.ROLLING_BACK, Reason("bake", RAW)))
    written = "".join(line for line in screen.written if line != "\r")
    assert re.sub(r"[\n -~]", "", written) == ""
    assert written.count("red bell") == 5


@pytest.mark.soak
def test_output_of_a_run_has_no_control_characters_of_a_service(project: Project) -> None:
    """Messages of checks, prints, warnings and parameters, in one process: all may quote an answer."""
    project.suite(
        "redis",
        f"""
        import pytest
        @pytest.mark.parametrize("answer", [{RAW!r}])
        def test_it(client, warn, answer):
            print(answer)
            warn(answer)
            assert client.get("/health").status_code == 500, answer
        """,
    )
    run = project.run("-rA")
    assert run.result == REJECTED, run.output
    assert "\n".join(re.findall("[^\n\t -~]+", run.output)) == ""
    assert "AssertionError: red bell blink desrever" in run.output
    assert "redis: test_it" in run.report["reason"]

"""Progress on a terminal and in a log: steps, gates, users' requests and the time left, of which nothing is cut."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from deployment.events import PhaseChanged, StepBegan, StepEnded, Waiting
from deployment.evidence.past.usual import durations
from deployment.model import Colour, Reason, Rollout
from deployment.phases import Phase
from infrastructure.aws.apprunner.platform import _judge
from infrastructure.aws.apprunner.requests import Operation
from infrastructure.aws.ecs.requests import Followed, judge
from plugins.terminal.live import GateCount, Now, block, possible, time_left
from plugins.terminal.output import PrintableFormatter
from plugins.terminal.progress import Progress
from plugins.terminal.screen import Screen as LiveScreen
from tests.plugins.on_a_terminal import displayed, pytest_on_a_terminal
from tests.plugins.project import PROMOTED, REJECTED, Project
from verification.redaction.printable import printable
from verification.redaction.redactor import Redactor

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

    def write_sep(self, _: str, title: str, **__: Any) -> None:
        self.written.append(title)

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
    found = judge(service, Followed("d:2", "ecs-svc/1", None), lambda: None)
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
def test_live_view_has_all_of_what_a_step_waits_for(detail: str, state: str) -> None:
    shown = block(Now("provision", "bring up telehealth-api:1.1.0 on green", 127.4, None, detail), 79)
    assert max(map(len, shown.splitlines())) <= 79
    assert shown.startswith("provision  2 min 7 s: bring up telehealth-api:1.1.0 on green\n")
    assert " ".join(shown.split()).endswith(detail), "nothing is cut"
    assert shown.splitlines()[1].strip().startswith(state)


@pytest.mark.parametrize(("width", "most"), [(40, 1), (60, 2)])
def test_small_terminal_still_shows_state_and_time(width: int, most: int) -> None:
    """A long description may take every line that is left."""
    now = Now("provision", f"bring up telehealth-api:1.1.0 on {LONG} " * 4, 127.4, 240.0)
    shown = block(now, width, most=most)
    assert len(shown.splitlines()) == most
    assert shown.startswith("provision  2 min 7 s, about")


GATES = tuple(
    GateCount(name, 12) for name in ("health", "database", "redis", "auth", "endpoints", "continuity", "live")
)


def test_live_view_shows_gates_users_and_the_time_left() -> None:
    gates = (replace(GATES[0], done=12), replace(GATES[1], done=3, failed=2), *GATES[2:], GateCount("load", 0))
    between = block(Now("", "", 1.3, 0.0, "", gates, (1204, 3)), 79)
    assert between.startswith("gates "), "between two steps, no time of a step is shown"
    assert block(Now("", "", 1.3), 79).strip() == ""
    shown = block(Now("verify", "verify telehealth-api:1.1.0 on green", 48, 128, "", gates, (1204, 3)), 79)
    print(shown)
    assert "verify     48 s, about 1 min 20 s left: verify telehealth-api:1.1.0 on green\n" in shown
    assert "health 12 of 12, database 3 of 12 (2 failed), redis 0 of 12" in shown
    assert "load" not in shown, "a gate without checks is not shown"
    assert "users      1,204 requests to the live domain, 3 failed\n" in shown
    for gate in gates[:-1]:
        assert any(f"{gate.name} {gate.done} of {gate.checks}" in line for line in shown.splitlines()), "not divided"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_live_view_is_never_wider_than_the_terminal_nor_higher_than_its_share(width: int) -> None:
    gates = tuple(GateCount(f"gate_{number:02}", 1000, 7, 3) for number in range(60))
    shown = block(Now("verify", "verify " + "x" * 300, 1, None, LONG * 20, gates, (0, 0)), width, most=6, colours=True)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("elapsed", "usual", "words"),
    [(10, None, ""), (10, 40.4, ", about 30 s left"), (40, 40.2, ", about 1 s left"), (50, 40, ", usually 40 s")],
)
def test_time_left_is_said_only_with_a_history(elapsed: float, usual: float | None, words: str) -> None:
    assert time_left(elapsed, usual) == words


@pytest.mark.parametrize(
    ("variables", "can"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False), ({"TERM": "xterm", "CI": "true"}, False)],
)
def test_live_view_needs_a_terminal_that_is_no_log(variables: dict[str, str], can: bool) -> None:
    assert possible(variables) is can


def test_usual_durations_are_medians_of_the_newest_runs_of_the_environment(tmp_path: Path) -> None:
    def report(number: int, environment: str, **seconds: float) -> None:
        folder = tmp_path / f"202611{number:02}-120000-green-abcdef"
        folder.mkdir()
        steps = [{"name": name, "outcome": "passed", "duration_s": one} for name, one in seconds.items()]
        steps.append({"name": "bake", "outcome": "failed", "duration_s": 999.0})
        (folder / "verification.json").write_text(json.dumps({"environment": environment, "steps": steps}))

    for number in range(1, 4):
        report(number, "production", verify=1000.0)  # too old to count
    for number in range(4, 24):
        report(number, "production", verify=float(number), provision=7.0)
    report(24, "staging", verify=1.0)
    report(25, "production", verify=1.0)
    (tmp_path / "20261126-120000-green-abcdef").mkdir()
    (tmp_path / "20261127-120000-green-abcdef").mkdir()
    (tmp_path / "20261127-120000-green-abcdef" / "verification.json").write_text("[")
    found = durations(tmp_path, "production", "20261125-120000-green-abcdef")
    assert found == {"verify": 13.5, "provision": 7.0}
    assert durations(tmp_path / "nowhere", "production") == {}


def test_a_pipe_in_place_of_an_earlier_report_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "20261125-120000-green-abcdef").mkdir()
    os.mkfifo(tmp_path / "20261125-120000-green-abcdef" / "verification.json")
    assert durations(tmp_path, "production") == {}


class Tty(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_other_output_erases_the_view_and_is_never_divided_by_it() -> None:
    raw, screen = Tty(), LiveScreen()
    terminal = screen.beneath(raw)
    screen.draw("one\ntwo\n")
    terminal.write("a line\n")
    terminal.write("begun")
    screen.draw("one\ntwo\n")
    terminal.write(" and ended\n")
    screen.draw("three\n")
    assert displayed(raw.getvalue()) == "a line\nbegun and ended\nthree"
    screen.clear()
    assert displayed(raw.getvalue()) == "a line\nbegun and ended"


def test_log_has_no_view() -> None:
    raw, screen = io.StringIO(), LiveScreen()
    assert screen.beneath(raw) is raw
    screen.draw("one\n")
    assert raw.getvalue() == ""


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("detail", "state"), [(apprunner(LONG), "IN_PROGRESS"), (ecs(LONG), "1 of 4 tasks run, 2")])
def test_line_of_a_step_that_waits_begins_with_time_and_state(detail: str, state: str, *, terminal: bool) -> None:
    """On a terminal without a live view, such as a CI job's, the line is wrapped and not cut."""
    screen = Screen()
    screen.isatty = terminal
    progress = progress_on(screen)
    progress._last_line = float("-inf")
    progress.event(Waiting("provision", detail, 31.0))
    assert screen.written[-1].startswith(f"still waiting after 31 s: {state}")
    assert " ".join(screen.written[-1].split()).endswith(detail)
    assert max(map(len, screen.written[-1].splitlines())) <= 80 or not terminal


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
    assert written.count("red bell") == 3
    shown = block(Now("provision", printable(RAW), 1.0), 79)
    assert "red bell" in shown
    assert re.sub(r"[\n -~]", "", shown) == ""


def test_live_view_shows_no_control_characters_of_a_service() -> None:
    progress = progress_on(Screen())
    run: Any = SimpleNamespace(settings=None, refusal="none", traffic_seen=None, redactor=Redactor(()))
    progress._run = run
    progress.event(StepBegan("provision", RAW))
    progress.event(Waiting("provision", RAW, 1.0))
    now = progress._now()
    assert now is not None
    for text in (now.what, now.detail):
        assert text.startswith("red bell blink desrever")
        assert re.sub(r"[\n -~]", "", text) == ""
    assert "\n" not in now.detail


@pytest.mark.parametrize("given", [{"image_tag": RAW}, {"base_url": f"http://{RAW}"}, {"environment": RAW}])
def test_headline_shows_no_control_characters_of_an_option(given: dict[str, str]) -> None:
    screen = Screen()
    options = {"target": "green", "image_tag": None, "base_url": None, "environment": None, **given}
    run: Any = SimpleNamespace(options=SimpleNamespace(**options), settings=None, run_id="20261129-120000-green-abcdef")
    progress_on(screen).headline(run)
    assert "red bell" in screen.written[0]
    assert re.sub(r"[\n -~]", "", screen.written[0]) == ""


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


def test_live_logging_prints_no_control_characters_of_a_service(project: Project) -> None:
    """pytest's own colours are off here, so that every colour would be one of the service."""
    project.add(
        "auth",
        f"""
        import logging

        def test_it(client):
            logging.getLogger("http").info("HTTP/1.1 200 %s", {RAW!r})
            logging.info("HTTP/1.1 200 \\x1b[41mOK\\x1b[5m\\rgone")
            try:
                raise ValueError({RAW!r})
            except ValueError:
                logging.exception("fails", stack_info=True)
            assert client.get("/health").status_code == 200
        """,
    )
    run = project.run("-n0", "--log-cli-level=INFO", "-s", target=None)
    assert run.code == 0, run.output
    assert "HTTP/1.1 200 red bell blink desrever" in run.output
    assert "HTTP/1.1 200 OK\n" in run.output
    assert "ValueError: red bell" in run.output
    assert re.sub(r"[\n\t -~]", "", run.output) == ""


@pytest.mark.parametrize("text", ["200 \x1b[41mOK\x1b[5m", "OK\r\x1b[32mPASSED\x1b[0m", "OK"])
def test_formatter_of_live_logging_changes_no_record(text: str) -> None:
    """Colours that the inner formatter adds stay, and other handlers get the record as it was."""
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("http", logging.INFO, "file.py", 1, "%s", (text,), sys.exc_info())
    before = dict(vars(record))
    shown = PrintableFormatter(logging.Formatter("\x1b[32m%(levelname)s\x1b[0m %(message)s")).format(record)
    first, *_, last = shown.splitlines()
    assert first.startswith("\x1b[32mINFO\x1b[0m ")
    assert "OK" in first
    assert re.search(r"[\x1b\r]", shown.removeprefix("\x1b[32mINFO\x1b[0m ")) is None
    assert last.isprintable()
    assert vars(record) == before


# -- whole runs ------------------------------------------------------------------------------------------------------------

SLOW = """
import time, pytest

@pytest.mark.parametrize("number", range(4))
def test_slow(client, number):
    time.sleep(0.2)  # so that the live view is drawn in between
    assert client.get("/health").status_code == {status}
"""
GATE_LINE = r"(?m)^(health|database|redis|auth|endpoints|latency|load|live) +gate (passed|FAILED): "


def test_failed_verification_on_a_terminal_of_80_columns(project: Project) -> None:
    project.suite("auth", SLOW.format(status="(500 if number == 3 else 200)"))
    seen = pytest_on_a_terminal(project.path, "suites/health", "suites/auth")
    assert seen.code == 1, seen.last
    assert any(
        re.search(r"\nverify     [\d.]+ m?s.*: verify the release.*\ngates .*auth [1-3] of 4", one, re.DOTALL)
        for one in seen.screens
    )
    kept = "\n".join(seen.everything)
    assert re.search(r"\ngates  ", kept) is None, "the view is erased at the end"
    assert "health     gate passed: 1 of 1 checks" in kept
    assert "auth       gate FAILED: 1 of 4 checks did not pass" in kept
    assert "\n    pytest 'suites/auth/test_auth.py::test_slow[3]'\n" in seen.last, (
        "the command repeats it against the live release"
    )
    assert " verdict " in seen.last


@pytest.mark.soak
def test_rejected_run_on_a_terminal_of_80_columns(project: Project) -> None:
    project.suite("auth", SLOW.format(status="(500 if number == 3 else 200)"))
    seen = pytest_on_a_terminal(project.path, "--target=green")
    print("\n".join(seen.everything))
    assert seen.code == 1
    views = [shown for shown in seen.screens if re.search(r"\ngates  .*auth [1-3] of 4", shown, re.DOTALL)]
    assert views, "no view was drawn while the gate worked"
    assert re.search(r"\nverify     [\d.]+ m?s: verify telehealth-api:1\.1\.0 on green\n", views[0])
    assert re.search(r"\nusers      [\d,]+ requests to the live domain, 0 failed$", views[0])
    kept = "\n".join(seen.everything)
    assert re.search(r"\ngates  |\nusers  ", kept) is None, "the view is erased at the end"
    assert "auth       gate FAILED: 1 of 4 checks did not pass" in kept
    assert "FAILED suites/auth/test_auth.py::test_slow[3]" in kept, "pytest's own summary keeps its words"
    verdict = kept.rpartition(" verdict ")[2]
    for words in ("REJECTED: ", "  FAILED auth: test_slow[3]", "\n  users: 0 of ", "\n  exit code 1"):
        assert words in verdict
    assert "\n    pytest --base-url=URL 'suites/auth/test_auth.py::test_slow[3]'\n" in verdict
    assert " verdict " in seen.last, "all of it is on the last screen"


@pytest.mark.soak
def test_second_promotion_shows_the_time_that_is_left(project: Project) -> None:
    project.suite("redis", SLOW.format(status=200))
    first = pytest_on_a_terminal(project.path, "--target=green")
    assert first.code == 0, first.last
    assert not any(" left: " in shown for shown in first.screens), "without a history no time is shown"
    second = pytest_on_a_terminal(project.path, "--target=blue")
    assert second.code == 0, second.last
    assert any(re.search(r"\nverify .*, about \d+ s left: verify ", shown) for shown in second.screens)
    assert "PROMOTED: telehealth-api:1.1.0 is live on blue" in second.last


@pytest.mark.soak
@pytest.mark.parametrize("variables", [{}, {"CI": "true"}])
def test_log_has_a_line_for_each_step_and_gate_and_no_control_character(
    project: Project, variables: dict[str, str]
) -> None:
    """With workers as well, and even if the CI job has a terminal."""
    if variables:
        output = "\n".join(
            pytest_on_a_terminal(project.path, "--target=green", "-n2", "--color=no", variables=variables).everything
        )
    else:
        run = project.run_outside("-n2")
        output = run.output
        assert run.result == PROMOTED, output
    assert re.findall(r"[^\n -~]", output.replace("…", "")) == []
    gates = [name for name, _ in re.findall(GATE_LINE, output)]
    assert sorted(gates) == sorted(("health", "database", "redis", "auth", "endpoints", "latency", "load", "live"))
    for step in ("lease", "provision", "verify", "promote", "live", "bake"):
        assert re.search(rf"(?m)^{step} +(?!FAILED).*(\n +.*)?\(\d+\.\d s\)$", output), step


@pytest.mark.soak
def test_interrupted_run_ends_with_the_last_screen(project: Project) -> None:
    project.suite("auth", SLOW.format(status=200).replace("0.2", "0.6"))
    sent: list[int] = []

    def interrupt(process: int, shown: str) -> None:
        if "auth 1 of 4" in shown and not sent:
            sent.append(process)
            os.kill(process, signal.SIGINT)

    seen = pytest_on_a_terminal(project.path, "--target=green", act=interrupt)
    assert sent
    assert seen.code == 2, seen.last
    assert "INTERRUPTED: telehealth-api:1.1.0 was not promoted; live traffic never moved." in seen.last
    assert "interrupted by SIGINT" in seen.last
    assert "exit code 2" in seen.last

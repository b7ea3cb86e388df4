"""A sandbox for the commands that a user types: each command is a process, and processes that it leaves are found and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deployment.recovery.status import describe
from deployment.settings import load
from infrastructure import compose
from infrastructure.compose import Environment
from infrastructure.embedded import cloud
from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.layout import Layout, read_environment
from tests.checkout import SETTINGS_FILE

ROOT = Path(__file__).resolve().parents[2]
# Variables of the test process that a user's environment does not have.
NOT_INHERITED = ("PYTEST_", "COV_", "EMBEDDED_")
LONGEST_RUN_S = 300.0
GONE_WITHIN_S = 10.0


@dataclass(frozen=True)
class CommandResult:
    """The result of a command that has ended; ``folder`` is the folder of its report, None if it wrote none."""

    code: int
    output: str
    seconds: float
    report: Mapping[str, Any] | None
    folder: Path | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return the report; fail if there is none."""
        assert self.report is not None, f"no report was written:\n{self.output}"
        return self.report

    def gate(self, name: str) -> Mapping[str, Any]:
        """Return one gate of the report."""
        return next(gate for gate in self.facts["gates"] if gate["name"] == name)

    @property
    def steps(self) -> list[str]:
        """Return the names of the report's steps, in order."""
        return [step["name"] for step in self.facts["steps"]]

    def journal(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the journal's lines of one kind."""
        assert self.folder is not None, f"no report was written:\n{self.output}"
        return [line for line in journal(self.folder) if line["kind"] == kind]

    def intents(self, step: str) -> int:
        """Return how often a step was begun."""
        return sum(line["step"] == step for line in self.journal("intent"))


def journal(folder: Path) -> list[Mapping[str, Any]]:
    """Return the complete lines of a journal."""
    path = folder / "audit.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


class Sandbox:
    """One state folder, one registry and one folder of reports; ``close`` ends every process that was started from here.

    ``environment`` replaces the ``--environment`` of every command. If it is None, each command keeps its own or the default.
    """

    def __init__(self, folder: Path, registry: Path, environment: str | None = None) -> None:
        self.environment = environment
        self.state = folder / "state"
        self.reports = folder / "reports"
        self.registry = registry
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        self._environment |= {"EMBEDDED_STATE": str(self.state), "EMBEDDED_REGISTRY": str(registry)}
        temporary = folder / "tmp"  # so that what a killed run leaves is removed with the sandbox
        temporary.mkdir(exist_ok=True)
        self._environment["TMPDIR"] = str(temporary)
        self._started: list[subprocess.Popen[str]] = []
        self._open: list[subprocess.Popen[str]] = []  # those whose sessions may still have processes

    # -- commands ------------------------------------------------------------------------------------------------------

    def pytest(self, *options: str) -> CommandResult:
        """Run ``python -m pytest OPTIONS`` and wait for its end."""
        return self.wait(self.begin_pytest(*options))

    def script(self, *arguments: str) -> CommandResult:
        """Run ``python scripts/deploy.py ARGUMENTS`` and wait for its end."""
        named = arguments if arguments[0] == "down" else self._for_environment(arguments)
        return self.wait(self.begin(["scripts/deploy.py", *named], arguments[0]))

    def undo(self, command: str, *options: str) -> CommandResult:
        """Run ``rollback`` or ``recover`` with this sandbox's folder of reports and wait for its end."""
        return self.wait(self.begin_undo(command, *options))

    def begin_undo(self, command: str, *options: str) -> RunningCommand:
        """Start ``rollback`` or ``recover`` without waiting for its end."""
        named = self._for_environment(("--reports", str(self.reports), *options))
        return self.begin(["scripts/deploy.py", command, *named], command)

    def begin_pytest(self, *options: str) -> RunningCommand:
        """Start ``pytest OPTIONS`` without waiting for its end."""
        named = self._for_environment(options)
        return self.begin(["-m", "pytest", *named, f"--reports={self.reports}"], " ".join(named))

    def _for_environment(self, options: tuple[str, ...]) -> tuple[str, ...]:
        if self.environment is None:
            return options
        others = (option for option in options if not option.startswith("--environment"))
        return (*others, f"--environment={self.environment}")

    def begin(self, arguments: list[str], name: str, variables: Mapping[str, str] | None = None) -> RunningCommand:
        """Start Python with these arguments; ``variables`` are added to the user's environment."""
        before = self._folders()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self._environment, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        self._open.append(process)
        return RunningCommand(self, process, before, name, time.monotonic())

    def wait(self, running: RunningCommand) -> CommandResult:
        """Wait for the command's end and return its result; kill it and fail after LONGEST_RUN_S."""
        try:
            output, _ = running.process.communicate(timeout=LONGEST_RUN_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            output, _ = running.process.communicate()
            raise AssertionError(f"{running.name} did not end within {LONGEST_RUN_S:g} s:\n{output}") from None
        seconds = time.monotonic() - running.began
        folder = running.folder()
        path = None if folder is None else folder / "verification.json"
        report = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else None
        print(f"{running.name}: exit {running.process.returncode} after {seconds:.1f} s")
        return CommandResult(running.process.returncode, output, seconds, report, folder)

    def _folders(self) -> set[Path]:
        found = self.reports.glob("*") if self.reports.exists() else ()
        return {path for path in found if path.is_dir() and not path.is_symlink()}

    # -- the world -----------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        ran = self.script("status", "--json")
        assert ran.code == 0, ran.output
        document: dict[str, Any] = json.loads(ran.output)
        return document

    def status_in_process(self) -> dict[str, Any]:
        """Return what ``status --json`` prints, without starting a process."""
        with self.world() as world:
            return describe(world.name, world.live_url, world.ports, world.registry)

    def assert_live(self, colour: str, version: str) -> None:
        """Assert that this colour is live on this version, that no deployment is under way and that the lock is free."""
        status = self.status_in_process()
        assert (status["live"]["colour"], status["live"]["version"]) == (colour, version)
        assert (status["deployment"], status["lock"]) == (None, None)

    @contextmanager
    def world(self) -> Iterator[Environment]:
        """Yield the environment with its ports, connected as the framework connects."""
        before = os.environ.get("EMBEDDED_STATE")
        os.environ["EMBEDDED_STATE"] = str(self.state)
        try:
            yield compose.connect(load(SETTINGS_FILE, self.environment))
        finally:
            os.environ.pop("EMBEDDED_STATE")
            if before is not None:
                os.environ["EMBEDDED_STATE"] = before

    def ports(self) -> list[int]:
        """Return the environment's TCP ports; empty if it is not up."""
        environment = read_environment(Layout(self.state.resolve()))
        return [] if environment is None else list(vars(environment.ports).values())

    def running(self) -> dict[int, str]:
        """Return the command lines of this sandbox's processes by pid, without PostgreSQL's workers, which come and go."""
        sessions = self._sessions()
        return {process.pid: _name(process) for process in psutil.process_iter() if self._ours(process, sessions)}

    def _sessions(self) -> set[int]:
        """Return the sessions that were started from here and still have a process.

        The system may give the pid to another process once the session's last process has ended. The session of that number is
        then another's: its processes must be neither reported nor killed.
        """
        present = {_session(pid) for pid in psutil.pids()}
        self._open = [
            leader
            for leader in self._open
            if leader.poll() is None or (leader.pid in present and not psutil.pid_exists(leader.pid))
        ]
        return {leader.pid for leader in self._open}

    def _ours(self, process: psutil.Process, sessions: set[int]) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.name().startswith("postgres: "):
                return False
            command = process.cmdline()
            if not command or command[0].startswith("postgres: "):
                return False
            return (
                os.getsid(process.pid) in sessions
                or any(str(self.state) in part for part in command)
                or process.cwd().startswith(str(self.state))
                or process.environ().get("EMBEDDED_STATE") == str(self.state)
            )
        except (psutil.Error, ProcessLookupError):
            return False

    def close(self) -> None:
        """End every process that was started from here, the environment included; safe to repeat."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
            # The output of a killed process was not read completely: its open pipe would be a ResourceWarning in a later test.
            if process.stdout is not None:
                process.stdout.close()
        with suppress(EmbeddedError):
            cloud.down(self.state)  # as the command does, without the start of another process
        running = self.running()
        left = [process for process in psutil.process_iter() if process.pid in running]
        for survivor in left:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        # A killed process stays in the process list for a moment.
        psutil.wait_procs(left, timeout=GONE_WITHIN_S)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@dataclass(frozen=True)
class RunningCommand:
    """A command that was started and not yet waited for."""

    sandbox: Sandbox
    process: subprocess.Popen[str]
    before: set[Path]
    name: str
    began: float

    def folder(self) -> Path | None:
        """Return the folder of its report, None if there is none yet."""
        new = sorted(self.sandbox._folders() - self.before)
        return new[0] if new else None

    def wait_for(self, kind: str, step: str | None = None) -> None:
        """Wait until its journal has a line of this kind (and step); fail if the command ends before."""

        def there() -> bool:
            folder = self.folder()
            lines = journal(folder) if folder is not None else []
            return any(line["kind"] == kind and step in (None, line.get("step")) for line in lines)

        deadline = time.monotonic() + LONGEST_RUN_S
        while not there():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended before {kind} {step}:\n{self.sandbox.wait(self).output}")
            assert time.monotonic() < deadline, f"{self.name} did not reach {kind} {step} within {LONGEST_RUN_S:g} s"
            time.sleep(0.02)

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process; with ``group`` also to all its children, as a terminal's Ctrl-C does."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)


def wait_until(true: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
    """Wait until the condition is true; fail after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:160]
    except psutil.Error:
        return "gone"

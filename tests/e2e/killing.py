"""Runs that are killed at a line of their journal, and the assertions that must hold after ``recover``."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from deployment.settings import load
from scripts.commands import audit
from tests.checkout import CHECKOUT, SETTINGS_FILE
from tests.e2e import images, kill_switch
from tests.e2e.sandbox import CommandResult, RunningCommand, Sandbox, journal, wait_until

ENVIRONMENT = ("--environment", "quick")
OLD, NEW = ("blue", images.OLD), ("green", images.NEW)
SWITCH = "tests.e2e.kill_switch"
# These tests kill runs and do not test the gates: every gate runs, for as short a time as possible.
# The latency gate takes up to nine times as many samples if a busy machine makes answers differ. Only a difference as large as
# these limits makes it do so here.
_ANY_LATENCY = {"slower": "50", "slower_ms": "500", "found": "100"}
FAST = {
    "deployment": {"bake": "1", "prober_rate": "10"},
    "gates.latency": {"warmup": "1", "samples": "20"} | _ANY_LATENCY,
    "gates.load": {
        "users": "4",
        "duration": "1",
        "min_requests": "5",
        "failure_ratio": "0.5",
        "throughput": "0.1",
    },
}
ECS = "embedded-ecs"
FAST_ON_ECS = {
    "deployment": FAST["deployment"],
    "gates.latency": {"samples": "20", "slower_ms": _ANY_LATENCY["slower_ms"]},
    "gates.load": FAST["gates.load"],
}
FAST_FOR_ALL = {
    "deployment": {"identity": "20"},
    "gates.health": {"consecutive": "5", "window": "0.2", "identity": "20"},
    "gates.latency": {"warmup": "1", "tail_share": "1"} | _ANY_LATENCY,
}


def write_fast_settings(folder: Path, bake: str = "1") -> Path:
    """Write a deployment.toml with shorter times for the environments ``quick`` and ``embedded-ecs``; return its path.

    ``bake`` is how long a promoted release is watched, in seconds.
    """
    text = SETTINGS_FILE.read_text(encoding="utf-8")
    for environment, tables in (("quick", FAST), (ECS, FAST_ON_ECS)):
        for table, values in tables.items():
            head, title, rest = text.partition(f"[environments.{environment}.{table}]\n")
            for key, value in values.items():
                wanted = bake if key == "bake" else value
                rest, found = re.subn(rf"^{key} = \S+", f"{key} = {wanted}", rest, count=1, flags=re.MULTILINE)
                assert found == 1, f"{table}.{key} is no longer set in the environment {environment}"
            text = head + title + rest
    for table, values in FAST_FOR_ALL.items():
        head, title, rest = text.partition(f"[{table}]\n")
        for key, value in values.items():
            rest, found = re.subn(rf"^{key} = \S+", f"{key} = {value}", rest, count=1, flags=re.MULTILINE)
            assert found == 1, f"{table}.{key} is no longer set"
        text = head + title + rest
    path = folder / "deployment.toml"
    service = load(SETTINGS_FILE, None).service_file  # the shipped file's path is relative to that file
    whole = re.sub(r"^service = .*", f'service = "{service}"', text, count=1, flags=re.MULTILINE)
    path.write_text(whole, encoding="utf-8")
    shutil.copy(CHECKOUT.checklist_file, folder)
    return path


@dataclass(frozen=True)
class Killed:
    """A killed process: the folder of its report (None if it had none yet), and the suspended child processes that it left."""

    folder: Path | None
    left: tuple[psutil.Process, ...]

    def thaw(self) -> None:
        """Resume the suspended child processes, after their run was recovered."""
        for process in self.left:
            if process.is_running():
                process.resume()


def deploy(sandbox: Sandbox, settings: Path, *options: str, spot: str = "") -> RunningCommand:
    """Start a deployment to green that is killed at ``spot``.

    It has two workers, which outlive it, unless ``spot`` is empty or starts with "before".
    """
    workers = "0" if spot.startswith(kill_switch.BEFORE) or not spot else "2"
    environment = sandbox.environment or "quick"
    command = ["-m", "pytest", "-p", SWITCH, "--target=green", f"--environment={environment}", "-n", workers, *options]
    variables = {kill_switch.SETTINGS: str(settings), kill_switch.SPOT: spot}
    return sandbox.begin([*command, f"--reports={sandbox.reports}"], f"deploy, {spot or 'whole'}", variables)


def undo(sandbox: Sandbox, settings: Path, command: str, spot: str) -> RunningCommand:
    """Start ``rollback`` or ``recover`` that is killed at ``spot``."""
    arguments = ["-m", SWITCH, "scripts/deploy.py", command, "--reports", str(sandbox.reports), *ENVIRONMENT]
    return sandbox.begin(arguments, f"{command}, {spot}", {kill_switch.SETTINGS: str(settings), kill_switch.SPOT: spot})


def wait_killed(sandbox: Sandbox, running: RunningCommand) -> Killed:
    """Wait until the process is killed by its own SIGKILL; fail if it ends otherwise or is not dead after 120 s."""
    try:
        code = running.process.wait(120)
    except Exception:
        running.process.kill()
        raise
    assert code == -signal.SIGKILL, f"{running.name}: it ended with {code}\n{sandbox.wait(running).output[-3000:]}"
    left = [process for process in map(psutil.Process, sandbox.running()) if process.status() == psutil.STATUS_STOPPED]
    folder = running.folder()
    return Killed(folder if folder is not None and journal(folder) else None, tuple(left))


def labels(folder: Path) -> list[str]:
    """Return the names of a journal's lines; lines about notifications are left out, because their position is not fixed."""
    seen = Counter[str]()
    lines = [line for line in journal(folder) if line["kind"] not in ("notified", "not_notified")]
    return [kill_switch.label(line["kind"], line, seen) for line in lines]


def recover(sandbox: Sandbox) -> CommandResult:
    """Run ``recover``, which must succeed."""
    ran = sandbox.undo("recover", *ENVIRONMENT)
    assert ran.code == 0, ran.output
    return ran


def assert_settled(
    sandbox: Sandbox,
    live: tuple[str, str],
    folder: Path | None = None,
    verdict: str | None = None,
    *,
    succeeded: bool | None = None,
) -> None:
    """Assert that one healthy colour takes all traffic on its version, the lease is free and no deployment is under way.

    With ``folder``, assert as well that its journal is closed, its evidence verifies and its report has ``verdict``.
    ``succeeded`` says whether the report must have no reason; None: exactly if the verdict is "promoted".
    """
    status = sandbox.status_in_process()
    assert (status["live"]["colour"], status["live"]["version"]) == live
    assert (status["deployment"], status["lock"]) == (None, None)
    with sandbox.world() as world:
        assert world.ports.router.observe().weights[world.ports.router.observe().live] == 100
        assert world.ports.front.examine() == []
        if folder is None:
            return
        assert audit.verify(load(SETTINGS_FILE, "quick"), folder) == 0
    last = journal(folder)[-1]
    assert last["kind"] == "closed"
    report = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    assert (report["deployment_id"], report["verdict"]) == (folder.name, verdict)
    assert report["recovered"] is (report["exit_code"] is None)
    assert (report["reason"] is None) is ((verdict == "promoted") if succeeded is None else succeeded)
    names = [step["name"] for step in report["steps"]]
    assert len(names) == len(set(names))


def assert_no_change_after_thaw(sandbox: Sandbox, killed: Killed, before: Mapping[int, str]) -> None:
    """Assert that the processes that the killed run left end after they are resumed, and change nothing."""
    settled = sandbox.status_in_process()
    killed.thaw()
    wait_until(lambda: sandbox.running() == before, f"what the killed run started to end: {before}")
    assert sandbox.status_in_process() == settled

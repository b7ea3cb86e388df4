"""Processes that outlive their starter: identified by pid and start time, each with a log and a readiness probe."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.files import replace_json
from infrastructure.embedded.layout import Layout

START_TIME_TOLERANCE_S = 1.0
"""psutil derives start times from clock ticks and boot time; two readings may differ by less than this."""
MARK = "EMBEDDED_PROCESS"
"""The environment variable that identifies a process whose starter was killed before it recorded the process."""
READY_PAUSE_S = 0.02
LOG_TAIL_LINES = 20

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Our own children, kept so that they are reaped when they end and do not stay zombies."""
_children_lock = threading.Lock()


@dataclass(frozen=True)
class User:
    """The user that a process runs as, if it is not the current one."""

    uid: int
    gid: int


@dataclass(frozen=True)
class ProcessSpec:
    """How a process is started, probed and stopped; `work_dir` is the working folder of its child processes, if any."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready: Callable[[], bool]
    cwd: Path = Path("/")
    user: User | None = None
    prepare: Callable[[], None] | None = None
    work_dir: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_within_s: float = 30.0


@dataclass(frozen=True)
class Recorded:
    """A process as its starter recorded it; `started_at` is the operating system's start time in Unix seconds."""

    name: str
    pid: int
    started_at: float
    port: int


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return a child's environment: only PATH comes from the caller, so that no AWS_* variable reaches the child."""
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **more}


def start(layout: Layout, spec: ProcessSpec) -> Recorded:
    """Start the process in a session of its own and return once it is ready.

    Raises StartFailed, with the end of its log, if it ends first or is not ready in time; it does not run then.
    """
    if spec.work_dir is not None:
        kill_all(working_below(spec.work_dir))
    if spec.prepare is not None:
        spec.prepare()
    recorded = _spawn(layout, spec)
    deadline = time.monotonic() + spec.ready_within_s
    while alive(recorded):
        if spec.ready():
            return recorded
        if time.monotonic() >= deadline:
            stop(layout, recorded, spec.stop_signal, grace_s=2.0)
            raise StartFailed(spec.name, f"not ready after {spec.ready_within_s:.0f} s", log_tail(layout, spec.name))
        time.sleep(READY_PAUSE_S)
    raise StartFailed(spec.name, "it ended before it was ready", log_tail(layout, spec.name))


def _spawn(layout: Layout, spec: ProcessSpec) -> Recorded:
    with log_file(layout, spec.name).open("ab") as log:
        child = subprocess.Popen(
            list(spec.argv),
            cwd=spec.cwd,
            env={**spec.environment, MARK: str(_record(layout, spec.name))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=spec.user.uid if spec.user else None,
            group=spec.user.gid if spec.user else None,
            extra_groups=[] if spec.user else None,
        )
    with _children_lock:
        _children[child.pid] = child
    recorded = Recorded(spec.name, child.pid, psutil.Process(child.pid).create_time(), spec.port)
    replace_json(_record(layout, spec.name), recorded.__dict__)
    return recorded


def _record(layout: Layout, name: str) -> Path:
    return layout.processes / f"{name}.json"


def recorded(layout: Layout, name: str) -> Recorded | None:
    """Return the record of a process, or None if there is none."""
    try:
        return Recorded(**json.loads(_record(layout, name).read_text()))
    except FileNotFoundError:
        return None


def alive(process: Recorded) -> bool:
    """Return whether this very process runs: same pid, same start time, not a zombie."""
    return _find(process) is not None


def stop(layout: Layout, process: Recorded, how: signal.Signals, grace_s: float = 10.0) -> bool:
    """Send the signal `how`; if the process still runs after `grace_s` seconds, kill it and its children.

    Removes its record. Returns False if the process did not run any more.
    """
    found = _find(process)
    if found is not None:
        family = [found, *found.children(recursive=True)]
        _signal(found, how)
        if not _gone([found], grace_s):
            kill_all(family)
    _record(layout, process.name).unlink(missing_ok=True)
    return found is not None


def working_below(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in `folder` or below it: children that a killed parent left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended, or another user's
    return found


def unrecorded(layout: Layout) -> list[psutil.Process]:
    """Return this environment's processes without a live record: their starter died, or their recorded parent did."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
        except (psutil.Error, OSError):
            continue  # ended, or another user's
        if mark and Path(mark).parent == layout.processes:
            found.setdefault(Path(mark).stem, []).append(process)
    known = {name: recorded(layout, name) for name in found}
    return [one for name, those in found.items() if (it := known[name]) is None or not alive(it) for one in those]


def kill_all(victims: Sequence[psutil.Process]) -> None:
    """Send SIGKILL to each process and wait until none runs."""
    for process in victims:
        _signal(process, signal.SIGKILL)
    _gone(victims, 5.0)


def log_file(layout: Layout, name: str) -> Path:
    """Return the path of a process's log."""
    return layout.logs / f"{name}.log"


def log_tail(layout: Layout, name: str) -> str:
    """Return the last lines of a process's log."""
    try:
        return "\n".join(log_file(layout, name).read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except FileNotFoundError:
        return ""


def _find(process: Recorded) -> psutil.Process | None:
    _reap(process.pid)
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started_at) < START_TIME_TOLERANCE_S
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _gone(processes: Sequence[psutil.Process], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(_runs(process) for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def _runs(process: psutil.Process) -> bool:
    _reap(process.pid)
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@atexit.register
def _leave_running() -> None:
    """Release the children without `Popen`'s warning: they are meant to outlive this process."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0


def _reap(pid: int) -> None:
    with _children_lock:
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            del _children[pid]


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it has ended already

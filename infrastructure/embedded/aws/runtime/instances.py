"""Instances of images: processes that outlive a killed endpoint and are identified by pid and start time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import psutil

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REAPED_WITHIN_S = 5.0
"""The longest wait for the last threads of a process that has ended."""
START_TIME_TOLERANCE_S = 1.0
"""psutil derives start times from clock ticks and boot time; two readings may differ by less than this."""


@dataclass(frozen=True)
class Instance:
    """A process that serves or served a revision; `started_at` is the operating system's start time of `pid`."""

    id: str
    revision_id: str
    pid: int
    started_at: float
    port: int


class Processes:
    """Starts, checks and stops process groups, both own children and adopted ones."""

    def __init__(self, bin_dir: Path) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = Lock()
        self._path = f"{python_on_path(bin_dir)}:{SEARCH_PATH}"

    def environment(self, folder: Path, configured: dict[str, str], port: int) -> dict[str, str]:
        """Return an instance's environment, which contains none of the caller's variables."""
        base = {"PATH": self._path, "HOME": str(folder), "LANG": "C.UTF-8"}
        return base | configured | {"PORT": str(port)}

    def spawn(self, command: str, folder: Path, environment: dict[str, str], log: Path) -> psutil.Process:
        """Start a Procfile command in a session of its own and append its output to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", command],  # a Procfile command is shell by definition
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        with self._lock:
            self._children[child.pid] = child
        return psutil.Process(child.pid)

    def exit_code(self, pid: int) -> int | None:
        """Return the exit code of a child that has ended; None if it runs or is not a child of this process."""
        with self._lock:
            child = self._children.get(pid)
            return child.poll() if child else None

    def alive(self, instance: Instance) -> bool:
        """Return whether this very process still runs: same pid, same start time, not a zombie."""
        self.exit_code(instance.pid)  # reaps a child that has ended
        return _same_process(instance) is not None

    def stop(self, instance: Instance, grace_s: float) -> int | None:
        """Stop the instance's group as `stop_tree` does; return its exit code, or None if it is not known."""
        process = _same_process(instance)
        return self._reap(instance.pid) if process is None else self.stop_tree(process, grace_s)

    def stop_tree(self, leader: psutil.Process, grace_s: float) -> int | None:
        """Send SIGTERM to the leader's group, SIGKILL after `grace_s` seconds; return its exit code, or None."""
        family = _family(leader)
        _signal_group(leader.pid, signal.SIGTERM)
        if not self._gone(leader.pid, family, grace_s):
            _signal_group(leader.pid, signal.SIGKILL)
            for process in family:  # also those that left the group
                _quietly(process.kill)
            self._gone(leader.pid, family, 5.0)
        code = self._reap(leader.pid)
        with self._lock:
            self._children.pop(leader.pid, None)
        return code

    def kill_strays(self, root: Path, keep: set[int]) -> list[int]:
        """Kill the processes that work below `root`, except groups whose leader's pid is in `keep`; return their pids.

        After a kill -9 of the endpoint these are `release:` commands and instances that no record names yet.
        """
        strays = [process for process in psutil.process_iter() if _works_below(process, root)]
        strays = [process for process in strays if _group(process) not in keep]
        for process in strays:
            _quietly(process.kill)
        self._gone(0, strays, 5.0)
        return [process.pid for process in strays]

    def _reap(self, pid: int) -> int | None:
        """Return the exit code of a child that has ended, None if it stays unknown; its other threads may still end, which takes a moment."""
        with self._lock:
            child = self._children.get(pid)
        try:
            return child.wait(REAPED_WITHIN_S) if child else None
        except subprocess.TimeoutExpired:
            return None

    def _gone(self, leader: int, family: list[psutil.Process], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while True:
            self.exit_code(leader)
            if not any(_runs(process) for process in family):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free now; another process may still take it before the instance listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(leader: int, port: int) -> bool:
    """Return whether the instance itself listens on the port, and not another process that took it first."""
    try:
        sockets = [found for process in _family(psutil.Process(leader)) for found in _sockets(process)]
    except psutil.AccessDenied:
        return True  # the system does not allow this check; then the health check alone decides
    except psutil.NoSuchProcess:
        return False
    return port in sockets


def python_on_path(bin_dir: Path) -> str:
    """Return the first folders of PATH; they make `python` the interpreter that runs this, in its environment."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    wrapper = bin_dir / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    return f"{bin_dir}:{Path(sys.executable).parent}"


def _same_process(instance: Instance) -> psutil.Process | None:
    try:
        process = psutil.Process(instance.pid)
        same = abs(process.create_time() - instance.started_at) < START_TIME_TOLERANCE_S
    except psutil.NoSuchProcess:
        return None
    return process if same and _runs(process) else None


def _family(leader: psutil.Process) -> list[psutil.Process]:
    try:
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [leader]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _sockets(process: psutil.Process) -> list[int]:
    return [found.laddr.port for found in process.net_connections("tcp") if found.status == psutil.CONN_LISTEN]


def _works_below(process: psutil.Process, root: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(root)
    except (psutil.Error, OSError):
        return False


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return  # it has ended already


def _quietly(kill: Callable[[], None]) -> None:
    try:
        kill()
    except psutil.NoSuchProcess:
        return

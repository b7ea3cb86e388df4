"""The system's clock, and processes told apart by their start since the boot, which no change of the clock moves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

PROC = Path("/proc")
_START = 19  # the 22nd field of /proc/PID/stat, counted from the one behind the command's name
_ENDED = ("Z", "X")


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        """See ``deployment.ports.Clock``."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See ``deployment.ports.Clock``."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See ``deployment.ports.Clock``."""
        time.sleep(seconds)

    def beside(self, work: Callable[[], None]) -> None:
        """See ``deployment.ports.Clock``. The thread ends with the process."""
        threading.Thread(target=work, name="beside", daemon=True).start()


def process_identity(proc: Path = PROC) -> str | None:
    """Return what tells this process from every other one: boot, PID namespace, pid, and start in ticks since the boot.

    None if the system has no ``/proc``, or shows that of another PID namespace.
    """
    pid = os.getpid()
    try:
        if os.readlink(proc / "self") != str(pid):
            return None
        return f"{_machine(proc)} {pid} {_stat(proc, pid)[_START]}"
    except (OSError, IndexError):
        return None


def process_runs(identity: str, proc: Path = PROC) -> bool | None:
    """Return whether the process of that identity runs.

    None if that cannot be known here: it belongs to another boot, machine or PID namespace, or this user may not see it.
    """
    machine, _, process = identity.rpartition(" ")[0].rpartition(" ")
    started = identity.rpartition(" ")[2]
    try:
        if os.readlink(proc / "self") != str(os.getpid()) or machine != _machine(proc):
            return None
        pid = int(process)
    except (OSError, ValueError):
        return None
    try:
        stat = _stat(proc, pid)
        return bool(stat[_START] == started and stat[0] not in _ENDED)
    except (FileNotFoundError, ProcessLookupError):
        return None if _hidden(pid) else False
    except (OSError, IndexError):
        return None


def _machine(proc: Path) -> str:
    boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.readlink(proc / 'self/ns/pid')}"


def _stat(proc: Path, pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the process's state on; the name before it may contain anything."""
    return (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _hidden(pid: int) -> bool:
    """Return whether the pid is taken although /proc does not show it, as with the mount option ``hidepid``."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True

"""Makes load on an address, with Locust in a process of its own, and says what came of it.

Locust patches sockets, threads and clocks of the process that imports it, so this one never does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from verification.load_model import (
    DEFAULT_WEIGHTS,
    OPERATIONS,
    LoadFailed,
    LoadPlan,
    LoadResult,
    OperationLoad,
)
from verification.load_results import result_of
from verification.redacted_output import RedactedStream, forward
from verification.redaction import Redactor

__all__ = ["DEFAULT_WEIGHTS", "OPERATIONS", "LoadFailed", "LoadPlan", "LoadResult", "OperationLoad", "run_load"]

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Locust needs half a second to start, its users up to the stop timeout to finish; a machine under load takes longer for both.
_GRACE_S = 30.0
_TICK_S = 0.5
_TAIL_LINES = 12
# What of its output is still on the way when Locust has ended.
_LAST_WORDS_S = 2.0


def run_load(plan: LoadPlan, *, log: Path, on_tick: Callable[[float], None] | None = None) -> LoadResult:
    """Makes the load and returns what came of it, failures of the service included.

    ``log`` is the file that Locust's output is appended to, without secrets. ``on_tick`` is told about every half second how many seconds have
    passed. Raises LoadFailed, with the log's tail, where there was no load or no result. Whatever is raised, no process is left.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        stats, extra = Path(folder, "stats"), Path(folder, "run.json")
        with log.open("a", encoding="utf-8") as output:
            start = log.stat().st_size
            process = _start(plan, stats)
            reader = _keep_output(process, output, plan)
            try:
                _tell(process, plan, extra)
                code = _wait(process, plan, on_tick)
            finally:
                _end(process)
                _hear_out(process, reader)
        try:
            return result_of(plan, stats.with_suffix(".json"), extra)
        except LoadFailed as exc:
            raise LoadFailed(f"{exc} (Locust's exit code {code}){_tail(log, start)}") from exc


def _keep_output(process: subprocess.Popen[bytes], output: TextIO, plan: LoadPlan) -> threading.Thread:
    """What Locust prints goes into the log without the smoke users' passwords, tokens and the like."""
    assert process.stdout is not None, "opened with PIPE"
    redactor = Redactor(user.password for user in plan.smoke_users)
    arguments = (process.stdout.fileno(), RedactedStream(output, redactor.clean))
    reader = threading.Thread(target=forward, args=arguments, name="locust-output", daemon=True)
    reader.start()
    return reader


def _start(plan: LoadPlan, stats: Path) -> subprocess.Popen[bytes]:
    """The command line holds no credentials: those go through stdin, whose end also tells Locust that its parent is gone."""
    argv = [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--json-file", str(stats), "--host", plan.base_url),
        *("-u", str(plan.users), "-r", str(plan.ramp or plan.users), "--stop-timeout", "2"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return subprocess.Popen(
        argv,
        cwd=stats.parent,  # a locust.conf or a pyproject.toml of the working directory must not change the plan
        env=environment | {"PYTHONUNBUFFERED": "1", "HOME": str(stats.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _tell(process: subprocess.Popen[bytes], plan: LoadPlan, extra: Path) -> None:
    told = {
        "users": [{"email": user.email, "password": user.password} for user in plan.smoke_users],
        "base_url": plan.base_url,
        "rate_per_user": plan.rate / plan.users,
        "weights": dict(plan.weights),
        "list_limit": plan.list_limit,
        "seconds": plan.seconds,
        "timeout_s": plan.timeout_s,
        "ca_file": plan.ca_file,
        "extra": str(extra),
    }
    assert process.stdin is not None, "opened with PIPE"
    with contextlib.suppress(BrokenPipeError):  # it died at once: the missing result tells
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()


def _wait(process: subprocess.Popen[bytes], plan: LoadPlan, on_tick: Callable[[float], None] | None) -> int:
    begin = time.monotonic()
    deadline = begin + plan.seconds + _GRACE_S
    while True:
        try:
            return process.wait(_TICK_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now > deadline:
                raise LoadFailed(f"Locust did not end within {now - begin:.0f} s, planned {plan.seconds:g} s") from None
            if on_tick is not None:
                on_tick(now - begin)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its whole session, and at once: what matters by now has been written, or will never be."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _hear_out(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    reader.join(_LAST_WORDS_S)
    if process.stdout is not None and not reader.is_alive():
        process.stdout.close()


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "; its log ends:\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else "; its log is empty"

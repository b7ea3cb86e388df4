"""One Locust process: its configuration, its output, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from verification.load.model import LoadPlan
from verification.redaction.output import RedactedStream, forward

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
LOCUSTFILE = Path(__file__).parent / "locusts" / "locustfile.py"
# How long to wait for output that is still in the pipe after Locust has ended.
_LAST_WORDS_S = 2.0


def first_arguments(plan: LoadPlan, stats: Path) -> list[str]:
    """Return the arguments of the process that writes the result: the only one, or the master.

    No command line holds credentials, nor the address, which comes with the configuration.
    """
    argv = [
        *("--headless", "--only-summary", "--json-file", str(stats.with_suffix(""))),
        *("-u", str(plan.users), "-r", str(plan.ramp or plan.users), "--stop-timeout", "2"),
    ]
    if not plan.shared:
        return argv
    host, port = plan.listen or (LOOPBACK, 0)
    bound = ("--master-bind-host", host, "--master-bind-port", str(port))
    return [*argv, "--master", *bound, "--expect-workers", str(plan.workers + plan.elsewhere)]


def worker_arguments(host: str, port: int) -> list[str]:
    """Return the arguments of a worker, which asks a master for the plan. Failures are in the statistics, not in the exit code."""
    return ["--worker", "--master-host", host, "--master-port", str(port), "--exit-code-on-error", "0"]


class Locust:
    """A running process. Its output goes to ``output``, cleaned by ``clean``; ``config`` goes to its stdin."""

    def __init__(
        self, argv: list[str], config: Mapping[str, Any], folder: Path, output: TextIO, clean: Callable[[str], str]
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
        path = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *argv],
            cwd=folder,  # a locust.conf or a pyproject.toml of the working directory must not change the plan
            env=environment | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path, "HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None, "opened with PIPE"
        stream = RedactedStream(output, clean)
        self._reader = threading.Thread(
            target=forward, args=(self._process.stdout.fileno(), stream), name="locust-output", daemon=True
        )
        self._reader.start()
        self._send_config(config)

    @property
    def code(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; None if the process is still running after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def leave(self) -> None:
        """Ask the process to leave: it deletes what it booked and ends, as it does if its parent is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def end(self, patience_s: float = 0.0) -> None:
        """End the process and everything that it started: at once, unless it ends by itself within ``patience_s``."""
        if self._process.poll() is None and (not patience_s or self.wait(patience_s) is None):
            # At once: its results are written by now, or will never be.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.leave()
        self._reader.join(_LAST_WORDS_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _send_config(self, config: Mapping[str, Any]) -> None:
        """Send the configuration through stdin, because a command line must not hold credentials.

        The end of stdin shows Locust that its parent is gone.
        """
        assert self._process.stdin is not None, "opened with PIPE"
        with contextlib.suppress(BrokenPipeError):  # its missing result is reported
            self._process.stdin.write(json.dumps(config).encode() + b"\n")
            self._process.stdin.flush()

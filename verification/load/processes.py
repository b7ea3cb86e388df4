"""One Locust process: what it is told, what it prints, and its end."""

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
# What of its output is still on the way when Locust has ended.
_LAST_WORDS_S = 2.0


def first_arguments(plan: LoadPlan, stats: Path) -> list[str]:
    """Of the process that writes the result: the only one, or the master. No command line holds credentials."""
    argv = [
        *("--headless", "--only-summary", "--json-file", str(stats.with_suffix("")), "--host", plan.base_url),
        *("-u", str(plan.users), "-r", str(plan.ramp or plan.users), "--stop-timeout", "2"),
    ]
    if not plan.shared:
        return argv
    host, port = plan.listen or (LOOPBACK, 0)
    bound = ("--master-bind-host", host, "--master-bind-port", str(port))
    return [*argv, "--master", *bound, "--expect-workers", str(plan.workers + plan.elsewhere)]


def worker_arguments(host: str, port: int) -> list[str]:
    """Of one that asks a master for the plan. What fails is told by the statistics, not by the exit code."""
    return ["--worker", "--master-host", host, "--master-port", str(port), "--exit-code-on-error", "0"]


class Locust:
    """A process that runs from now on; what it prints goes to ``output`` as ``clean`` leaves it."""

    def __init__(
        self, argv: list[str], told: Mapping[str, Any], folder: Path, output: TextIO, clean: Callable[[str], str]
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
        self._tell(told)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None where it is not over within ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def leave(self) -> None:
        """Asks it to: it deletes what it booked and ends, as it does where its parent is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def end(self, patience_s: float = 0.0) -> None:
        """Ends it and whatever it started, at once unless it ends by itself within ``patience_s``."""
        if self._process.poll() is None and (not patience_s or self.wait(patience_s) is None):
            # At once: what matters by now has been written, or will never be.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.leave()
        self._reader.join(_LAST_WORDS_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _tell(self, told: Mapping[str, Any]) -> None:
        """The command line holds no credentials: those go through stdin, whose end also tells Locust that its parent is gone."""
        assert self._process.stdin is not None, "opened with PIPE"
        with contextlib.suppress(BrokenPipeError):  # it died at once: the missing result tells
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            self._process.stdin.flush()

"""Controls the prober's process, which sends requests to the live domain all the time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from verification.prober import figures
from verification.prober.config import ProberConfig
from verification.prober.samples import Sample

ROOT = Path(__file__).resolve().parents[2]
# The child removes what it wrote for 2 s at most, after the requests in flight have ended.
_TERMINATE_S = 6.0
_KILL_S = 5.0


class ProberFailed(RuntimeError):
    """The prober did not start, ended by itself, or did not send the expected samples."""


class Prober:
    """A running prober. Its requests are never retried, and each is one sample.

    ``alive`` is False as soon as the process has ended; ``problem`` then says why, unless ``stop`` was called. Callers
    that rely on the samples must check ``problem`` too: a dead prober sees no failures.
    """

    def __init__(self, process: subprocess.Popen[bytes], log_path: str | None) -> None:
        self._process = process
        self._log_path = log_path
        self._samples: list[Sample] = []
        self._controls: list[Sample] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._unreadable: str | None = None
        self._stop_lock = threading.Lock()
        self._reader = threading.Thread(target=self._collect, name="prober-samples", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, config: ProberConfig) -> Prober:
        """Start the process and return at once; the first sample follows after about 0.2 s. Raises OSError."""
        with contextlib.ExitStack() as stack:
            log: IO[bytes] | int = subprocess.DEVNULL
            if config.stderr_log is not None:
                log = stack.enter_context(Path(config.stderr_log).open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "verification.prober.process"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal must not end the measurement
            )
        # BrokenPipeError: the process died at once, which `alive` and `problem` report.
        with contextlib.suppress(BrokenPipeError):
            stdin = _pipe(process.stdin)
            stdin.write(config.to_line().encode())
            stdin.flush()
        return cls(process, config.stderr_log)

    @property
    def pid(self) -> int:
        """Return the process's id, which is also the id of its session and its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process runs and its samples can be read."""
        return self._process.poll() is None and self._unreadable is None

    @property
    def problem(self) -> str | None:
        """Return why it does not measure although ``stop`` was not called; None if it measures or was stopped."""
        if self._unreadable is not None:
            return self._unreadable
        if self._stopping or self._process.poll() is None:
            return None
        return f"the availability prober ended by itself, {_how(self._process.returncode)}{self._log_tail()}"

    def samples(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        """Return the samples done in ``[since, until]`` (epoch seconds; None: open), in the order in which they were done."""
        with self._changed:
            taken = list(self._samples)
        return figures.within(taken, since=since, until=until)

    def controls(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        """Return the control's samples done in ``[since, until]``, as ``samples`` does."""
        with self._changed:
            taken = list(self._controls)
        return figures.within(taken, since=since, until=until)

    def failures(self, since: float | None = None, until: float | None = None) -> list[Sample]:
        """Return the failed ones of ``samples``."""
        return [sample for sample in self.samples(since, until) if not sample.ok]

    def samples_from(self, index: int) -> list[Sample]:
        """Return the samples that arrived after the first ``index`` ones, in the order of arrival: for a loop that keeps reading."""
        with self._changed:
            return self._samples[index:]

    def controls_from(self, index: int) -> list[Sample]:
        """Return the control's samples that arrived after the first ``index`` ones, as ``samples_from`` does."""
        with self._changed:
            return self._controls[index:]

    def wait_for_samples(self, count: int, deadline_s: float) -> None:
        """Wait until there are ``count`` samples in all.

        Raises ProberFailed after ``deadline_s`` seconds, or as soon as the process has ended.
        """
        deadline = time.monotonic() + deadline_s
        with self._changed:
            while len(self._samples) < count:
                left = deadline - time.monotonic()
                if not self._reader.is_alive() or left <= 0:
                    problem = self.problem or f"waited {deadline_s:g} s"
                    raise ProberFailed(f"the prober has {len(self._samples)} samples, expected {count}: {problem}")
                self._changed.wait(min(left, 0.1))

    def stop(self) -> None:
        """End the process, which removes the data that it wrote; kill it after 6 s.

        May be called again. Never raises for a process that is gone.
        """
        with self._stop_lock:
            if self._process.poll() is None:
                self._stopping = True
                self._process.terminate()
            with contextlib.suppress(OSError):
                _pipe(self._process.stdin).close()
            try:
                self._process.wait(_TERMINATE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_KILL_S)
            self._reader.join(_KILL_S)
            if not self._reader.is_alive():
                _pipe(self._process.stdout).close()

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _collect(self) -> None:
        try:
            for line in _pipe(self._process.stdout):
                sample = Sample.from_line(line)
                with self._changed:
                    (self._controls if sample.control else self._samples).append(sample)
                    self._changed.notify_all()
        except ValueError as exc:
            if line.endswith(b"\n"):  # else the process was killed in the middle of a line
                self._unreadable = f"the availability prober wrote a line that is not a sample: {exc}"
        # The end of its output is the end of the process: `alive` must not differ a moment later.
        if self._unreadable is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_S)
        with self._changed:
            self._changed.notify_all()

    def _log_tail(self) -> str:
        if self._log_path is None:
            return ""
        try:
            lines = Path(self._log_path).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return ": " + " | ".join(lines[-3:]) if lines else ""


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "opened with PIPE"
    return stream


def _how(returncode: int) -> str:
    return f"killed by signal {-returncode}" if returncode < 0 else f"with exit code {returncode}"

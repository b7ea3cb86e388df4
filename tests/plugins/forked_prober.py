"""Probers as forks of one process that has imported their code: hundreds of runs would each import it for 0.2 s of CPU time."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from tests.checkout import CHECKOUT

SERVER = "tests.plugins.forked_prober"
_FDS = 4


class ForkedProber:
    """What ``Prober`` uses of ``subprocess.Popen``: pipes, signals, and the exit code."""

    def __init__(self, server: socket.socket, stderr: Any) -> None:
        """Fork; ``stderr`` is an open file or DEVNULL."""
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self._status, theirs_status = os.pipe()
        log = os.open(os.devnull, os.O_WRONLY) if stderr == subprocess.DEVNULL else os.dup(stderr.fileno())
        theirs = [theirs_in, theirs_out, log, theirs_status]
        socket.send_fds(server, [b"fork"], theirs)
        for one in theirs:
            os.close(one)
        self.pid = int(server.recv(16))
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
        self.returncode: int | None = None
        self._one_reads = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._read(0)

    def wait(self, timeout: float) -> int:
        """Return the exit code. Raises TimeoutExpired after so many seconds."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(SERVER, timeout)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(15)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(9)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _read(self, timeout_s: float) -> int | None:
        with self._one_reads:
            if self.returncode is None and select.select([self._status], [], [], timeout_s)[0]:
                self.returncode = int(os.read(self._status, 16) or b"-9")
                os.close(self._status)
            return self.returncode


@contextmanager
def forking() -> Iterator[SimpleNamespace]:
    """Yield a stand-in for the module ``subprocess`` in ``verification.prober.prober``; its processes are forks of one."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", SERVER, str(theirs.fileno())]
    with (
        ours,
        subprocess.Popen(command, cwd=CHECKOUT.root, pass_fds=[theirs.fileno()], start_new_session=True) as server,
    ):
        theirs.close()

        def popen(*_: Any, stderr: Any, **__: Any) -> ForkedProber:
            return ForkedProber(ours, stderr)

        names = ("PIPE", "DEVNULL", "TimeoutExpired")
        yield SimpleNamespace(Popen=popen, **{name: getattr(subprocess, name) for name in names})
        ours.shutdown(socket.SHUT_RDWR)
        server.wait(20)


def serve(control: socket.socket) -> None:
    """Fork a prober for each message, report each exit code, and return when the tests' process closes the socket."""
    from verification.prober import process

    running: dict[int, int] = {}
    while True:
        readable = select.select([control], [], [], 0.02 if running else None)[0]
        if readable:
            message, fds, _, _ = socket.recv_fds(control, 16, _FDS)
            if not message:
                return
            stdin, stdout, stderr, status = fds
            pid = os.fork()
            if pid == 0:
                code = 70  # if the prober raises, whose traceback goes to its log
                try:
                    os.setsid()
                    for number, one in enumerate((stdin, stdout, stderr)):
                        os.dup2(one, number)
                    os.closerange(3, 256)
                    code = process.main()
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            for one in (stdin, stdout, stderr):
                os.close(one)
            running[pid] = status
            control.sendall(str(pid).encode())
        for pid in list(running):
            ended, how = os.waitpid(pid, os.WNOHANG)
            if ended:
                fd = running.pop(pid)
                os.write(fd, str(os.waitstatus_to_exitcode(how)).encode())
                os.close(fd)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

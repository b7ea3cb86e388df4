"""The sandbox of these tests: it never takes a process of another sandbox for its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sandbox import Sandbox

LASTS = "import sys; print('up', flush=True); sys.stdin.read()"
LEAVES_ONE = """
import os, subprocess
left = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={})
print(left.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[str]]:
    """Start a process in a session of its own, as another sandbox does."""
    with subprocess.Popen(
        [sys.executable, "-c", LASTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_process_that_has_a_pid_of_an_ended_command_is_not_its_own(
    tmp_path: Path, stranger: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox(tmp_path, tmp_path)
    done = sandbox.begin(["-c", ""], "ends")
    sandbox.wait(done)
    monkeypatch.setattr(done.process, "pid", stranger.pid)  # the system has given the pid again
    assert sandbox.running() == {}
    sandbox.close()
    assert stranger.poll() is None


def test_process_that_a_killed_command_left_is_its_own(tmp_path: Path) -> None:
    """It has nothing else of the sandbox: neither its environment nor a path in its command."""
    sandbox = Sandbox(tmp_path, tmp_path)
    done = sandbox.begin(["-c", LEAVES_ONE], "is killed")
    left = int(sandbox.wait(done).output)
    assert list(sandbox.running()) == [left]
    sandbox.close()
    assert sandbox.running() == {}

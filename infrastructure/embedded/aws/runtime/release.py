"""An image's `release:` command: what it does before it serves, once for each new revision."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime.instances import Processes

POLL_S = 0.05


def see_through(processes: Processes, process: psutil.Process, timeout_s: float, still: Callable[[], None]) -> None:
    """Waits for the command's end; DeploymentFailed where it fails or takes too long, and whatever `still()` raises."""
    deadline = time.monotonic() + timeout_s
    try:
        while (code := processes.exit_code(process.pid)) is None:
            still()
            if time.monotonic() >= deadline:
                raise DeploymentFailed(f"release command took longer than {timeout_s:g} s")
            time.sleep(POLL_S)
    finally:
        processes.stop_tree(process, 1.0)
    if code != 0:
        raise DeploymentFailed(f"release command exited with {code}")

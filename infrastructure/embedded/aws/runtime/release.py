"""An image's `release:` command, which runs once for each new revision before it serves."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime.instances import Processes

POLL_S = 0.05


def wait_for_release(
    processes: Processes, process: psutil.Process, timeout_s: float, raise_if_stopped: Callable[[], None]
) -> None:
    """Wait until the command has ended. Raises DeploymentFailed if it fails or takes longer than `timeout_s` seconds.

    It calls `raise_if_stopped` while it waits and passes on its error. No process of the command's group survives.
    """
    deadline = time.monotonic() + timeout_s
    try:
        while (code := processes.exit_code(process.pid)) is None:
            raise_if_stopped()
            if time.monotonic() >= deadline:
                raise DeploymentFailed(f"release command took longer than {timeout_s:g} s")
            time.sleep(POLL_S)
    finally:
        processes.stop_tree(process, 1.0)
    if code != 0:
        raise DeploymentFailed(f"release command exited with {code}")

"""``load-worker``: a Locust process that joins the loads of deployments on another machine."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from deployment.errors import Refused, StepFailed
from verification.journeys.accounts import SmokeUser
from verification.load.processes import Locust, worker_arguments

_TICK_S, _PAUSE_S, _LEAVE_S = 0.5, 1.0, 10.0
# Locust's exit codes here: the load ended; no master answered for minutes; the master did not know the smoke users.
_DONE, _NO_MASTER, _UNKNOWN_USERS = 0, 255, 76


def parse(address: str) -> tuple[str, int]:
    """Return host and port. Raises Refused if the address is not HOST:PORT."""
    found = re.fullmatch(r"([A-Za-z0-9.-]+):([0-9]{1,5})", address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise Refused(
            f"--join={address} must be HOST:PORT", hint="Use the value of gates.load.listen, such as 10.0.0.5:5557."
        )
    return found[1], int(found[2])


def serve(host: str, port: int, users: Sequence[SmokeUser], output: TextIO, *, once: bool) -> None:
    """Join loads until interrupted, or with ``once`` a single load.

    Raises StepFailed if Locust fails, or if the process at that address does not know the smoke users.
    """
    job = {"users": [{"email": user.email, "password": user.password} for user in users]}
    argv = [
        *worker_arguments(host, port),
        "--loglevel",
        "WARNING",
    ]  # at INFO Locust logs each attempt to reach the master
    while True:
        click.echo(f"waiting for a load at {host}:{port}")
        code = _one_load(argv, job, output)
        if code == _UNKNOWN_USERS:
            raise StepFailed(
                f"the process at {host}:{port} does not know the smoke users: no request was sent",
                hint="Use the environment of the deployment and its gates.load.listen.",
            )
        if code not in (_DONE, _NO_MASTER):
            raise StepFailed(f"Locust ended with exit code {code}")
        if code == _DONE:
            click.echo("made a part of one load")
            if once:
                return
        time.sleep(_PAUSE_S)


def _one_load(argv: list[str], job: dict[str, list[dict[str, str]]], output: TextIO) -> int:
    with tempfile.TemporaryDirectory(prefix="load-worker-") as folder:
        worker = Locust(argv, job, Path(folder), output, str)  # the command's output redacts secrets
        try:
            while (code := worker.wait(_TICK_S)) is None:
                pass
            return code
        finally:
            worker.leave()
            worker.end(_LEAVE_S)

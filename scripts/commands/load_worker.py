"""``load-worker``: a Locust process that joins the load of a deployment on another machine, load after load."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from deployment.errors import Refused, StepFailed
from verification.accounts import SmokeUser
from verification.load_processes import Locust, worker_arguments

_TICK_S, _PAUSE_S, _LEAVE_S = 0.5, 1.0, 10.0
# Locust's exit codes here: a load was made; no master answered for minutes; the master did not know the smoke users.
_DONE, _NOBODY, _STRANGER = 0, 255, 76


def parse(address: str) -> tuple[str, int]:
    """Host and port. Raises Refused where it is neither."""
    found = re.fullmatch(r"([A-Za-z0-9.-]+):([0-9]{1,5})", address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise Refused(
            f"--join={address} is no HOST:PORT", hint="Give what gates.load.listen says, as in 10.0.0.5:5557."
        )
    return found[1], int(found[2])


def serve(host: str, port: int, users: Sequence[SmokeUser], output: TextIO, *, once: bool) -> None:
    """Until it is interrupted, or one load was made. Raises StepFailed where Locust fails, or somebody else listens there."""
    told = {"users": [{"email": user.email, "password": user.password} for user in users]}
    argv = [*worker_arguments(host, port), "--loglevel", "WARNING"]  # at INFO Locust tells each try to reach the master
    while True:
        click.echo(f"waiting for a load at {host}:{port}")
        code = _one_load(argv, told, output)
        if code == _STRANGER:
            raise StepFailed(
                f"whoever listens at {host}:{port} does not know the smoke users: nothing was asked for them",
                hint="Give the environment that is deployed to, and the address that its settings name.",
            )
        if code not in (_DONE, _NOBODY):
            raise StepFailed(f"Locust ended with exit code {code}")
        if code == _DONE:
            click.echo("made a part of one load")
            if once:
                return
        time.sleep(_PAUSE_S)


def _one_load(argv: list[str], told: dict[str, list[dict[str, str]]], output: TextIO) -> int:
    with tempfile.TemporaryDirectory(prefix="load-worker-") as folder:
        worker = Locust(argv, told, Path(folder), output, str)  # the command's own output hides what is secret
        try:
            while (code := worker.wait(_TICK_S)) is None:
                pass
            return code
        finally:
            worker.leave()
            worker.end(_LEAVE_S)

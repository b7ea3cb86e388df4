"""The endpoint's configuration file, CONFIG.json, which the process that starts the endpoint writes."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EndpointConfig:
    """The members of CONFIG.json; times are in seconds and have defaults."""

    host: str
    port: int
    state_dir: Path
    images_dir: Path
    log_dir: Path
    account_id: str
    region: str
    aws_endpoint: str
    service_domain: str
    ingress_dir: Path
    key_value_store_arn: str
    edge_route_file: Path
    start_timeout_s: float = 20.0
    """Limit from the start of an instance until it listens on its port; then its health check's settings apply."""
    release_timeout_s: float = 60.0
    """Limit for an image's `release:` command."""
    drain_s: float = 1.0
    """Time in which a replaced instance finishes the requests that have reached it."""
    stop_grace_s: float = 10.0
    """Time from SIGTERM to SIGKILL."""

    platform: str = "apprunner"
    """`apprunner`, with the key value store, or `ecs`, with Elastic Load Balancing."""
    listener_ports: tuple[int, ...] = ()
    """Ports on which the proxy in front listens as a load balancer (`ecs`)."""
    listener_dir: Path = Path("/nonexistent")
    """The folder of the files `<port>/<slot>` that the proxy reads for these ports."""

    def arn(self, resource: str, service: str = "apprunner") -> str:
        """Return the ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"


def load(path: Path) -> EndpointConfig:
    """Read CONFIG.json. Raises ValueError, which names the members that are missing or unknown."""
    document: dict[str, Any] = json.loads(path.read_text())
    known = {field.name: field for field in fields(EndpointConfig)}
    unknown = sorted(document.keys() - known.keys())
    missing = sorted(name for name in known if name not in document and known[name].default is MISSING)
    if unknown or missing:
        raise ValueError(f"{path}: unknown members {unknown}, missing members {missing}")
    made: dict[str, Any] = {"Path": lambda value: Path(value).resolve(), "tuple[int, ...]": tuple}
    typed = {name: made.get(str(known[name].type), lambda value: value)(value) for name, value in document.items()}
    return EndpointConfig(**typed)

"""What the endpoint is told by the one who starts it: CONFIG.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EndpointConfig:
    """CONFIG.json, to the letter; the times have defaults and are in seconds."""

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
    """From the start of an instance to its first passed health check."""
    release_timeout_s: float = 60.0
    """For an image's `release:` command."""
    drain_s: float = 1.0
    """How long a replaced instance still serves what has reached it."""
    stop_grace_s: float = 10.0
    """From SIGTERM to SIGKILL."""

    def arn(self, resource: str) -> str:
        """The ARN of an App Runner resource of this account and region."""
        return f"arn:aws:apprunner:{self.region}:{self.account_id}:{resource}"


def load(path: Path) -> EndpointConfig:
    """Reads CONFIG.json; raises ValueError that names missing and unknown members."""
    document: dict[str, Any] = json.loads(path.read_text())
    known = {field.name: field for field in fields(EndpointConfig)}
    unknown = sorted(document.keys() - known.keys())
    missing = sorted(name for name in known if name not in document and not name.endswith("_s"))
    if unknown or missing:
        raise ValueError(f"{path}: unknown members {unknown}, missing members {missing}")
    typed: dict[str, Any] = {
        name: Path(value).resolve() if known[name].type == "Path" else value for name, value in document.items()
    }
    return EndpointConfig(**typed)

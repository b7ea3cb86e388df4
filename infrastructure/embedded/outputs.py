"""The outputs of an environment for the deployer: the embedded counterpart of `terraform output -json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from infrastructure.embedded.files import replace_json


@dataclass(frozen=True)
class Credentials:
    """A key pair that only this environment accepts; the repr does not show the secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Outputs:
    """The content of `outputs.json` in the state folder (mode 0600).

    The keys of `endpoints` are botocore's service ids; `default` applies to all other services.
    """

    region: str
    account_id: str
    credentials: Credentials
    endpoints: Mapping[str, str]
    live_url: str
    colour_scheme: str
    services: Mapping[str, str]
    key_value_store_arn: str
    lease_table: str
    repository: str
    secrets: Mapping[str, str]
    registry: str
    audit_bucket: str
    notifications_topic: str
    notifications_queue: str
    alarms: Sequence[str]
    route53_health_checks: Sequence[str]
    redis_url: str = ""
    platform: str = "apprunner"
    cluster: str = ""
    target_groups: Mapping[str, str] = field(default_factory=dict)
    colour_urls: Mapping[str, str] = field(default_factory=dict)
    listener_rule_arn: str = ""
    rehearsal_hosts: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> Mapping[str, Any]:
        """Return the settings of platform and router that deployment.toml holds for an environment on AWS, and what differs."""
        return {
            "platform": self.platform,
            "router": {"apprunner": "cloudfront", "ecs": "alb"}[self.platform],
            "services": self.services,
            "scheme": self.colour_scheme,
            "key_value_store_arn": self.key_value_store_arn,
            "settling_s": 0.0,  # the one edge location reads each write at once
            "cluster": self.cluster,
            "target_groups": self.target_groups,
            "colour_urls": self.colour_urls,
            "listener_rule_arn": self.listener_rule_arn,
            "rehearsal_hosts": self.rehearsal_hosts,
        }


def write(path: Path, outputs: Outputs) -> None:
    """Write the file atomically, readable by its owner only."""
    replace_json(path, asdict(outputs))


def read(path: Path) -> Outputs | None:
    """Return the outputs in the file, or None without a file; unknown members are ignored."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    document["credentials"] = Credentials(**document["credentials"])
    return Outputs(**{known.name: document[known.name] for known in fields(Outputs) if known.name in document})

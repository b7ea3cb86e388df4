"""boto3 clients for the rest of the embedded AWS (Secrets Manager, ECR, CloudWatch Logs, …), never for the real one."""

from __future__ import annotations

import os
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from infrastructure.embedded.aws.config import EndpointConfig

_EMPTY_FILE: tuple[None, None, str, None] = (None, None, os.devnull, None)


class AwsClients:
    """Clients with dummy credentials, one per service, created on first use; safe to share between threads.

    They ignore profiles, config files and endpoint variables of the caller's environment.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def get(self, service: str) -> Any:
        """Return the client for a service."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        unread = {"profile": (None, None, None, None), "config_file": _EMPTY_FILE, "credentials_file": _EMPTY_FILE}
        session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=unread))
        return session.client(
            service,
            region_name=self._config.region,
            endpoint_url=self._config.aws_endpoint,
            aws_access_key_id="embedded",
            aws_secret_access_key="embedded",  # noqa: S106  # moto checks no signature; a key is needed to sign at all
            config=Config(
                ignore_configured_endpoint_urls=True,
                connect_timeout=2,
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 3},
                proxies={},
            ),
        )


def forget_ambient_aws() -> None:
    """Remove the caller's AWS_* and proxy variables from this process, so that every request stays on loopback."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

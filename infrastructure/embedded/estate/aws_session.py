"""boto3 clients for one environment: no ambient setting selects their endpoint or their credentials."""

from __future__ import annotations

import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from infrastructure.embedded.layout import ACCOUNT_ID, REGION
from infrastructure.embedded.outputs import Credentials

_UNREAD: tuple[None, None, None, None] = (None, None, None, None)
_EMPTY_FILE: tuple[None, None, str, None] = (None, None, os.devnull, None)


class AwsSession:
    """Clients for moto and the endpoint; AWS_* variables, profiles, config files and proxies have no effect."""

    def __init__(self, credentials: Credentials) -> None:
        unread = {"profile": _UNREAD, "config_file": _EMPTY_FILE, "credentials_file": _EMPTY_FILE}
        self._credentials = credentials
        self._session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=unread))
        self._made: dict[tuple[str, str], Any] = {}

    def client(self, service: str, endpoint: str) -> Any:
        """Return a boto3 client for `service` at the URL `endpoint`; to make one takes 30 ms, so that each is made once."""
        if (service, endpoint) not in self._made:
            self._made[service, endpoint] = self._new(service, endpoint)
        return self._made[service, endpoint]

    def _new(self, service: str, endpoint: str) -> Any:
        client = self._session.client(
            service,
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id=self._credentials.access_key_id,
            aws_secret_access_key=self._credentials.secret_access_key,
            config=Config(
                ignore_configured_endpoint_urls=True,
                connect_timeout=2,
                read_timeout=20,
                retries={"mode": "standard", "total_max_attempts": 3},
                proxies={},
            ),
        )
        # botocore puts the account id in front of this service's host, but 123456789012.127.0.0.1 cannot be resolved.
        client.meta.events.register("before-sign.cloudfront-keyvaluestore", _without_account)
        return client


def _without_account(request: Any, **_: Any) -> None:
    request.url = request.url.replace(f"//{ACCOUNT_ID}.", "//", 1)

"""boto3 clients that see one environment only: nothing ambient selects where they go or who they are."""

from __future__ import annotations

import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from infrastructure.embedded.layout import ACCOUNT_ID, REGION
from infrastructure.embedded.outputs import Credentials

_NOT_ASKED: tuple[None, None, None, None] = (None, None, None, None)
_NOWHERE: tuple[None, None, str, None] = (None, None, os.devnull, None)


class AwsSession:
    """Clients of moto and of the endpoint; AWS_* variables, profiles, config files and proxies have no effect."""

    def __init__(self, credentials: Credentials) -> None:
        unread = {"profile": _NOT_ASKED, "config_file": _NOWHERE, "credentials_file": _NOWHERE}
        self._credentials = credentials
        self._session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=unread))

    def client(self, service: str, endpoint: str) -> Any:
        """A boto3 client of `service` at `endpoint`."""
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
        # botocore puts the account in front of this service's host, and no resolver knows 123456789012.127.0.0.1.
        client.meta.events.register("before-sign.cloudfront-keyvaluestore", _without_account)
        return client


def _without_account(request: Any, **_: Any) -> None:
    request.url = request.url.replace(f"//{ACCOUNT_ID}.", "//", 1)

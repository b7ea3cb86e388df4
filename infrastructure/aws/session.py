"""The one place where clients of AWS come from: by what the settings name, never by what the environment happens to hold."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.configprovider
import botocore.session
from botocore import xform_name
from botocore.config import Config

from infrastructure.aws.errors import aws_errors

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
ATTEMPTS = 4
"""The first try and three more, in botocore's standard mode: about 7 s of pauses at the most."""

HURRIED = Config(connect_timeout=2.0, read_timeout=5.0, retries={"mode": "standard", "total_max_attempts": 1})
"""Of calls that a run can do without."""

KEY_VALUE_STORE = "cloudfront-keyvaluestore"
ANY_SERVICE = "default"

# What may still come from the environment: how to reach an instance's own credentials, and a company's certificates.
# None of these says which account, region or endpoint is meant.
_AMBIENT_ALLOWED = frozenset(
    {
        "ca_bundle",
        "ec2_metadata_service_endpoint",
        "ec2_metadata_service_endpoint_mode",
        "ec2_metadata_v1_disabled",
        "imds_use_ipv6",
        "metadata_service_num_attempts",
        "metadata_service_timeout",
    }
)
# Legacy files of the first SDK (~/.boto, AWS_CREDENTIAL_FILE): nobody who names no profile means these.
_LEGACY_CREDENTIALS = ("ec2-credentials-file", "boto-config")


@dataclass(frozen=True)
class Credentials:
    """An explicit pair of keys; its repr shows neither the secret nor the token."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Connection:
    """Which account, region and endpoints are meant.

    ``profile`` is looked up in the user's own ``~/.aws`` files; without it, and without ``credentials``, the environment's
    keys (as CI gives them), a container's or an instance's credentials are used. ``endpoints`` maps a service's name to
    a URL that stands in for AWS's own; ``"default"`` speaks for all services not named. An endpoint named here is reached
    directly, past any proxy of the environment.
    """

    region: str
    account: str
    profile: str | None = None
    credentials: Credentials | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def endpoint(self, service: str) -> str | None:
        """The URL that stands in for the service's own, None where AWS's own is meant."""
        return self.endpoints.get(service) or self.endpoints.get(ANY_SERVICE)


@dataclass(frozen=True)
class Patience:
    """How long one call may take: seconds to connect, seconds between two bytes of an answer, and tries in all."""

    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    attempts: int = ATTEMPTS


class Clients:
    """Clients of one connection, made when first asked for; safe to share between threads."""

    def __init__(self, target: Connection, session: boto3.Session) -> None:
        self.target = target
        self._session = session
        self._made: dict[str, Any] = {}
        # boto3 promises thread safety of clients, not of a session that makes them.
        self._making = threading.Lock()

    def client(self, service: str) -> Any:
        """The client of a service by boto3's name for it; Any, since boto3 makes its classes as it runs."""
        with self._making:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def call(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Calls one operation (``DescribeService``) and returns its answer; raises CloudError and its kinds, nothing else."""
        with aws_errors(service, operation):
            answer: Mapping[str, Any] = getattr(self.client(service), _method(operation))(**parameters)
            return answer

    def call_once(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Like ``call``, for what a run can do without: no retries, and no long wait for an answer."""
        with aws_errors(service, operation):
            with self._making:
                name = f"{service}, once"
                if name not in self._made:
                    self._made[name] = self._make(service, HURRIED)
                client = self._made[name]
            answer: Mapping[str, Any] = getattr(client, _method(operation))(**parameters)
            return answer

    def pages(
        self, service: str, operation: str, key: str, /, *, marker: str = "NextToken", **parameters: Any
    ) -> list[Mapping[str, Any]]:
        """The list under ``key`` of every page; ``marker`` is what the operation calls its place. Raises as ``call`` does.

        By hand, since botocore has no paginators for App Runner.
        """
        found: list[Mapping[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            answer = self.call(service, operation, **parameters, **place)
            found += answer.get(key, ())
            if not answer.get(marker):
                return found
            place = {marker: answer[marker]}

    def _make(self, service: str, config: Config | None = None) -> Any:
        endpoint = self.target.endpoint(service)
        # An empty mapping, unlike None, keeps botocore from asking HTTP_PROXY and its like.
        direct = (config or Config()).merge(Config(proxies={})) if endpoint else config
        client = self._session.client(service, endpoint_url=endpoint, config=direct)
        if endpoint and service == KEY_VALUE_STORE:
            client.meta.events.register(f"before-call.{service}", _keep_host(endpoint))
        return client


def clients_for(target: Connection, patience: Patience = Patience()) -> Clients:
    """Makes ready to talk to AWS as ``target`` says; no call is made yet. Raises SettingsError, e.g. for an unknown profile."""
    with aws_errors("boto3", "Session"):
        core = botocore.session.Session(session_vars=_variables(target))
        core.set_default_client_config(_config(patience))
        keys = target.credentials
        session = boto3.Session(
            botocore_session=core,
            region_name=target.region,
            profile_name=target.profile if keys is None else None,
            aws_access_key_id=keys.access_key if keys else None,
            aws_secret_access_key=keys.secret_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
        )
        if keys is None:
            core.get_scoped_config()  # an unknown profile is found out here, not at the first call
            resolver = core.get_component("credential_provider")
            for legacy in _LEGACY_CREDENTIALS:
                resolver.remove(legacy)
        return Clients(target, session)


def _config(patience: Patience) -> Config:
    return Config(
        connect_timeout=patience.connect_timeout_s,
        read_timeout=patience.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        ignore_configured_endpoint_urls=True,
        user_agent_extra="bluegreen-verifier",
    )


def _variables(target: Connection) -> dict[str, tuple[Any, Any, Any, Any]]:
    """botocore's own table of variables, with the names of environment variables taken out of it."""
    table: dict[str, tuple[Any, Any, Any, Any]] = {
        name: (in_file, variable if name in _AMBIENT_ALLOWED else None, default, convert)
        for name, (in_file, variable, default, convert) in (
            botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
        )
    }
    # KeyValueStore refuses tokens that the global STS endpoint gave out.
    table["sts_regional_endpoints"] = (None, None, "regional", None)
    table["ignore_configured_endpoint_urls"] = (None, None, True, None)
    if target.profile is None or target.credentials is not None:
        # Without a profile a user's files select nothing, not even through their [default].
        table["config_file"] = (None, None, os.devnull, None)
        table["credentials_file"] = (None, None, os.devnull, None)
    return table


def _keep_host(endpoint: str) -> Callable[..., None]:
    """A handler that undoes the account id which botocore puts before the host, also of an endpoint that was named.

    It runs before the request is signed, so that the signature covers the host that is asked.
    """
    named = urlsplit(endpoint)

    def mend(params: dict[str, Any], **_event: Any) -> None:
        asked = urlsplit(params["url"])
        params["url"] = urlunsplit((named.scheme, named.netloc, asked.path, asked.query, asked.fragment))

    return mend


def _method(operation: str) -> str:
    return str(xform_name(operation))

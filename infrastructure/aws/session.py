"""The only source of AWS clients: the settings select account, region and endpoints, never the environment's variables."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.configprovider
import botocore.session
from botocore import xform_name
from botocore.config import Config

from deployment.errors import SettingsError
from infrastructure.aws.errors import aws_errors

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
ATTEMPTS = 4
"""The first try and three more, in botocore's standard mode: at most about 7 s of pauses."""

HURRIED = Config(connect_timeout=2.0, read_timeout=5.0, retries={"mode": "standard", "total_max_attempts": 1})
"""The configuration for calls that a run can do without, or that it repeats by itself."""

EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"
"""The variable with the end of the environment's keys; botocore reads it, too."""

KEY_VALUE_STORE = "cloudfront-keyvaluestore"
ANY_SERVICE = "default"

# The environment may still set how to reach an instance's own credentials, and a company's certificates.
# None of these selects an account, a region or an endpoint.
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
# Legacy files of the first SDK (~/.boto, AWS_CREDENTIAL_FILE): a user who names no profile does not mean these.
_LEGACY_CREDENTIALS = ("ec2-credentials-file", "boto-config")


@dataclass(frozen=True)
class Credentials:
    """Explicit keys; the repr shows neither the secret key nor the session token."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Connection:
    """The account, the region and the endpoints to use.

    ``profile`` is looked up in the user's own ``~/.aws`` files. Without it, and without ``credentials``, boto3 uses the
    environment's keys (as CI sets them), a container's or an instance's credentials. ``endpoints`` maps a service's name
    to a URL that replaces AWS's own; ``"default"`` applies to all services not named. An endpoint named here is reached
    directly, without any proxy of the environment.
    """

    region: str
    account: str
    profile: str | None = None
    credentials: Credentials | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def endpoint(self, service: str) -> str | None:
        """Return the URL that replaces the service's own; None for AWS's own."""
        return self.endpoints.get(service) or self.endpoints.get(ANY_SERVICE)


@dataclass(frozen=True)
class Patience:
    """The limits of one call: seconds to connect, seconds between two bytes of an answer, and tries in all."""

    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    attempts: int = ATTEMPTS


class Clients:
    """The clients of one connection, made on first use; safe to share between threads."""

    def __init__(self, target: Connection, session: boto3.Session) -> None:
        self.target = target
        self._session = session
        self._made: dict[str, Any] = {}
        # boto3 promises thread safety of clients, not of a session that makes them.
        self._making = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the client of a service by boto3's name for it; typed Any, since boto3 makes its classes at run time."""
        with self._making:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def call(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Call one operation (``DescribeService``) and return its answer. Raises the errors of ``aws_errors`` only."""
        with aws_errors(service, operation):
            answer: Mapping[str, Any] = getattr(self.client(service), _method(operation))(**parameters)
            return answer

    def call_once(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Call one operation that a run can do without, or repeats by itself: ``call`` with no retries and no long wait."""
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
        """Return the items under ``key`` of all pages; ``marker`` is the operation's name of its page token.

        Raises as ``call`` does. Not done by botocore, which has no paginators for App Runner.
        """
        found: list[Mapping[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            answer = self.call(service, operation, **parameters, **place)
            found += answer.get(key, ())
            if not answer.get(marker):
                return found
            place = {marker: answer[marker]}

    def expire_at(self) -> datetime | None:
        """Return when the environment's keys end, as AWS_CREDENTIAL_EXPIRATION says.

        None if it is not set, or if the keys come from elsewhere: botocore renews those of a profile, a container or an
        instance. Raises SettingsError if it is not a time.
        """
        text = os.environ.get(EXPIRATION, "")
        keys = bool(os.environ.get("AWS_ACCESS_KEY_ID"))
        if self.target.profile is not None or self.target.credentials is not None or not (text and keys):
            return None
        return _time(text)

    def _make(self, service: str, config: Config | None = None) -> Any:
        endpoint = self.target.endpoint(service)
        # An empty mapping, unlike None, makes botocore ignore HTTP_PROXY and similar variables.
        direct = (config or Config()).merge(Config(proxies={})) if endpoint else config
        client = self._session.client(service, endpoint_url=endpoint, config=direct)
        if endpoint and service == KEY_VALUE_STORE:
            client.meta.events.register(f"before-call.{service}", _keep_host(endpoint))
        return client


def clients_for(target: Connection, patience: Patience = Patience()) -> Clients:
    """Return the clients of a connection, without a call to AWS. Raises SettingsError, e.g. for an unknown profile."""
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
        if keys is None and target.profile is None and os.environ.get(EXPIRATION):
            _time(os.environ[EXPIRATION])  # botocore would fail on it at the first call
        if keys is None:
            core.get_scoped_config()  # raises for an unknown profile here, not at the first call
            resolver = core.get_component("credential_provider")
            for legacy in _LEGACY_CREDENTIALS:
                resolver.remove(legacy)
        return Clients(target, session)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{EXPIRATION} must be a time such as 2026-01-31T12:00:00Z, but it is {text!r}",
            hint=f"Sign in again, or unset {EXPIRATION}.",
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _config(patience: Patience) -> Config:
    return Config(
        connect_timeout=patience.connect_timeout_s,
        read_timeout=patience.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        ignore_configured_endpoint_urls=True,
        user_agent_extra="bluegreen-verifier",
    )


def _variables(target: Connection) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return botocore's own table of session variables without the names of environment variables."""
    table: dict[str, tuple[Any, Any, Any, Any]] = {
        name: (in_file, variable if name in _AMBIENT_ALLOWED else None, default, convert)
        for name, (in_file, variable, default, convert) in (
            botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
        )
    }
    # KeyValueStore refuses tokens that the global STS endpoint issued.
    table["sts_regional_endpoints"] = (None, None, "regional", None)
    table["ignore_configured_endpoint_urls"] = (None, None, True, None)
    if target.profile is None or target.credentials is not None:
        # Without a profile the user's files select nothing, not even by their [default] section.
        table["config_file"] = (None, None, os.devnull, None)
        table["credentials_file"] = (None, None, os.devnull, None)
    return table


def _keep_host(endpoint: str) -> Callable[..., None]:
    """Return a handler that removes the account id that botocore puts before the host, even of a configured endpoint.

    It runs before the request is signed, so that the signature covers the host that gets the request.
    """
    named = urlsplit(endpoint)

    def restore_host(params: dict[str, Any], **_event: Any) -> None:
        asked = urlsplit(params["url"])
        params["url"] = urlunsplit((named.scheme, named.netloc, asked.path, asked.query, asked.fragment))

    return restore_host


def _method(operation: str) -> str:
    return str(xform_name(operation))

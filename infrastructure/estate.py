"""The values of one environment, for every platform and router; on AWS they come from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployment.clock import SystemClock
from deployment.errors import SettingsError
from deployment.evidence import keys
from deployment.model import Colour
from deployment.ports import Secrets
from deployment.settings import Settings
from infrastructure.audit_folder import FolderAuditStore, folder_of
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.session import Connection


@dataclass(frozen=True)
class Adapter:
    """A platform or a router: its name in ``infrastructure.aws.adapters``, and its constructor's options besides the clients."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Estate:
    """The values of one environment: from the settings on AWS, from the running environment on a laptop."""

    connection: Connection
    account: str
    live_url: str
    platform: Adapter
    router: Adapter
    lease_table: str
    smoke_users_secret: str
    audit_bucket: str | None
    signing_key_secret: str | None
    signing_key_file: Path | None = None
    signing_public_key_file: Path | None = None
    signing_public_key_secret: str | None = None
    token_secret: str | None = None
    notifications_topic: str | None = None
    alarms: tuple[str, ...] = ()
    health_checks: tuple[str, ...] = ()
    database_url_secret: str | None = None
    redis_url_secret: str | None = None
    redis_url: str | None = None
    rehearsal_hosts: Mapping[Colour, str] = field(default_factory=dict)
    own_secrets: Mapping[str, str] = field(default_factory=dict)
    """ARNs of the embedded environment's secrets, by the names that its settings may use."""

    def public_key(self, secrets: Secrets) -> Callable[[], str] | None:
        """Return a function that reads the key with which signatures are checked; None if the settings name none."""
        return keys.public(secrets, self.signing_public_key_secret, self.signing_public_key_file)

    @property
    def store_secrets(self) -> tuple[str, ...]:
        """The secrets that hold the addresses of the service's own stores."""
        return tuple(filter(None, (self.database_url_secret, self.redis_url_secret)))


def aws_estate(settings: Settings) -> Estate:
    """Return the estate of an environment with ``provider = "aws"``. Raises SettingsError for a foreign ARN."""
    own = settings.estate
    _check_arns(settings)
    return Estate(
        Connection(
            region=own["region"], account=own["account"], profile=own.get("profile"), credentials=None, endpoints={}
        ),
        own["account"],
        own["live_url"],
        *adapters(settings),
        own["lease_table"],
        own["smoke_users_secret"],
        own.get("audit_bucket"),
        own.get("signing_key_secret"),
        _beside_settings(settings, "signing_key_file"),
        public_key_file(settings),
        own.get("signing_public_key_secret"),
        own.get("token_secret"),
        own.get("notifications_topic"),
        tuple(own.get("alarms", ())),
        tuple(own.get("route53_health_checks", ())),
        own.get("database_url_secret"),
        own.get("redis_url_secret"),
        rehearsal_hosts=by_colour(own.get("rehearsal_hosts", {})),
    )


def adapters(settings: Settings) -> tuple[Adapter, Adapter]:
    """Return platform and router of an environment; all keys that they need must be set."""
    platform, router = settings.estate["platform"], settings.estate["router"]
    return Adapter(platform, _PLATFORMS[platform](settings)), Adapter(router, _ROUTERS[router](settings))


def audit_folder(settings: Settings) -> FolderAuditStore | None:
    """Return the audit store if it is a folder, which needs no connection to the environment; else None."""
    named = settings.estate.get("audit_folder")
    return None if named is None else FolderAuditStore(folder_of(named, settings.project.root))


def public_key_file(settings: Settings) -> Path | None:
    """Return the public key's file, for users who cannot reach the environment; None if the settings name none."""
    return _beside_settings(settings, "signing_public_key_file")


def earlier_public_key_files(settings: Settings) -> tuple[Path, ...]:
    """Return the files of the keys that signed before the present one."""
    return tuple(settings.project.root / file for file in settings.estate.get("earlier_public_key_files", ()))


def _apprunner(settings: Settings) -> Mapping[str, Any]:
    own = settings.estate
    return {
        "services": by_colour(own["services"]),
        "drain": DrainWindow(settings.limits.drain_window, SystemClock()),
        "scheme": own.get("scheme", "https"),
        "web_acl": own.get("web_acl_arn"),
    }


def _ecs(settings: Settings) -> Mapping[str, Any]:
    own = settings.estate
    return {
        "cluster": own["cluster"],
        **{key: by_colour(own[key]) for key in ("services", "target_groups", "colour_urls")},
        "drain": DrainWindow(settings.limits.drain_window, SystemClock()),
    }


def _cloudfront(settings: Settings) -> Mapping[str, Any]:
    # No file sets `settling_s`: only the embedded environment differs from CloudFront, which has many edge locations.
    return {key: settings.estate[key] for key in ("key_value_store_arn", "settling_s") if key in settings.estate}


def _alb(settings: Settings) -> Mapping[str, Any]:
    own = settings.estate
    return {
        "arn": own.get("listener_rule_arn") or own["listener_arn"],
        "target_groups": by_colour(own["target_groups"]),
        "clock": SystemClock(),
    }


def _route53(settings: Settings) -> Mapping[str, Any]:
    own = settings.estate
    return {
        "hosted_zone_id": own["hosted_zone_id"],
        "record_name": own.get("record_name") or str(urlsplit(own["live_url"]).hostname),
        "set_identifiers": by_colour(own["set_identifiers"]),
        "resolvers": tuple(own["resolvers"]),
        "clock": SystemClock(),
    }


Options = Callable[[Settings], Mapping[str, Any]]
_PLATFORMS: Mapping[str, Options] = {"apprunner": _apprunner, "ecs": _ecs}
_ROUTERS: Mapping[str, Options] = {"cloudfront": _cloudfront, "alb": _alb, "route53": _route53}


def by_colour(table: Mapping[str, str]) -> Mapping[Colour, str]:
    """Return a table of the settings with colours as its keys."""
    return {Colour(name): value for name, value in table.items()}


def _check_arns(settings: Settings) -> None:
    """Raise SettingsError if an ARN in the settings has another account or region than the environment."""
    own = settings.estate
    for key, arn in _arns(own):
        part = arn.split(":")
        for what, found in (("region", part[3]), ("account", part[4])):
            if found not in ("", own[what]):  # ARNs of global resources have no region
                raise SettingsError(
                    f"environments.{settings.environment}.{key} belongs to {what} {found}, "
                    f"but the environment belongs to {what} {own[what]}"
                )


def _arns(own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, ARN) of every setting that is an ARN, also those in tables by colour."""
    for key, value in own.items():
        if isinstance(value, str) and value.startswith("arn:"):
            yield key, value
        elif isinstance(value, Mapping) and key not in ("access", "gates", "deployment"):
            yield from ((f"{key}.{inner}", arn) for inner, arn in _arns(value))


def _beside_settings(settings: Settings, key: str) -> Path | None:
    """Return the file that a key names, relative to the settings' folder; None without the key."""
    name = settings.estate.get(key)
    return None if name is None else settings.project.root / name

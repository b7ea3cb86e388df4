"""The state that the coordinator publishes for checks.

Workers read it from an encrypted file. They get the key through their pipe from the coordinator, so that no secret is
on the disk, however the run ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployment.files import PRIVATE, replace_file
from deployment.model import Colour, Image
from verification.http.route import DIRECT, Route
from verification.journeys.accounts import SmokeUser
from verification.stores.connections import Before, Stores

T = TypeVar("T")


@dataclass(frozen=True)
class Release:
    """A release at an address: the candidate at its own, or the live release at the live domain.

    ``colour`` and ``source``, the image that runs there, are None if they are not known (``--base-url``). ``route``: what
    its requests carry so that they reach this release and no other one at the same address.
    """

    url: str
    colour: Colour | None = None
    source: Image | None = None
    route: Route = DIRECT

    @property
    def version(self) -> str | None:
        """The version that the release must report."""
        return self.source.version or None if self.source else None

    @property
    def image(self) -> str | None:
        """``REPOSITORY:TAG``."""
        return self.source.name if self.source and self.source.tag else None

    @property
    def digest(self) -> str | None:
        """The image's digest."""
        return self.source.digest or None if self.source else None


def unregistered(digest: str | None) -> Image:
    """Return an image that the registry does not know, by its digest."""
    return Image("", "", digest or "", "", "")


@dataclass(frozen=True)
class FrontDoorRequest:
    """How the front door sends a request to a colour: the live domain's URL, and the header that carries the viewer's host.

    ``ask_for``: the host that a load balancer's rule matches, and that it rewrites to the live domain's host; None without one.
    """

    live_url: str
    header: str
    ask_for: str | None = None


@dataclass(frozen=True)
class HeldLease:
    """The lease of this run: its fencing token, and the time (ISO 8601) at which it was taken."""

    deployment_id: str
    token: int
    since: str


@dataclass(frozen=True)
class Bake:
    """What the prober saw during the bake: requests, failures, the median answer and the longest gap (ms).

    ``previous_median_ms`` is the median good answer of the previous colour at its own address in the same time; None if there
    were too few.
    """

    seconds: float
    requests: int
    failed: int
    median_ms: float
    longest_gap_ms: float
    previous_median_ms: float | None = None


@dataclass(frozen=True)
class State:
    """The values of the deploy fixtures. A step that has not run yet is None; ``problem`` says why it will never run.

    ``ledger`` is the path of the run's ledger: the data that journeys have written and not removed yet; None: it has none.

    ``no_account``: why a verification of an address, or a deployment with one account, lacks accounts, so that checks that
    need more are not asked; None in all other runs, where such a check fails. ``secrets``: the environment's secrets, by
    the NAME of ``${secret.NAME}``.
    """

    deployment_id: str
    deploying: bool
    environment: str
    smoke_users: tuple[SmokeUser, ...] = field(default=(), repr=False)
    token_secret: str | None = field(default=None, repr=False)
    stores: Stores = field(default_factory=Stores)
    stores_before: Before | None = None
    front_door: FrontDoorRequest | None = None
    lease: HeldLease | None = None
    candidate: Release | None = None
    live: Release | None = None
    baseline: Release | None = None
    promoted: Release | None = None
    baked: Bake | None = None
    problem: str | None = None
    no_account: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    ledger: str | None = None


def expected(version: str | None) -> Image | None:
    """Return the image of a release of which only the expected version is known; None without one."""
    return None if version is None else Image("", "", "", version, "")


def new_key() -> str:
    """Return a key for the states of one run."""
    from cryptography.fernet import Fernet  # only runs with workers write and read this file

    return Fernet.generate_key().decode()


def write(state: State, path: Path, key: str) -> None:
    """Replace the file atomically, encrypted: the state holds the smoke users' passwords. Raises OSError."""
    from cryptography.fernet import Fernet

    encrypted = Fernet(key).encrypt(json.dumps(asdict(state)).encode())
    replace_file(path, encrypted.decode(), mode=PRIVATE, durable=False)


def read(path: Path, key: str) -> State:
    """Read the state that ``write`` wrote with this key."""
    from cryptography.fernet import Fernet

    raw = json.loads(Fernet(key).decrypt(path.read_bytes()))
    return State(
        **{
            **raw,
            "secrets": dict(raw["secrets"]),
            "smoke_users": tuple(SmokeUser(**user) for user in raw["smoke_users"]),
            "stores": Stores(**raw["stores"]),
            "stores_before": raw["stores_before"] and Before(**raw["stores_before"]),
            "front_door": raw["front_door"] and FrontDoorRequest(**raw["front_door"]),
            "lease": raw["lease"] and HeldLease(**raw["lease"]),
            "candidate": _release(raw["candidate"]),
            "live": _release(raw["live"]),
            "baseline": _release(raw["baseline"]),
            "promoted": _release(raw["promoted"]),
            "baked": raw["baked"] and Bake(**raw["baked"]),
        }
    )


def _release(raw: dict[str, Any] | None) -> Release | None:
    if raw is None:
        return None
    colour, source = raw["colour"], raw["source"]
    route = Route.from_json(raw["route"])
    return Release(raw["url"], Colour(colour) if colour else None, Image(**source) if source else None, route)


def require(value: T | None, missing: str, state: State) -> T:
    """Return the value; fail the check if it is None. ``missing`` says what is lacking."""
    if value is None:
        pytest.fail(f"{missing}: {state.problem or 'that step comes later in a deployment'}", pytrace=False)
    return value

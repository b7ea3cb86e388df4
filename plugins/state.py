"""What the coordinator knows and checks may see; workers read it from a file that only this user can."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deployment.files import PRIVATE, replace_file
from deployment.model import Colour, Image
from verification.accounts import SmokeUser
from verification.stores import Before, Stores


@dataclass(frozen=True)
class Release:
    """A release at an address: the candidate at its own, or the live release at the live domain.

    ``colour`` and ``source``, the image that runs there, are None if they are not known (``--base-url``).
    """

    url: str
    colour: Colour | None = None
    source: Image | None = None

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
class Front:
    """How the front door asks a colour: the live domain's address, and the header that it hands the viewer's host on in.

    ``ask_for``: the host by which a load balancer's rule knows such a request, and which it rewrites to the live domain's.
    """

    live_url: str
    header: str
    ask_for: str | None = None


@dataclass(frozen=True)
class Lock:
    """The lease of this run: its fencing token, and since when it is held."""

    deployment_id: str
    token: int
    since: str


@dataclass(frozen=True)
class Bake:
    """What the watch over the promoted release saw: requests and failures of users, and the median answer (ms)."""

    seconds: float
    requests: int
    failed: int
    median_ms: float
    longest_gap_ms: float


@dataclass(frozen=True)
class State:
    """Everything that the deploy fixtures hand out; what did not happen yet is None, and ``problem`` says why it never will."""

    deployment_id: str
    deploying: bool
    environment: str
    smoke_users: tuple[SmokeUser, ...] = field(default=(), repr=False)
    token_secret: str | None = field(default=None, repr=False)
    stores: Stores = field(default_factory=Stores)
    before: Before | None = None
    front: Front | None = None
    lease: Lock | None = None
    candidate: Release | None = None
    live: Release | None = None
    baseline: Release | None = None
    promoted: Release | None = None
    baked: Bake | None = None
    problem: str | None = None


def write(state: State, path: Path) -> None:
    """Writes the state whole or not at all, readable by this user alone: it holds the smoke users' passwords."""
    replace_file(path, json.dumps(asdict(state)), mode=PRIVATE, durable=False)


def read(path: Path) -> State:
    """Reads what ``write`` wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return State(
        **{
            **raw,
            "smoke_users": tuple(SmokeUser(**user) for user in raw["smoke_users"]),
            "stores": Stores(**raw["stores"]),
            "before": raw["before"] and Before(**raw["before"]),
            "front": raw["front"] and Front(**raw["front"]),
            "lease": raw["lease"] and Lock(**raw["lease"]),
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
    return Release(raw["url"], Colour(colour) if colour else None, Image(**source) if source else None)

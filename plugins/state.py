"""What the coordinator knows and checks may see; workers read it from a file that only this user can."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from deployment.model import Colour
from verification.accounts import SmokeUser
from verification.stores import Before, Stores


@dataclass(frozen=True)
class Release:
    """A release at an address: the candidate at its own, or what is live at the live domain.

    ``version`` is what it must report; None where it is not known (``--base-url``). ``colour``, ``image`` and ``digest``
    are None there, too.
    """

    url: str
    version: str | None = None
    colour: Colour | None = None
    image: str | None = None
    digest: str | None = None


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

    def but(self, **changes: Any) -> State:
        """The same with changes."""
        return replace(self, **changes)


def write(state: State, path: Path) -> None:
    """Writes the state whole or not at all, readable by this user alone: it holds the smoke users' passwords."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    os.replace(temporary, path)


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
    return Release(**{**raw, "colour": Colour(raw["colour"]) if raw["colour"] else None})

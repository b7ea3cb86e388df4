"""What one deployment is to do, and what it stands on: fixed before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from deployment.model import Colour, Image
from deployment.phases import Phase
from deployment.ports import NO_ALARMS, Alarms, Clock, FrontDoor, Lease, Platform, Router


@dataclass(frozen=True)
class Plan:
    """One deployment: which release goes to which colour of which environment, by whom."""

    deployment_id: str
    environment: str
    target: Colour
    image: Image
    actor: str
    started_at: datetime


@dataclass(frozen=True)
class Ports:
    """The world, as a deployment sees it."""

    platform: Platform
    router: Router
    lease: Lease
    front: FrontDoor
    clock: Clock
    alarms: Alarms = NO_ALARMS


@dataclass(frozen=True)
class LiveSnapshot:
    """The colour that was live when the deployment began: what a rollback must bring back."""

    colour: Colour
    digest: str | None
    version: str | None
    url: str | None
    origin: str | None
    generation: int


@dataclass(frozen=True)
class ApprovalRequest:
    """What an approval must be for: the hash of the verification's journal line, and until when (ISO 8601, UTC)."""

    evidence: str
    until: str


@dataclass(frozen=True)
class DeploymentRecord:
    """The deployment as the lease item carries it: enough to settle it from another machine with an empty disk.

    ``step`` is the open intent, None between two steps. ``touched``: the target colour was, or may have been, changed.
    ``baked``: the bake ended without harm. ``request``: what an approval is awaited for. ``back_allowed``: a person wants
    traffic to go back although the release's migration is irreversible.
    """

    deployment_id: str
    environment: str
    phase: Phase
    phase_since: str
    step: str | None
    target: Colour
    image: Image
    previous: LiveSnapshot | None
    actor: str
    started_at: str
    host: str
    pid: int
    process_started: float
    reason: str | None = None
    touched: bool = False
    baked: bool = False
    request: ApprovalRequest | None = None
    back_allowed: bool = False

    def dump(self) -> str:
        """As JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> DeploymentRecord:
        """From the lease item. Raises ValueError or KeyError where it is not a note."""
        raw: dict[str, Any] = json.loads(text)
        previous = raw.get("previous")
        return DeploymentRecord(
            **{
                **raw,
                "phase": Phase(raw["phase"]),
                "target": Colour(raw["target"]),
                "image": Image(**raw["image"]),
                "previous": live_snapshot(previous) if previous else None,
                "request": ApprovalRequest(**raw["request"]) if raw.get("request") else None,
            }
        )


def live_snapshot(raw: Mapping[str, Any]) -> LiveSnapshot:
    """Return a live snapshot from its JSON form."""
    return LiveSnapshot(**{**raw, "colour": Colour(raw["colour"])})


@dataclass(frozen=True)
class Promotion:
    """The last promotion, kept beside the lease until it is undone or overtaken: what ``rollback`` goes back by.

    ``retire_after`` is after how many seconds the previous colour may be stopped, None: never.
    """

    deployment_id: str
    target: Colour
    image: Image
    generation: int
    previous: LiveSnapshot
    promoted_at: str
    retire_after: float | None = None

    def dump(self) -> str:
        """As JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> Promotion:
        """From the lease item."""
        raw: dict[str, Any] = json.loads(text)
        return Promotion(
            **{
                **raw,
                "target": Colour(raw["target"]),
                "image": Image(**raw["image"]),
                "previous": live_snapshot(raw["previous"]),
            }
        )

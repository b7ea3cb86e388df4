"""What one deployment is to do, and what it stands on: fixed before anything is touched."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import psutil

from deployment.flow.alarms import NO_ALARMS
from deployment.model import Colour, Holder, Image
from deployment.phases import Phase
from deployment.ports import Alarms, Clock, FrontDoor, Lease, Platform, Router
from deployment.settings import DeploymentLimits


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
class Standing:
    """The colour that was live when the deployment began: what a rollback must bring back."""

    colour: Colour
    digest: str | None
    version: str | None
    url: str | None
    origin: str | None
    generation: int


@dataclass(frozen=True)
class Request:
    """What an approval must be for: the hash of the verification's journal line, and until when (ISO 8601, UTC)."""

    evidence: str
    until: str


@dataclass(frozen=True)
class Note:
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
    previous: Standing | None
    actor: str
    started_at: str
    host: str
    pid: int
    process_started: float
    reason: str | None = None
    touched: bool = False
    baked: bool = False
    request: Request | None = None
    back_allowed: bool = False

    def dump(self) -> str:
        """As JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> Note:
        """From the lease item. Raises ValueError or KeyError where it is not a note."""
        raw: dict[str, Any] = json.loads(text)
        previous = raw.get("previous")
        return Note(
            **{
                **raw,
                "phase": Phase(raw["phase"]),
                "target": Colour(raw["target"]),
                "image": Image(**raw["image"]),
                "previous": standing(previous) if previous else None,
                "request": Request(**raw["request"]) if raw.get("request") else None,
            }
        )


def standing(raw: Mapping[str, Any]) -> Standing:
    """A standing from its JSON form."""
    return Standing(**{**raw, "colour": Colour(raw["colour"])})


@dataclass(frozen=True)
class Promotion:
    """The last promotion, kept beside the lease until it is undone or overtaken: what ``rollback`` goes back by.

    ``retire_after`` is after how many seconds the previous colour may be stopped, None: never.
    """

    deployment_id: str
    target: Colour
    image: Image
    generation: int
    previous: Standing
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
                "previous": standing(raw["previous"]),
            }
        )


def this_process(deployment_id: str, actor: str, clock: Clock, limits: DeploymentLimits, doing: str) -> Holder:
    """This very process as a holder of the lease; its start time tells it from a later process of the same pid."""
    now = clock.now()
    return Holder(
        deployment_id=deployment_id,
        actor=actor,
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        since=now,
        expires_at=now + timedelta(seconds=limits.lease_ttl),
        doing=doing,
    )


def owner_alive(host: str, pid: int, process_started: float) -> bool | None:
    """Whether that process still lives; None where it is another host's, and nobody here can know."""
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - process_started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

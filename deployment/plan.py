"""The plan of one deployment, its environment, and its record in the lease item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from deployment.errors import CloudError, first_line
from deployment.files import parse_json
from deployment.model import Colour, Holder, Image, Reason
from deployment.phases import Phase
from deployment.ports import NO_ALARMS, NO_JOURNEY_DATA, Alarms, Clock, FrontDoor, JourneyData, Lease, Platform, Router
from deployment.settings import DeploymentLimits

LOST_WAY_BACK, LIVE_SINCE = "lost_way_back", "live_since"
"""The notes beside the lease with the content of these names' classes."""
CHECKS, CHECKS_OF = "checks", "checks_of"
"""The notes beside the lease with the checks that the last promotion had to pass (a JSON list), and with its id."""


@contextmanager
def _note(name: str) -> Iterator[None]:
    """Raise CloudError, which names the note, instead of the errors of code that reads a note of another shape."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CloudError(
            f"the note {name} beside the lock cannot be read ({type(error).__name__}: {first_line(error)})",
            hint="Another program has written it: correct or remove it in the lock's table. `status` and "
            "docs/roll-back-by-hand.md show how to move traffic without it.",
        ) from error


@dataclass(frozen=True)
class Plan:
    """One deployment: which release goes to which colour of which environment, and who deploys it.

    Fixed before anything is touched. ``names_version`` is False if the service's answers name no version: then the platform's
    digest alone identifies the release.
    """

    deployment_id: str
    environment: str
    target: Colour
    image: Image
    actor: str
    started_at: datetime
    names_version: bool = True

    @property
    def version(self) -> str | None:
        """The version that the running release must name; None if it names none."""
        return self.image.version if self.names_version else None


@dataclass(frozen=True)
class Ports:
    """The ports of the environment that a deployment acts on."""

    platform: Platform
    router: Router
    lease: Lease
    front: FrontDoor
    clock: Clock
    alarms: Alarms = NO_ALARMS
    data: JourneyData = NO_JOURNEY_DATA


@dataclass(frozen=True)
class Operation:
    """What every action on an environment needs: which environment, who acts, and the limits of ``[deployment]``."""

    environment: str
    actor: str
    limits: DeploymentLimits
    ports: Ports


@dataclass(frozen=True)
class LiveSnapshot:
    """The colour that was live when the deployment began. A rollback restores it.

    ``problems``: its problems at that time, each as ``CHECK: PROBLEM``, if the deployment was allowed in spite of them. A
    rollback does not require these checks to pass. ``passed``: the checks that passed beside them.
    """

    colour: Colour
    digest: str | None
    version: str | None
    url: str | None
    origin: str | None
    generation: int
    problems: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()

    @property
    def tolerated(self) -> tuple[str, ...]:
        """Return the problems with which its health check may fail again; none if no check passed: it may have been dead."""
        return self.problems if self.passed else ()

    @property
    def release(self) -> str:
        """Return its version for a message, its digest if the service reports no version."""
        return self.version or self.digest or "of unknown version"

    def as_journal(self, problem: str | None = None) -> dict[str, str | None]:
        """Return what the journal says about it; ``problem``: why it was unhealthy, None if it was healthy."""
        return {"colour": self.colour, "version": self.version, "digest": self.digest, "problem": problem}

    def excuses(self, problem: str) -> bool:
        """Return whether the check of this problem failed before the deployment as well, also if it failed differently."""
        return any(_is_of_one_check(problem, before) for before in self.problems)


def _is_of_one_check(one: str, other: str) -> bool:
    """Return whether two problems are of the same check. Two checks may send one request, and expect other statuses."""
    (name, expected), (other_name, also_expected) = _check_of(one), _check_of(other)
    return name == other_name and (expected == also_expected or not expected or not also_expected)


def _check_of(problem: str) -> tuple[str, str]:
    """Return the request of a problem's check, and the status that it expects; empty if the problem does not say it."""
    name, _, what = problem.partition(": ")
    expected = re.fullmatch(r"status \d+, expected (.+)", what)
    return name, expected[1] if expected else ""


@dataclass(frozen=True)
class ApprovalRequest:
    """The request that an approval must match: the hash of the verification's journal line.

    It is due by ``until`` (ISO 8601, UTC).
    """

    evidence: str
    until: str


@dataclass(frozen=True)
class Owner:
    """The process that works on a deployment.

    ``process_started`` (epoch s) distinguishes it from a later process of the same pid; ``process_identity`` as in Holder.
    """

    host: str
    pid: int
    process_started: float
    process_identity: str | None = None

    @classmethod
    def of(cls, holder: Holder) -> Owner:
        """Return the process that holds the lease."""
        return cls(holder.host, holder.pid, holder.process_started, holder.process_identity)


BESIDE_THE_IMAGE = ("committed_at", "migration")
"""The fields of an image that a record keeps beside it, because earlier versions refuse unknown fields of an image."""


WITH_PROBLEMS = ("problems", "passed")
"""The fields of a live snapshot that are stored only if it has problems, because earlier versions refuse unknown fields."""


@dataclass(frozen=True)
class DeploymentRecord:
    """The deployment as the lease item stores it: enough to recover it from another machine with an empty disk.

    ``step`` is the open intent, or None between two steps. ``touched``: the target colour was changed, or may have
    been. ``request``: the approval that the deployment waits for. ``back_allowed``: an operator has decided that
    traffic may go back although the release's migration is irreversible.
    """

    plan: Plan
    owner: Owner
    phase: Phase
    phase_since: str
    step: str | None
    previous: LiveSnapshot | None
    reason: Reason | None = None
    touched: bool = False
    request: ApprovalRequest | None = None
    back_allowed: bool = False

    @property
    def deployment_id(self) -> str:
        """The deployment's id."""
        return self.plan.deployment_id

    def dump(self) -> str:
        """Return the record as JSON: one flat object, as every version so far has written it."""
        own = {name: value for name, value in asdict(self).items() if name not in ("plan", "owner")}
        own["previous"] = _stored(self.previous) if self.previous else None
        image, reason = self.plan.image, str(self.reason) if self.reason else None
        plan = asdict(self.plan) | {"image": _image(image), "started_at": self.plan.started_at.isoformat()}
        beside = {name: value for name in BESIDE_THE_IMAGE if (value := getattr(image, name))}
        return json.dumps(plan | asdict(self.owner) | own | {"reason": reason} | beside)

    @staticmethod
    @_note("deployment")
    def load(text: str) -> DeploymentRecord:
        """Read a record from JSON; keys that other versions have added are ignored. Raises CloudError."""
        raw: dict[str, Any] = parse_json(text)
        return DeploymentRecord(
            plan=Plan(
                raw["deployment_id"],
                raw["environment"],
                Colour(raw["target"]),
                Image(**raw["image"], committed_at=raw.get("committed_at"), migration=raw.get("migration")),
                raw["actor"],
                datetime.fromisoformat(raw["started_at"]),
            ),
            owner=Owner(raw["host"], raw["pid"], raw["process_started"], raw.get("process_identity")),
            phase=Phase(raw["phase"]),
            phase_since=raw["phase_since"],
            step=raw["step"],
            previous=live_snapshot(raw["previous"]) if raw["previous"] else None,
            reason=Reason.parse(raw["reason"]) if raw.get("reason") else None,
            touched=raw.get("touched", False),
            request=ApprovalRequest(**raw["request"]) if raw.get("request") else None,
            back_allowed=raw.get("back_allowed", False),
        )


def note_object(text: str | None) -> dict[str, Any]:
    """Return the JSON object of a note beside the lease; an empty one without the note, or if it is no object.

    Only for notes that may be lost: another writer can spoil a note, and that must stop no run.
    """
    try:
        found = parse_json(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def live_snapshot(raw: Mapping[str, Any]) -> LiveSnapshot:
    """Return a live snapshot from its JSON form; keys that other versions have added are ignored."""
    known = {one.name: raw[one.name] for one in fields(LiveSnapshot) if one.name in raw}
    lists = {name: tuple(raw.get(name, ())) for name in WITH_PROBLEMS}
    return LiveSnapshot(**{**known, **lists, "colour": Colour(raw["colour"])})


def _image(image: Image) -> dict[str, Any]:
    """Return the JSON form of an image, which every version can read: without the fields that later versions added."""
    return {name: value for name, value in asdict(image).items() if name not in BESIDE_THE_IMAGE}


def _stored(live: LiveSnapshot) -> dict[str, Any]:
    """Return the JSON form of a live snapshot; versions that know no ``problems`` can read it if there are none."""
    raw = asdict(live)
    return raw if live.problems else {name: value for name, value in raw.items() if name not in WITH_PROBLEMS}


@dataclass(frozen=True)
class Promotion:
    """The last promotion, kept beside the lease for ``rollback`` until it is undone or replaced by another one.

    The previous colour may be stopped ``retire_after`` seconds after the promotion; None: never.
    """

    deployment_id: str
    target: Colour
    image: Image
    generation: int
    previous: LiveSnapshot
    promoted_at: str
    retire_after: float | None = None

    def dump(self) -> str:
        """Return the promotion as JSON, for the lease item."""
        return json.dumps(asdict(self) | {"image": _image(self.image), "previous": _stored(self.previous)})

    @staticmethod
    @_note("promotion")
    def load(text: str) -> Promotion:
        """Read a promotion from its JSON. Raises CloudError."""
        raw: dict[str, Any] = parse_json(text)
        return Promotion(
            **{
                **raw,
                "target": Colour(raw["target"]),
                "image": Image(**raw["image"]),
                "previous": live_snapshot(raw["previous"]),
            }
        )


@dataclass(frozen=True)
class LostWayBack:
    """A promotion that stands and cannot be undone any more, because its previous colour was changed since.

    ``lost_by``: the run that did it; ``how``: ``overwritten`` by another release, or ``stopped`` by ``retire``.
    """

    promotion: Promotion
    lost_by: str
    how: str

    def dump(self) -> str:
        """Return it as JSON, for the lease item."""
        return json.dumps({"promotion": self.promotion.dump(), "lost_by": self.lost_by, "how": self.how})

    @staticmethod
    @_note(LOST_WAY_BACK)
    def load(text: str) -> LostWayBack:
        """Read it from its JSON. Raises CloudError."""
        raw: dict[str, Any] = parse_json(text)
        return LostWayBack(Promotion.load(raw["promotion"]), raw["lost_by"], raw["how"])


@dataclass(frozen=True)
class LiveSince:
    """Since when a release is live and by whom, kept beside the lease for ``status``.

    ``at`` is ISO 8601, UTC; ``how``: ``promotion`` or ``rollback``. It says nothing if another release, or another
    colour, is live now.
    """

    deployment_id: str
    colour: str
    digest: str | None
    at: str
    by: str
    how: str

    def dump(self) -> str:
        """Return it as JSON, for the lease item."""
        return json.dumps(asdict(self))

    @staticmethod
    @_note(LIVE_SINCE)
    def load(text: str) -> LiveSince:
        """Read it from its JSON; keys that other versions have added are ignored. Raises CloudError."""
        raw: dict[str, Any] = parse_json(text)
        return LiveSince(**{one.name: raw[one.name] for one in fields(LiveSince)})

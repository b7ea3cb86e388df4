"""What preflight looks at, and what it finds: one item for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from deployment.model import Colour, Image, Routes, Service


class Outcome(StrEnum):
    """What came of one item. ``refused`` is exit code 4; what is ``sick`` (what is live, an alarm) the next step rejects (1)."""

    OK = "ok"
    REFUSED = "refused"
    SICK = "sick"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True)
class Item:
    """One thing that was looked at: what was found, and what was expected."""

    name: str
    outcome: Outcome
    found: str
    expected: str

    def as_report(self) -> dict[str, str]:
        """As journal and report carry it."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Subject:
    """The deployment that is about to be made, and the estate as it is found."""

    image: Image
    target: Colour
    routes: Routes
    services: Mapping[Colour, Service]

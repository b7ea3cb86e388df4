"""The items of a preflight: one for each question, with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from deployment.model import Colour, Image, Routes, Service


class Outcome(StrEnum):
    """The outcome of one item.

    ``refused`` is exit code 4. ``sick`` (the live colour, an alarm): the step ``lease`` rejects it (1).
    """

    OK = "ok"
    REFUSED = "refused"
    SICK = "sick"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True)
class Item:
    """One item: the expected state and the one found."""

    name: str
    outcome: Outcome
    found: str
    expected: str

    def as_report(self) -> dict[str, str]:
        """Return the item as journal and report hold it."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Subject:
    """The planned deployment, and the present state of the estate."""

    image: Image
    target: Colour
    routes: Routes
    services: Mapping[Colour, Service]

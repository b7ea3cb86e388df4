"""Drift: differences between the two colours' configurations. Only image and colour may differ."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deployment.errors import CloudError, first_line
from deployment.model import Colour, Configuration
from deployment.ports import Platform
from deployment.preflight.items import Item, Outcome, Subject

MOST_SHOWN = 12


def item(platform: Platform, subject: Subject) -> Item:
    """Return the difference between the colours as a preflight item, without any value that may be secret."""
    expected = "both colours have the same configuration, except image and colour"
    try:
        configured = {colour: platform.configured(colour) for colour in Colour}
    except CloudError as error:
        return Item("drift", Outcome.NOT_CHECKED, first_line(error), expected)
    blue, green = configured[Colour.BLUE], configured[Colour.GREEN]
    if blue is None or green is None:
        missing = Colour.BLUE if blue is None else Colour.GREEN
        return Item("drift", Outcome.NOT_CHECKED, f"{missing} does not exist yet", expected)
    digests = {colour: subject.services[colour].digest for colour in Colour}
    found = differences(blue, green, digests)
    if not found:
        return Item("drift", Outcome.OK, "no difference", expected)
    more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return Item("drift", Outcome.REFUSED, "; ".join(found[:MOST_SHOWN]) + more, expected)


def differences(blue: Configuration, green: Configuration, digests: Mapping[Colour, str | None]) -> list[str]:
    """Return a line for each name whose value differs; values of variables are never shown."""
    lines = []
    for kind, one, other in (
        ("variable", blue.variables, green.variables),
        ("secret", blue.secrets, green.secrets),
        ("", blue.rest, green.rest),
    ):
        ours = {name: _neutral(value, Colour.BLUE, digests) for name, value in one.items()}
        theirs = {name: _neutral(value, Colour.GREEN, digests) for name, value in other.items()}
        for name in sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                lines.append(f"{kind} {name}".strip() + _shown(name, one, other, hidden=kind == "variable"))
    return lines


def _shown(name: str, blue: Mapping[str, str], green: Mapping[str, str], *, hidden: bool) -> str:
    if name not in green:
        return " is set only on blue"
    if name not in blue:
        return " is set only on green"
    return " differs (values are not shown)" if hidden else f": blue {blue[name]!r}, green {green[name]!r}"


def _neutral(value: str, colour: Colour, digests: Mapping[Colour, str | None]) -> str:
    """Return the value with its own colour's name and its own image's digest replaced, because these may differ."""
    digest = digests.get(colour)
    if digest:
        value = value.replace(digest, "{digest}")
    return re.sub(rf"(?<![A-Za-z]){colour}(?![A-Za-z])", "{colour}", value)

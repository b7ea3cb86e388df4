"""The route line that the edge reads, computed from the keys of the key value store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")
COLOUR = re.compile(r"[a-z][a-z0-9-]*")
NO_REQUEST = "0"
EVERY_REQUEST = "g"
"""A threshold greater than every hexadecimal digit, so that every request's uuid is below it."""


def route_line(keys: Mapping[str, str]) -> str | None:
    """Return `<generation> <primary> <host> <secondary> <host> <threshold>`, or None if the keys are not valid.

    After None the last good route stays in place. The threshold is a hexadecimal prefix that the edge compares with a
    request's uuid: if the uuid is below it, the request goes to the secondary colour.
    """
    active, generation = keys.get("active", ""), keys.get("generation", "")
    weights = _weights(keys.get("weights", ""))
    primary_host = _host(keys, active)
    if weights is None or active not in weights or primary_host is None or not generation.isascii():
        return None
    if not generation.isdigit():
        return None
    others = [colour for colour, weight in weights.items() if weight > 0 and colour != active]
    if len(others) > 1:
        return None
    if not others:
        return f"{generation} {active} {primary_host} - - {NO_REQUEST}"
    secondary_host = _host(keys, others[0])
    if secondary_host is None:
        return None
    return f"{generation} {active} {primary_host} {others[0]} {secondary_host} {_threshold(weights[others[0]])}"


def _weights(text: str) -> dict[str, int] | None:
    """Return whole percentages per colour with the sum 100, or None if the text holds anything else."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    weights = {colour: weight for colour, weight in document.items() if type(weight) is int and 0 <= weight <= 100}
    if len(weights) != len(document) or sum(weights.values()) != 100:
        return None
    return weights if all(COLOUR.fullmatch(colour) for colour in weights) else None


def _host(keys: Mapping[str, str], colour: str) -> str | None:
    host = keys.get(f"origin.{colour}", "")
    return host if HOST.fullmatch(host) else None


def _threshold(percent: int) -> str:
    return EVERY_REQUEST if percent == 100 else f"{percent * 0x10000 // 100:04x}"

"""The routers' common part: which weights may be written, and the stamp of the deployment that writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from deployment.errors import SwitchFailed
from deployment.model import Colour, Routes

_STAMP = re.compile(r"live=(blue|green) blue=(\d{1,3}) green=(\d{1,3}) generation=(\d{1,18}) fence=(\d{1,18})")


def wanted(seen: Routes, weights: Mapping[Colour, int], token: int) -> Routes:
    """Return the routes that come after ``seen``. Raises SwitchFailed unless the weights are percentages with sum 100."""
    full = {colour: weights.get(colour, 0) for colour in Colour}
    if sum(full.values()) != 100 or min(full.values()) < 0:
        shown = ", ".join(f"{colour} {weight}" for colour, weight in full.items())
        raise SwitchFailed(f"weights must be percentages with sum 100, not {shown}")
    # On a tie the live colour stays live: it answers the requests that ignore the weights.
    live = max(Colour, key=lambda colour: (full[colour], colour is seen.live))
    return Routes(live, full, seen.generation + 1, fence=token)


def same(one: Routes, other: Routes) -> bool:
    """Return whether two readings are of the same write; the router's own revisions are ignored."""
    return replace(one, revision="") == replace(other, revision="")


@dataclass(frozen=True)
class Stamp:
    """The last write as its writer intended it; kept beside weights, which have no room for it."""

    live: Colour
    weights: Mapping[Colour, int]
    generation: int
    fence: int

    @classmethod
    def of(cls, routes: Routes) -> Stamp:
        """Return the stamp of routes that are about to be written."""
        return cls(routes.live, routes.weights, routes.generation, routes.fence)

    @classmethod
    def parse(cls, text: str, where: str) -> Stamp:
        """Read the text that ``__str__`` wrote. Raises SwitchFailed; ``where`` names the text's place."""
        found = _STAMP.fullmatch(text)
        if found is None:
            raise SwitchFailed(f"{where} does not name the generation: {text[:120]!r}")
        live, blue, green, generation, fence = found.groups()
        weights = {Colour.BLUE: int(blue), Colour.GREEN: int(green)}
        return cls(Colour(live), weights, int(generation), int(fence))

    def __str__(self) -> str:
        blue, green = self.weights[Colour.BLUE], self.weights[Colour.GREEN]
        return f"live={self.live} blue={blue} green={green} generation={self.generation} fence={self.fence}"


def percentages(weights: Mapping[Colour, int], where: str) -> Mapping[Colour, int]:
    """Return weights of any scale as percentages; a share is 0 or 100 only if it is exactly that. Raises SwitchFailed if none is
    above zero."""
    total = sum(weights.values())
    if total <= 0:
        raise SwitchFailed(f"{where} sends traffic to neither colour: no weight is above 0")
    blue = round(100 * weights[Colour.BLUE] / total)
    if all(weight > 0 for weight in weights.values()):
        blue = min(99, max(1, blue))  # a colour with few users is not an idle one
    return {Colour.BLUE: blue, Colour.GREEN: 100 - blue}

"""Which release a deployment takes, to which colour, and whether it may."""

from __future__ import annotations

from deployment.errors import Refused, TargetIsLive
from deployment.model import Colour, Image
from deployment.releases import default_tag
from deployment.strategy import AT_ONCE
from infrastructure.compose import Environment
from plugins.options import AUTO
from plugins.state import Release


def choose_image(environment: Environment, tag: str | None) -> Image:
    """The image of the tag, or of the highest SemVer tag where none is given. Raises UnknownTag or Refused."""
    return environment.registry.resolve(tag if tag is not None else default_tag(environment.registry.tags()))


def projected_target(environment: Environment, target: str | None) -> Colour:
    """The colour that a run would deploy to as things are; whether it is idle is asked under the lock. Raises CloudError."""
    return environment.ports.router.observe().live.other if target == AUTO else Colour(str(target))


def choose_target(live: Colour, target: str | None) -> Colour:
    """The colour to deploy to. Raises TargetIsLive; that is asked again later, under the lock."""
    chosen = live.other if target == AUTO else Colour(str(target))
    if chosen is live:
        raise TargetIsLive(
            f"{chosen} is live: nothing is deployed to the colour that takes the traffic",
            hint=f"Deploy to the idle one: --target={live.other}, or --target=auto.",
        )
    return chosen


def live_release(environment: Environment, version: str | None, colour: Colour, digest: str | None) -> Release:
    """What users reach, under the name that the registry has for its digest."""
    image = environment.image_of(digest)
    return Release(environment.live_url, version, colour, image.name if image else None, digest)


def refuse_irreversible(image: Image, allowed: str | None, strategy: str) -> None:
    """Raises Refused where the release says that there is no way back, and nobody has said that this is known.

    Nor can it have a share of the traffic first: whatever came of that share, there is no way back from it.
    """
    if not image.irreversible:
        return
    if strategy != AT_ONCE:
        raise Refused(
            f"{image.name} declares its migration irreversible, and strategy {strategy!r} gives it a share of the traffic "
            "first: a failure would freeze there, with users on two releases of which one has no way to work on the data",
            hint=f"Add --strategy={AT_ONCE}.",
        )
    if allowed is None:
        raise Refused(
            f"{image.name} declares its migration irreversible: once it has run there is no way back",
            hint="Add --allow-irreversible REASON; a failure after the switch then freezes (exit code 11) instead of "
            "rolling back, and a person has to decide.",
        )

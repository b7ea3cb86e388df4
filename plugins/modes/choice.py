"""Which release a deployment takes, to which colour, and whether it may."""

from __future__ import annotations

from dataclasses import replace

from deployment.errors import Refused, TargetIsLive
from deployment.model import Colour, Image
from deployment.plan import LiveSnapshot
from deployment.releases import default_tag
from deployment.strategy import AT_ONCE
from infrastructure.compose import Environment
from plugins.options import AUTO
from plugins.state import Release, unregistered


def choose_image(environment: Environment, tag: str | None) -> Image:
    """The image of the tag, or of the highest SemVer tag where none is given. Raises UnknownTag or Refused."""
    return environment.registry.resolve(tag if tag is not None else default_tag(environment.registry.tags()))


def target_of(live: Colour, target: str | None) -> Colour:
    """Return the colour that ``--target`` means while ``live`` is live; ``auto`` is the other one."""
    return live.other if target == AUTO else Colour(str(target))


def projected_target(environment: Environment, target: str | None) -> Colour:
    """Return the colour that a run would deploy to now; whether it is idle is checked under the lock. Raises CloudError."""
    return target_of(environment.ports.router.observe().live, target)


def choose_target(live: Colour, target: str | None) -> Colour:
    """Return the colour to deploy to. Raises TargetIsLive; the lock's holder checks that again."""
    chosen = target_of(live, target)
    if chosen is live:
        raise TargetIsLive(
            f"{chosen} is live: nothing is deployed to the colour that takes the traffic",
            hint=f"Deploy to the idle colour: --target={live.other}, or --target=auto.",
        )
    return chosen


def live_release(environment: Environment, live: LiveSnapshot) -> Release:
    """Return the live release at the live domain."""
    return Release(environment.live_url, live.colour, _image_of(environment, live))


def at_own_address(environment: Environment, live: LiveSnapshot) -> Release:
    """Return the live release at its colour's own address."""
    return Release(live.url or "", live.colour, _image_of(environment, live))


def _image_of(environment: Environment, live: LiveSnapshot) -> Image:
    """Return the image that runs, with the version that it answers, which is what it is compared with."""
    image = environment.image_of(live.digest) or unregistered(live.digest)
    return replace(image, version=live.version or "")


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

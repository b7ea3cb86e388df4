"""The choice of release and target colour, and the refusal of an irreversible release."""

from __future__ import annotations

from dataclasses import replace

from deployment.errors import DeploymentError, Refused, TargetIsLive
from deployment.flow.lease import open_deployment
from deployment.model import Colour, Image, Reads
from deployment.plan import LiveSnapshot
from deployment.releases import default_tag
from deployment.settings import Settings
from deployment.strategy import AT_ONCE
from infrastructure import compose
from infrastructure.compose import Environment
from plugins.options import AUTO
from plugins.state import Release, unregistered


def choose_image(environment: Environment, tag: str | None) -> Image:
    """Return the image of the tag, or of the highest SemVer tag if ``tag`` is None. Raises UnknownTag or Refused."""
    return environment.registry.resolve(tag if tag is not None else default_tag(environment.registry.tags()))


def target_of(live: Colour, target: str | None) -> Colour:
    """Return the colour that ``--target`` means while ``live`` is live; ``auto`` is the other one."""
    return live.other if target == AUTO else Colour(str(target))


def named_colour(run_id: str) -> Colour | None:
    """Return the colour that a run's id names; None if it names none."""
    named = run_id.split("-")[2]
    return Colour(named) if named in set(Colour) else None


def projected_target(environment: Environment, target: str | None, run_id: str | None = None) -> Colour:
    """Return the colour that a run would deploy to now; whether it is idle is checked under the lock. Raises CloudError.

    For ``auto`` that is the colour that ``run_id`` names, if it names one.
    """
    if target == AUTO and run_id is not None and (named := named_colour(run_id)):
        return named
    return target_of(environment.ports.router.observe().live, target)


def colour_of_auto(settings: Settings) -> Colour | None:
    """Return the colour that ``--target=auto`` means, for the id of a run that is about to begin.

    Returns None if that is not certain yet: another deployment is under way or was interrupted, so traffic may still
    move; a stopped embedded environment will continue with the data that it has; or the environment does not answer.
    """
    try:
        if not compose.is_up(settings):
            return None if compose.sleeps(settings) else compose.projected_release(settings, None)[1].other
        ports = compose.connect(settings, Reads.NOTHING).ports
        if ports.lease.current() is not None or open_deployment(ports) is not None:
            return None
        return ports.router.observe().live.other
    except DeploymentError:
        return None  # the run itself meets the same problem, and reports it


def refuse_other_colour(run_id: str, target: Colour) -> None:
    """Raise Refused if the run's id names another colour than the one to deploy to: traffic has moved since."""
    named = named_colour(run_id)
    if named not in (None, target):
        raise Refused(
            f"traffic has moved since this run began: --target=auto now means {target}, but the run's id names {named}",
            hint="Start the run again.",
        )


def choose_target(live: Colour, target: str | None) -> Colour:
    """Return the colour to deploy to. Raises TargetIsLive; the lock's holder checks that again."""
    chosen = target_of(live, target)
    if chosen is live:
        raise TargetIsLive(chosen)
    return chosen


def live_release(environment: Environment, live: LiveSnapshot) -> Release:
    """Return the live release at the live domain."""
    return Release(environment.live_url, live.colour, _image_of(environment, live))


def at_own_address(environment: Environment, live: LiveSnapshot) -> Release:
    """Return the live release at its colour's own address."""
    return Release(live.url or "", live.colour, _image_of(environment, live))


def _image_of(environment: Environment, live: LiveSnapshot) -> Image:
    """Return the running image, with the version that the service reports, because checks compare it with that one."""
    image = environment.image_of(live.digest) or unregistered(live.digest)
    return replace(image, version=live.version or "")


def refuse_irreversible(image: Image, allowed: str | None, strategy: str) -> None:
    """Raise Refused if the migration is irreversible and ``--allow-irreversible`` was not given.

    An irreversible release is also refused with a strategy that shifts traffic by shares: it could not be rolled back from
    any share.
    """
    if not image.irreversible:
        return
    if strategy != AT_ONCE:
        raise Refused(
            f"{image.name} declares its migration irreversible, and strategy {strategy!r} gives it a share of the traffic "
            "first: a failure would freeze the split, with users on two releases of which one may be unable to read the data",
            hint=f"Add --strategy={AT_ONCE}.",
        )
    if allowed is None:
        raise Refused(
            f"{image.name} declares its migration irreversible: after it has run, no rollback is possible",
            hint="Add --allow-irreversible REASON; a failure after the switch then freezes (exit code 11) instead of "
            "rolling back, and a person must decide.",
        )

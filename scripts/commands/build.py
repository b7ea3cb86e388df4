"""``deploy`` on AWS, before the pytest run: the image is built or taken, pushed, and scanned; from there on its tag is enough."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployment.errors import DeploymentError, NotFound, Refused, StepFailed, UnknownTag
from deployment.model import Image, Scan
from deployment.polling import poll
from deployment.ports import Clock, PushTarget, Scans
from deployment.preflight.preflight import too_severe
from deployment.settings import DeploymentLimits
from infrastructure.compose import Environment
from scripts.commands import docker

Say = Callable[[str], None]
NOT_BEGUN_S = 30.0
"""After a push a scan takes a moment to begin; one that has not begun by then never will."""


@dataclass(frozen=True)
class BuildRequest:
    """What ``deploy`` was asked for: a tag, an image that is built already, or a folder to build."""

    tag: str | None
    image: str | None
    context: Path


def ready(wish: BuildRequest, environment: Environment, limits: DeploymentLimits, say: Say) -> str:
    """Sees to it that the registry has the release, scanned; returns its tag. Raises Refused, StepFailed or CloudError."""
    door = environment.push_target
    if door is None:
        raise Refused("this environment's registry takes no images from here")
    tag = _tag(wish, environment, door)
    image = _known(environment, tag)
    if image is None and wish.image is None:
        _there(wish.context, environment)
    if image is not None:
        say(f"{image.name} is in the registry already ({image.digest}): nothing was built")
        return tag
    digest = _pushed(wish, tag, door, say)
    image = environment.registry.resolve(tag)
    if digest != image.digest:
        raise StepFailed(f"{digest} was pushed as {tag}, but the registry has {image.digest} under that tag")
    say(f"pushed {image.name}, {image.digest}")
    scans = environment.preflight_ports.scans
    if scans is not None:
        scanned(scans, image, limits, environment.ports.clock, say)
    return tag


def _tag(wish: BuildRequest, environment: Environment, door: PushTarget) -> str:
    """The tag that is deployed: as given, or as the registry's own name of ``--image`` says."""
    own = f"{door.host}/{door.repository}"
    if wish.image is None or not wish.image.startswith((f"{own}:", f"{own}@")):
        if wish.tag is None:
            raise Refused("which tag is the release to have?", hint="Give --image-tag TAG, a version such as 1.4.2.")
        return wish.tag
    rest = wish.image.removeprefix(own)
    if rest.startswith(":"):
        tag = rest[1:]
    else:
        found = environment.registry.find(rest[1:])
        if found is None:
            raise Refused(f"the registry has no {wish.image}, or it has no tag or no version there")
        tag = found.tag
    if wish.tag not in (None, tag):
        raise Refused(f"--image names tag {tag}, but --image-tag is {wish.tag}", hint="Leave one of them away.")
    environment.registry.resolve(tag)  # what is said to be there must be there: it is not built instead
    return tag


def _known(environment: Environment, tag: str) -> Image | None:
    try:
        return environment.registry.resolve(tag)
    except UnknownTag:
        return None
    except NotFound as error:
        raise Refused(
            f"there is no repository to push to: {error.message}",
            hint="Create the estate first (infrastructure/terraform).",
        ) from error


def _pushed(wish: BuildRequest, tag: str, door: PushTarget, say: Say) -> str:
    """Builds or takes the image and pushes it; returns the digest that docker says it pushed."""
    reference = f"{door.host}/{door.repository}:{tag}"
    commit = None if wish.image else clean_commit(wish.context)
    if wish.image:
        _runs_there(wish.image)
    user, password = door.credentials()
    docker.run(docker.login(door.host, user), given=password)
    try:
        if wish.image:
            say(f"pushing {wish.image} as {reference}")
            docker.run(docker.tag(wish.image, reference))
            docker.run(docker.push(reference), said=True)
            return _digest_of(reference)
        say(f"building {reference} from commit {commit}")
        return _built(wish.context, reference, tag, str(commit))
    finally:
        with contextlib.suppress(DeploymentError):  # what went wrong before it is what counts
            docker.run(docker.logout(door.host))


def _built(context: Path, reference: str, version: str, commit: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        docker.run(docker.build(context, reference, version, commit, metadata), said=True)
        try:
            return str(json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"])
        except (OSError, ValueError, KeyError) as error:
            raise StepFailed("docker did not say which digest it pushed; is its buildx too old?") from error


def _digest_of(reference: str) -> str:
    repository = reference.rpartition(":")[0]
    said = docker.run(docker.digests(reference))
    found = re.findall(rf'"{re.escape(repository)}@(sha256:[0-9a-f]{{64}})"', said)
    if not found:
        raise StepFailed(f"docker does not know under which digest it pushed {reference}")
    return str(found[-1])


def _runs_there(image: str) -> None:
    """Raises Refused where a local image is built for another platform."""
    built_for = docker.run(docker.inspect(image))
    if built_for != docker.PLATFORM:
        raise Refused(
            f"{image} is built for {built_for}, and {docker.PLATFORM} is what runs",
            hint=f"Build it again with `docker buildx build --platform {docker.PLATFORM} …`.",
        )


def _there(context: Path, environment: Environment) -> None:
    """Raises Refused, with the registry's tags, where there is nothing to build."""
    if not (context / "Dockerfile").is_file():
        raise Refused(
            f"the registry has no such tag (it has: {', '.join(environment.registry.tags()) or 'none'}), "
            f"and there is no Dockerfile in {context} to build it from",
            hint="Name the service's folder with --context DIR, or an image that is built already with --image REF.",
        )


def clean_commit(context: Path) -> str:
    """The commit whose files a context holds. Raises Refused where it holds others."""
    try:
        docker.run(docker.has_buildx())
    except StepFailed as error:
        raise Refused(
            "docker has no buildx, which annotates an image with its version", hint=docker.ELSEWHERE
        ) from error
    try:
        docker.run(docker.top_level(context))
    except StepFailed as error:
        raise Refused(f"{context} is no git working tree: nobody could say what was built") from error
    changed = docker.run(docker.changes(context)).splitlines()
    if changed:
        raise Refused(
            f"{len(changed)} files in {context} are not as they were committed, among them {changed[0].strip()}",
            hint="Commit or put them away: a release is built from a commit.",
        )
    return docker.run(docker.commit(context))


def scanned(scans: Scans, image: Image, limits: DeploymentLimits, clock: Clock, say: Say) -> None:
    """Waits for the scan that a push begins. Raises Refused above ``scan_severity``, DeadlinePassed after ``scan_timeout``.

    Where no scan begins, that is said, and decides nothing.
    """
    began = clock.monotonic()

    def attempt() -> Scan | None:
        scan = scans.of(image.digest)
        waiting = scan.under_way or (not scan.finished and clock.monotonic() - began < NOT_BEGUN_S)
        return None if waiting else scan

    scan = poll(clock, attempt, timeout_s=limits.scan_timeout, waiting_for=lambda: f"the scan of {image.name}")
    if not scan.finished:
        say(f"NOT SCANNED: {scan.detail}")
        return
    found = ", ".join(f"{count} {severity}" for severity, count in sorted(scan.findings.items())) or "no finding"
    if too_severe(scan.findings, limits.scan_severity):
        raise Refused(
            f"the scan of {image.name} found {found}; {limits.scan_severity} is the worst that is let through",
            hint="Mend the image and give it another tag; scan_severity of deployment.toml is the limit.",
        )
    say(f"scanned: {found}")

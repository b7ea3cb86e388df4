"""``deploy`` on AWS, before the pytest run: builds or takes the image, pushes it, and waits for its scan."""

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
from infrastructure.embedded.images import COMMITTED_ANNOTATION
from scripts.commands import docker

Say = Callable[[str], None]
SCAN_START_S = 30.0
"""How long after a push a scan may take to start (s); after that it is regarded as missing."""


@dataclass(frozen=True)
class BuildRequest:
    """The options of ``deploy``: a tag, an existing image, or a folder to build."""

    tag: str | None
    image: str | None
    context: Path


def prepare_image(request: BuildRequest, environment: Environment, limits: DeploymentLimits, say: Say) -> str:
    """Make sure that the registry has the release, push and scan it if necessary, and return its tag.

    Raises Refused, StepFailed or CloudError.
    """
    target = environment.push_target
    if target is None:
        raise Refused("images cannot be pushed to this environment's registry")
    tag = _tag(request, environment, target)
    image = _find(environment, tag)
    if image is None and request.image is None:
        _require_dockerfile(request.context, environment)
    if image is not None:
        unused = f", and {request.image} is not used" if request.image and not _is_pushed(request.image, target) else ""
        say(f"{image.name} is in the registry already ({image.digest}): nothing was built{unused}")
        return tag
    digest = _push(request, tag, target, say)
    image = environment.registry.resolve(tag)
    if digest != image.digest:
        raise StepFailed(f"{digest} was pushed as {tag}, but the registry has {image.digest} under that tag")
    say(f"pushed {image.name}, {image.digest}")
    scans = environment.preflight_ports.scans
    if scans is not None:
        wait_for_scan(scans, image, limits, environment.ports.clock, say)
    return tag


def _tag(request: BuildRequest, environment: Environment, target: PushTarget) -> str:
    """Return the tag to deploy: ``--image-tag``, or the tag of ``--image`` if that image is in the registry.

    Raises Refused if neither gives a tag or if they differ, UnknownTag if the registry has no such tag.
    """
    if request.image is None or not _is_pushed(request.image, target):
        if request.tag is None:
            raise Refused("the release needs a tag", hint="Add --image-tag TAG, a version such as 1.4.2.")
        return request.tag
    rest = request.image.removeprefix(f"{target.host}/{target.repository}")
    if rest.startswith(":"):
        tag = rest[1:]
    else:
        found = environment.registry.find(rest[1:])
        if found is None:
            raise Refused(f"the registry has no {request.image}, or the image has no tag or no version there")
        tag = found.tag
    if request.tag not in (None, tag):
        raise Refused(f"--image names tag {tag}, but --image-tag is {request.tag}", hint="Omit one of them.")
    environment.registry.resolve(tag)  # an image of the registry must exist: it is not built instead
    return tag


def _is_pushed(image: str, target: PushTarget) -> bool:
    """Return whether ``--image`` names an image of the registry, and not a local one."""
    own = f"{target.host}/{target.repository}"
    return image.startswith((f"{own}:", f"{own}@"))


def _find(environment: Environment, tag: str) -> Image | None:
    try:
        return environment.registry.resolve(tag)
    except UnknownTag:
        return None
    except NotFound as error:
        raise Refused(
            f"the repository to push to does not exist: {error.message}",
            hint="Create the estate first (infrastructure/terraform).",
        ) from error


def _push(request: BuildRequest, tag: str, target: PushTarget, say: Say) -> str:
    """Build or take the image and push it; return the digest that docker reports."""
    reference = f"{target.host}/{target.repository}:{tag}"
    commit = None if request.image else clean_commit(request.context)
    if request.image:
        _require_platform(request.image)
    user, password = target.credentials()
    docker.run(docker.login(target.host, user), stdin=password)
    try:
        if request.image:
            say(f"pushing {request.image} as {reference}")
            docker.run(docker.tag(request.image, reference))
            docker.run(docker.push(reference), show=True)
            return _digest_of(reference)
        say(f"building {reference} from commit {commit}")
        return _build(request.context, reference, tag, str(commit))
    finally:
        with contextlib.suppress(DeploymentError):  # an earlier error counts more
            docker.run(docker.logout(target.host))


def _build(context: Path, reference: str, version: str, commit: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        annotations = {
            docker.VERSION: version,
            docker.REVISION: commit,
            COMMITTED_ANNOTATION: docker.run(docker.committed_at(context)),
        }
        docker.run(docker.build(context, reference, annotations, metadata), show=True)
        try:
            return str(json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"])
        except (OSError, ValueError, KeyError) as error:
            raise StepFailed("docker did not report the pushed digest; update its buildx plugin") from error


def _digest_of(reference: str) -> str:
    repository = reference.rpartition(":")[0]
    output = docker.run(docker.digests(reference))
    found = re.findall(rf'"{re.escape(repository)}@(sha256:[0-9a-f]{{64}})"', output)
    if not found:
        raise StepFailed(f"docker does not know the digest of {reference}, which it pushed")
    return str(found[-1])


def _require_platform(image: str) -> None:
    """Raise Refused if a local image is built for another platform."""
    built_for = docker.run(docker.inspect(image))
    if built_for != docker.PLATFORM:
        raise Refused(
            f"{image} is built for {built_for}, but the services run {docker.PLATFORM}",
            hint=f"Build it again with `docker buildx build --platform {docker.PLATFORM} …`.",
        )


def _require_dockerfile(context: Path, environment: Environment) -> None:
    """Raise Refused, with the registry's tags, if the context has no Dockerfile."""
    if not (context / "Dockerfile").is_file():
        raise Refused(
            f"the registry has no such tag (it has: {', '.join(environment.registry.tags()) or 'none'}), "
            f"and {context} has no Dockerfile to build it from",
            hint="Use --context DIR for the service's folder, or --image REF for an existing image.",
        )


def clean_commit(context: Path) -> str:
    """Return the commit of the context. Raises Refused if its files differ from the commit, or if buildx or git is missing."""
    try:
        docker.run(docker.has_buildx())
    except StepFailed as error:
        raise Refused(
            "docker has no buildx, which annotates an image with its version", hint=docker.ELSEWHERE
        ) from error
    try:
        docker.run(docker.top_level(context))
    except StepFailed as error:
        raise Refused(f"{context} is not a git working tree, so the image could not be traced to a commit") from error
    changed = docker.run(docker.changes(context)).splitlines()
    if changed:
        raise Refused(
            f"{len(changed)} files in {context} differ from the commit, among them {changed[0].strip()}",
            hint="Commit or remove them: a release is built from a commit.",
        )
    return docker.run(docker.commit(context))


def wait_for_scan(scans: Scans, image: Image, limits: DeploymentLimits, clock: Clock, say: Say) -> None:
    """Wait for the scan of a pushed image. Raises Refused above ``scan_severity``, DeadlinePassed after ``scan_timeout``.

    If no scan starts, a message reports it and the deployment continues.
    """
    began = clock.monotonic()

    def attempt() -> Scan | None:
        scan = scans.of(image.digest)
        waiting = scan.under_way or (not scan.finished and clock.monotonic() - began < SCAN_START_S)
        return None if waiting else scan

    scan = poll(clock, attempt, timeout_s=limits.scan_timeout, waiting_for=lambda: f"the scan of {image.name}")
    if not scan.finished:
        say(f"NOT SCANNED: {scan.detail}")
        return
    found = ", ".join(f"{count} {severity}" for severity, count in sorted(scan.findings.items())) or "no finding"
    if too_severe(scan.findings, limits.scan_severity):
        raise Refused(
            f"the scan of {image.name} found {found}; scan_severity allows at most {limits.scan_severity}",
            hint="Fix the image and give it a new tag, or change scan_severity in deployment.toml.",
        )
    say(f"scanned: {found}")

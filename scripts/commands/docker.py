"""What is asked of git and docker: functions that return what would be run; ``run`` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deployment.errors import Refused, StepFailed

PLATFORM = "linux/amd64"
"""What App Runner runs, and what the estate's task definitions name."""
VERSION, REVISION = "org.opencontainers.image.version", "org.opencontainers.image.revision"
ELSEWHERE = (
    "Install Docker with buildx, or build elsewhere: an image that is in the registry already needs neither, "
    "name it by --image-tag TAG or --image HOST/REPOSITORY:TAG."
)

Command = Sequence[str]


def login(host: str, user: str) -> Command:
    """Signs in; the password comes on the standard input, where no list of processes shows it."""
    return ("docker", "login", "--username", user, "--password-stdin", host)


def logout(host: str) -> Command:
    """Forgets the password again."""
    return ("docker", "logout", host)


def has_buildx() -> Command:
    """Succeeds where the plugin is installed."""
    return ("docker", "buildx", "version")


def build(context: Path, reference: str, version: str, revision: str, metadata: Path) -> Command:
    """Builds for the platform that runs it, annotates the manifest, and pushes; the digest is in ``metadata`` then.

    Without provenance and SBOM the tag names one manifest, whose digest is what the platforms say that they run.
    """
    return (
        *("docker", "buildx", "build", "--platform", PLATFORM, "--provenance=false", "--sbom=false"),
        *("--annotation", f"{VERSION}={version}", "--annotation", f"{REVISION}={revision}"),
        *("--output", f"type=image,name={reference},push=true,oci-mediatypes=true"),
        *("--metadata-file", str(metadata), str(context)),
    )


def inspect(image: str) -> Command:
    """Says for which platform a local image was built: ``linux/amd64``."""
    return ("docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image)


def tag(image: str, reference: str) -> Command:
    """Gives a local image the registry's name."""
    return ("docker", "tag", image, reference)


def push(reference: str) -> Command:
    """Pushes an image as it was built, annotations included."""
    return ("docker", "push", reference)


def digests(image: str) -> Command:
    """The digests, ``NAME@sha256:…``, under which registries have a local image."""
    return ("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image)


def top_level(context: Path) -> Command:
    """The folder of the git working tree."""
    return ("git", "-C", str(context), "rev-parse", "--show-toplevel")


def changes(context: Path) -> Command:
    """A line for each file of the context that is not as it was committed."""
    return ("git", "-C", str(context), "status", "--porcelain", "--untracked-files=normal", "--", ".")


def commit(context: Path) -> Command:
    """The commit that is checked out."""
    return ("git", "-C", str(context), "rev-parse", "HEAD")


def run(command: Command, *, given: str | None = None, said: bool = False) -> str:
    """Runs a command to its end and returns what it printed, empty where ``said``: then it prints for itself.

    Its environment has no AWS credentials: neither git nor docker is asked to know any. Raises Refused where the program is
    not installed, StepFailed where it fails.
    """
    if shutil.which(command[0]) is None:
        raise Refused(f"{command[0]} is not installed: it is not on the PATH", hint=ELSEWHERE)
    ran = subprocess.run(
        command,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        stdout=None if said else subprocess.PIPE,
        stderr=None if said else subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        text=True,
        check=False,
    )
    if ran.returncode:
        why = (ran.stderr or "").strip().splitlines()
        what = " ".join(command[:3] if command[0] == "docker" else command[3:5])
        raise StepFailed(f"{what} ended with {ran.returncode}" + (f": {why[-1]}" if why else ""))
    return (ran.stdout or "").strip()

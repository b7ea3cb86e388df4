"""The calls of git and docker: each function returns a command, and ``run`` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployment.errors import Refused, StepFailed
from verification.redaction.output import forward

PLATFORM = "linux/amd64"
"""The platform of App Runner and of the estate's task definitions."""
VERSION, REVISION = "org.opencontainers.image.version", "org.opencontainers.image.revision"
ELSEWHERE = (
    "Install Docker with buildx, or push the image from another machine and deploy it with --image-tag TAG "
    "or --image HOST/REPOSITORY:TAG."
)

Command = Sequence[str]


def login(host: str, user: str) -> Command:
    """Sign in; docker reads the password from standard input, so that no process list shows it."""
    return ("docker", "login", "--username", user, "--password-stdin", host)


def logout(host: str) -> Command:
    """Remove the stored password."""
    return ("docker", "logout", host)


def has_buildx() -> Command:
    """Succeed if the plugin is installed."""
    return ("docker", "buildx", "version")


def build(context: Path, reference: str, annotations: Mapping[str, str], metadata: Path) -> Command:
    """Build for ``PLATFORM``, annotate the manifest, push, and write the digest to ``metadata``.

    Without provenance and SBOM the tag names a single manifest, whose digest the platforms report for running services.
    """
    return (
        *("docker", "buildx", "build", "--platform", PLATFORM, "--provenance=false", "--sbom=false"),
        *(part for name, value in annotations.items() for part in ("--annotation", f"{name}={value}")),
        *("--output", f"type=image,name={reference},push=true,oci-mediatypes=true"),
        *("--metadata-file", str(metadata), str(context)),
    )


def inspect(image: str) -> Command:
    """Print the platform of a local image, such as ``linux/amd64``."""
    return ("docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image)


def tag(image: str, reference: str) -> Command:
    """Give a local image the registry's name."""
    return ("docker", "tag", image, reference)


def push(reference: str) -> Command:
    """Push an image unchanged, with its annotations."""
    return ("docker", "push", reference)


def digests(image: str) -> Command:
    """Print the digests (``NAME@sha256:…``) of a local image in registries."""
    return ("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image)


def top_level(context: Path) -> Command:
    """Print the folder of the git working tree."""
    return ("git", "-C", str(context), "rev-parse", "--show-toplevel")


def changes(context: Path) -> Command:
    """Print a line for each file of the context that differs from the commit."""
    return ("git", "-C", str(context), "status", "--porcelain", "--untracked-files=normal", "--", ".")


def commit(context: Path) -> Command:
    """Print the commit that is checked out."""
    return ("git", "-C", str(context), "rev-parse", "HEAD")


def committed_at(context: Path) -> Command:
    """Print the time of the commit that is checked out, in ISO 8601 with its offset."""
    return ("git", "-C", str(context), "show", "--no-patch", "--format=%cI", "HEAD")


def run(command: Command, *, stdin: str | None = None, show: bool = False) -> str:
    """Run a command and return its output; with ``show`` its output is printed as it comes, redacted, and the result is empty.

    Its environment has no AWS credentials, because neither git nor docker needs them. Raises Refused if the program is not
    installed, StepFailed if it fails.
    """
    if shutil.which(command[0]) is None:
        raise Refused(f"{command[0]} is not installed: it is not on the PATH", hint=ELSEWHERE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if show:
        ran = _shown(command, environment)
    else:
        ran = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=environment,
            text=True,
            check=False,
        )
    if ran.returncode:
        errors = (ran.stderr or "").strip().splitlines()
        name = " ".join(command[:3] if command[0] == "docker" else command[3:5])
        raise StepFailed(f"{name} ended with {ran.returncode}" + (f": {errors[-1]}" if errors else ""))
    return (ran.stdout or "").strip()


def _shown(command: Command, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command and print its output through this process's own, which removes secrets and control characters."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None, "opened with PIPE"
        forward(process.stdout.fileno(), sys.stdout)
    return subprocess.CompletedProcess(command, process.returncode)

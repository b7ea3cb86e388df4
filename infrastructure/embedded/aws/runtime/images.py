"""Images: the digest of an identifier, the copy of an image's content, and its Procfile."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.embedded.aws.clients import AwsClients
from infrastructure.embedded.aws.errors import DeploymentFailed

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Procfile:
    """The commands of an image: `web` serves, `release` runs once before a new revision serves."""

    web: str
    release: str | None


class Images:
    """The content-addressed folder of images; ECR resolves tags."""

    def __init__(self, folder: Path, clients: AwsClients) -> None:
        self._folder = folder
        self._clients = clients

    def digest(self, identifier: str) -> str:
        """Return the digest `sha256:…` of an ImageIdentifier; ECR resolves a tag. Raises DeploymentFailed."""
        name, _, digest = identifier.partition("@")
        if digest:
            if not _DIGEST.fullmatch(digest):
                raise DeploymentFailed(f"not an image digest: {digest}")
            return digest
        repository, _, tag = name.partition("/")[2].partition(":")
        return self._digest_of_tag(identifier, repository, tag or "latest")

    def unpack(self, digest: str, target: Path) -> None:
        """Copy the image's content to `target`. Raises DeploymentFailed for an unknown digest."""
        content = self._folder / digest.replace(":", "-") / "content"
        if not content.is_dir():
            raise DeploymentFailed(f"failed to pull image: {digest} not found")
        shutil.copytree(content, target, symlinks=True)

    def _digest_of_tag(self, identifier: str, repository: str, tag: str) -> str:
        registry = identifier.partition(".")[0]
        try:
            answer = self._clients.get("ecr").describe_images(
                registryId=registry, repositoryName=repository, imageIds=[{"imageTag": tag}]
            )
            return str(answer["imageDetails"][0]["imageDigest"])
        except (ClientError, BotoCoreError, LookupError) as exc:
            reason = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
            raise DeploymentFailed(f"failed to pull image {identifier} ({reason})") from exc


def procfile(folder: Path) -> Procfile:
    """Read `web:` and `release:`. Raises DeploymentFailed if the Procfile is unreadable or has no `web:`."""
    try:
        lines = (folder / "Procfile").read_text().splitlines()
    except OSError as exc:
        raise DeploymentFailed("the image has no readable Procfile") from exc
    commands = {kind.strip(): command.strip() for kind, _, command in (line.partition(":") for line in lines)}
    if not commands.get("web"):
        raise DeploymentFailed("the image's Procfile has no web command")
    return Procfile(commands["web"], commands.get("release") or None)

"""The registry of releases on ECR: a tag is resolved to a digest once, and the manifest names the release's version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import semver

from deployment.errors import NotFound, Refused, UnknownTag
from deployment.model import Image
from infrastructure.aws.partitions import registry_host
from infrastructure.aws.registry.manifests import Manifests, linux_of
from infrastructure.aws.session import Clients

VERSION_ANNOTATION = "org.opencontainers.image.version"
MIGRATION_ANNOTATION = "com.telehealth.migration"
COMMITTED_ANNOTATION = "com.telehealth.committed-at"
"""The time of the image's commit; ``org.opencontainers.image.created`` is the time of the build, which says nothing about it."""
MIGRATIONS = {None: False, "reversible": False, "irreversible": True}

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # the distribution specification's rule for tags
_MOST_TAGS_SHOWN = 30


class EcrRegistry:
    """The Registry port on one ECR repository of the connection's account."""

    def __init__(self, clients: Clients, repository: str, account: str, region: str) -> None:
        self._clients = clients
        self._repository = repository
        self._account = account
        self._manifests = Manifests(clients, repository, account)
        self._host = registry_host(account, region)

    def resolve(self, tag: str) -> Image:
        """Return the image behind a tag. Raises UnknownTag, Refused if the image names no version, CloudError."""
        digest = self._digest(tag)
        annotations = self._annotations(digest)
        version, migration = annotations.get(VERSION_ANNOTATION), annotations.get(MIGRATION_ANNOTATION)
        if migration not in MIGRATIONS:
            raise Refused(
                f"{self._repository}:{tag} ({digest}) has the annotation {MIGRATION_ANNOTATION}={migration!r}: "
                "it must be 'reversible' or 'irreversible'"
            )
        if not version:
            raise Refused(
                f"{self._repository}:{tag} ({digest}) has no annotation {VERSION_ANNOTATION}: "
                "the version that its release must report is unknown",
                hint=f'Build it with `docker buildx build --annotation "{VERSION_ANNOTATION}=VERSION" …` and push it again.',
            )
        return self._image(tag, digest, version, annotations)

    def find(self, digest: str) -> Image | None:
        """Return the image of a digest under its highest tag; None if it is gone, has no tag, or names no version."""
        try:
            answer = self._clients.call("ecr", "DescribeImages", **self._where(), imageIds=[{"imageDigest": digest}])
        except NotFound:
            return None
        tags = in_precedence(set(answer["imageDetails"][0].get("imageTags", ())))
        annotations = self._annotations(digest)
        version = annotations.get(VERSION_ANNOTATION)
        if not tags or not version:
            return None
        best = [tag for tag in tags if _semver(tag)] or tags
        return self._image(best[-1], digest, version, annotations)

    def _image(self, tag: str, digest: str, version: str, annotations: Mapping[str, str]) -> Image:
        uri = f"{self._host}/{self._repository}@{digest}"
        # A live image with an unknown annotation counts as irreversible.
        migration = annotations.get(MIGRATION_ANNOTATION)
        irreversible = MIGRATIONS.get(migration, True)
        committed_at = _time(annotations.get(COMMITTED_ANNOTATION))
        return Image(self._repository, tag, digest, version, uri, irreversible, committed_at, migration)

    def tags(self) -> Sequence[str]:
        """Return every tag: SemVer tags in precedence order, then the others by name. Raises CloudError."""
        details = self._clients.pages(
            "ecr", "DescribeImages", "imageDetails", marker="nextToken", **self._where(), filter={"tagStatus": "TAGGED"}
        )
        return in_precedence({tag for detail in details for tag in detail.get("imageTags", ())})

    def _digest(self, tag: str) -> str:
        if not _TAG.fullmatch(tag):
            raise self._unknown(tag)
        try:
            answer = self._clients.call("ecr", "DescribeImages", **self._where(), imageIds=[{"imageTag": tag}])
        except NotFound as error:
            # If the repository is missing, listing its tags raises that error.
            raise self._unknown(tag) from error
        return str(answer["imageDetails"][0]["imageDigest"])

    def _annotations(self, digest: str) -> Mapping[str, str]:
        """Return the image's annotations; those of its index take precedence over those of its Linux manifest."""
        manifest = self._manifests.of(digest)
        own: Mapping[str, str] = manifest.get("annotations") or {}
        linux = linux_of(manifest)
        if linux is None:
            return own
        return {**(self._manifests.of(linux).get("annotations") or {}), **own}

    def _unknown(self, tag: str) -> UnknownTag:
        known = self.tags()
        # The highest version comes last, at the end of the line that the user reads.
        shown = [*(one for one in known if not _semver(one)), *(one for one in known if _semver(one))]
        left = f"… ({len(shown)} in all) " if len(shown) > _MOST_TAGS_SHOWN else ""
        hint = f"Choose one of its tags: {left}{', '.join(shown[-_MOST_TAGS_SHOWN:])}."
        return UnknownTag(
            f"{self._repository} has no tag {tag!r}",
            hint=hint if shown else "It has no tag at all: push an image first.",
        )

    def _where(self) -> dict[str, str]:
        return {"registryId": self._account, "repositoryName": self._repository}


def _time(text: str | None) -> str | None:
    """Return a time in UTC if it has an offset; None for any other text: it is shown, and decides nothing."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if found.tzinfo is None else found.astimezone(UTC).isoformat()


def in_precedence(tags: set[str]) -> Sequence[str]:
    """Return SemVer tags in precedence order, lowest first, then the others by name."""
    versions = [version for tag in tags if (version := _semver(tag))]
    return [*map(str, sorted(versions)), *sorted(tag for tag in tags if not _semver(tag))]


def _semver(tag: str) -> semver.Version | None:
    return semver.Version.parse(tag) if semver.Version.is_valid(tag) else None

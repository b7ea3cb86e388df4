"""Release tags in SemVer precedence, where a tag that is not a version is never the default; and names of images."""

from __future__ import annotations

from collections.abc import Sequence

import semver

from deployment.errors import CloudError, UnknownTag
from deployment.model import Image
from deployment.ports import Registry


def default_tag(tags: Sequence[str]) -> str:
    """Return the highest SemVer tag. Raises UnknownTag if there is none."""
    versions = [tag for tag in tags if semver.Version.is_valid(tag)]
    if not versions:
        known = ", ".join(tags) or "none at all"
        raise UnknownTag(
            f"no tag of the registry is a SemVer version, so none is the default release (tags: {known})",
            hint="Name one with --image-tag=TAG.",
        )
    return max(versions, key=semver.Version.parse)


def named_image(registry: Registry, digest: str | None) -> Image | None:
    """Return the registry's image of a digest, for its name; None if it is unknown.

    A registry that cannot be asked counts as one that does not know the image: a name must never stop a rollback, whose role
    may not read the registry.
    """
    try:
        return None if digest is None else registry.find(digest)
    except CloudError:
        return None

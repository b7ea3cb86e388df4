"""Release tags in SemVer precedence. A tag that is not a version is never the default."""

from __future__ import annotations

from collections.abc import Sequence

import semver

from deployment.errors import UnknownTag


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

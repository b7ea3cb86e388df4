"""Manifests of images as ECR stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployment.errors import CloudError
from infrastructure.aws.session import Clients

_ACCEPTED = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Manifests:
    """The manifests of one repository; the caller needs ecr:BatchGetImage."""

    def __init__(self, clients: Clients, repository: str, account: str) -> None:
        self._clients = clients
        self._repository = repository
        self._account = account

    def of(self, digest: str) -> Mapping[str, Any]:
        """Return the manifest, or the index, of a digest. Raises CloudError."""
        answer = self._clients.call(
            "ecr",
            "BatchGetImage",
            registryId=self._account,
            repositoryName=self._repository,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=list(_ACCEPTED),
        )
        if not answer.get("images"):
            code = next((failure.get("failureCode") for failure in answer.get("failures", ())), "no image")
            raise CloudError(f"ecr BatchGetImage: {code} for {self._repository}@{digest}")
        try:
            manifest: Mapping[str, Any] = json.loads(answer["images"][0]["imageManifest"])
        except ValueError as error:
            raise CloudError(f"ecr BatchGetImage: the manifest of {self._repository}@{digest} is not JSON") from error
        return manifest

    def linux(self, digest: str) -> str | None:
        """Return what ``linux_of`` returns for the manifest of a digest. Raises CloudError."""
        return linux_of(self.of(digest))


def linux_of(manifest: Mapping[str, Any]) -> str | None:
    """Return the digest of an index's manifest for linux/amd64, else of the first for another Linux; None if it has none."""
    found = [entry for entry in manifest.get("manifests", ()) if _platform(entry).get("os") == "linux"]
    best = sorted(found, key=lambda entry: _platform(entry).get("architecture") != "amd64")
    return str(best[0]["digest"]) if best else None


def _platform(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return entry.get("platform") or {}

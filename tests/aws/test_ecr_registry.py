"""Tags, digests and versions as ECR stores them."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from deployment.errors import NotFound, Refused, UnknownTag
from infrastructure.aws.registry.images import MIGRATION_ANNOTATION, VERSION_ANNOTATION, EcrRegistry, in_precedence
from infrastructure.aws.session import Clients

ACCOUNT, REGION = "123456789012", "us-east-1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LINUX = {"os": "linux", "architecture": "amd64"}


class Repository:
    def __init__(self, clients: Clients) -> None:
        self.name = f"telehealth-{uuid4().hex[:8]}"
        self._clients = clients
        clients.call("ecr", "CreateRepository", repositoryName=self.name)
        self.registry = EcrRegistry(clients, self.name, ACCOUNT, REGION)

    def push(self, tag: str | None, version: str | None, media: str = MANIFEST, **extra: Any) -> str:
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": media, "salt": uuid4().hex, **extra}
        if media == MANIFEST:
            config = {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": "sha256:" + "0" * 64,
                "size": 1,
            }
            manifest |= {"config": config, "layers": []}
        if version is not None:
            manifest["annotations"] = {VERSION_ANNOTATION: version}
        text = json.dumps(manifest)
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        named = {"imageTag": tag} if tag else {}
        self._clients.call(
            "ecr",
            "PutImage",
            repositoryName=self.name,
            imageManifest=text,
            imageManifestMediaType=media,
            imageDigest=digest,
            **named,
        )
        return digest


@pytest.fixture
def repository(clients: Clients) -> Repository:
    return Repository(clients)


def test_tag_is_resolved_to_its_digest_and_version(repository: Repository) -> None:
    digest = repository.push("1.2.0", "1.2.0+build.7")
    image = repository.registry.resolve("1.2.0")
    assert (image.digest, image.version, image.tag) == (digest, "1.2.0+build.7", "1.2.0")
    assert image.uri == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository.name}@{digest}"


def test_index_may_carry_the_version(repository: Repository) -> None:
    repository.push("2.0.0", "2.0.0", INDEX, manifests=[])
    assert repository.registry.resolve("2.0.0").version == "2.0.0"


def test_index_without_a_version_takes_its_linux_manifests(repository: Repository) -> None:
    entries = [
        {"digest": repository.push("windows", "9.9.9"), "platform": {"os": "windows", "architecture": "amd64"}},
        {"digest": repository.push("linux", "2.1.0"), "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    digest = repository.push("2.1.0", None, INDEX, manifests=entries)
    image = repository.registry.resolve("2.1.0")
    assert (image.digest, image.version) == (digest, "2.1.0")


ARM = {"os": "linux", "architecture": "arm64", "variant": "v8"}
ATTESTATION = {"os": "unknown", "architecture": "unknown"}


@pytest.mark.parametrize(
    ("platforms", "version"),
    [
        ([ARM], "1.0.0"),
        ([ATTESTATION, ARM], "1.0.1"),
        ([ARM, {"os": "linux", "architecture": "arm"}], "1.0.0"),
        ([ARM, LINUX, ATTESTATION], "1.0.1"),
        ([LINUX, ARM], "1.0.0"),
    ],
)
def test_index_may_be_for_arm_alone(repository: Repository, platforms: list[dict[str, str]], version: str) -> None:
    """The manifest for linux/amd64 decides; without one, the first for another Linux."""
    entries = [
        {"digest": repository.push(f"m{number}", f"1.0.{number}"), "platform": platform}
        for number, platform in enumerate(platforms)
    ]
    repository.push("3.0.0", None, INDEX, manifests=entries)
    assert repository.registry.resolve("3.0.0").version == version


@pytest.mark.parametrize("platforms", [[], [ATTESTATION], [{"os": "windows", "architecture": "amd64"}], [None]])
def test_index_without_a_linux_manifest_names_no_version(
    repository: Repository, platforms: list[dict[str, str] | None]
) -> None:
    entries = [{"digest": repository.push("m", "1.0.0"), "platform": platform} for platform in platforms]
    repository.push("3.0.0", None, INDEX, manifests=entries)
    with pytest.raises(Refused, match=VERSION_ANNOTATION):
        repository.registry.resolve("3.0.0")


def test_image_without_a_version_is_refused_with_a_hint(repository: Repository) -> None:
    repository.push("1.0.0", None)
    with pytest.raises(Refused, match=VERSION_ANNOTATION) as caught:
        repository.registry.resolve("1.0.0")
    assert "docker buildx build --annotation" in str(caught.value.hint)


@pytest.mark.parametrize("tag", ["9.9.9", "", "no spaces", "-dash", "x" * 129])
def test_unknown_tag_lists_the_known_ones(repository: Repository, tag: str) -> None:
    for known in ("1.10.0", "1.9.0", "latest"):
        repository.push(known, known)
    with pytest.raises(UnknownTag) as caught:
        repository.registry.resolve(tag)
    assert caught.value.hint == "Choose one of its tags: latest, 1.9.0, 1.10.0."


def test_empty_repository_is_reported(repository: Repository) -> None:
    assert repository.registry.tags() == []
    with pytest.raises(UnknownTag, match="has no tag") as caught:
        repository.registry.resolve("1.0.0")
    assert caught.value.hint == "It has no tag at all: push an image first."


def test_missing_repository_is_not_found(clients: Clients) -> None:
    with pytest.raises(NotFound, match="RepositoryNotFoundException"):
        EcrRegistry(clients, "no-such-repository", ACCOUNT, REGION).resolve("1.0.0")


def test_tags_are_in_precedence_order() -> None:
    tags = {"1.10.0", "1.9.0", "1.10.0-rc.2", "1.10.0-rc.10", "latest", "v2.0.0", "2.0"}
    assert in_precedence(tags) == ["1.9.0", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0", "2.0", "latest", "v2.0.0"]


@pytest.mark.parametrize(("annotation", "irreversible"), [(None, False), ("reversible", False), ("irreversible", True)])
@pytest.mark.parametrize("in_index", [False, True])
def test_irreversible_migration_is_read(
    repository: Repository, annotation: str | None, irreversible: bool, in_index: bool
) -> None:
    own = {VERSION_ANNOTATION: "1.2.0"} | ({MIGRATION_ANNOTATION: annotation} if annotation else {})
    digest = repository.push(None if in_index else "1.2.0", None, annotations=own)
    if in_index:
        entry = {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": LINUX}
        digest = repository.push("1.2.0", "1.2.0", INDEX, manifests=[entry])
    image = repository.registry.resolve("1.2.0")
    assert (image.irreversible, image.migration) == (irreversible, annotation)
    found = repository.registry.find(digest)
    assert found == image
    assert found.migration == annotation


def test_unknown_migration_annotation_is_refused(repository: Repository) -> None:
    repository.push("1.2.0", None, annotations={VERSION_ANNOTATION: "1.2.0", MIGRATION_ANNOTATION: "maybe"})
    with pytest.raises(Refused, match=r"maybe.*'reversible' or 'irreversible'"):
        repository.registry.resolve("1.2.0")


@pytest.mark.parametrize(
    ("annotation", "committed_at"),
    [
        ("2026-11-28T10:00:00+01:00", "2026-11-28T09:00:00+00:00"),
        ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00+00:00"),
        ("2026-11-28T10:00:00", None),  # without an offset it could be any hour
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_time_of_the_commit_is_read_and_never_invented(
    repository: Repository, annotation: str | None, committed_at: str | None
) -> None:
    """The time of the build, which OCI calls created, is another one."""
    own = {} if annotation is None else {"com.telehealth.committed-at": annotation}
    created = {"org.opencontainers.image.created": "2026-11-29T00:00:00Z"}
    digest = repository.push("1.2.0", None, annotations={VERSION_ANNOTATION: "1.2.0", **created, **own})
    assert repository.registry.resolve("1.2.0").committed_at == committed_at
    found = repository.registry.find(digest)
    assert found is not None
    assert found.committed_at == committed_at

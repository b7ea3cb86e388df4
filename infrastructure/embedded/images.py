"""The registry folder: its images, their order, and the manifest that is pushed to ECR for each.

An image's digest is that of an OCI manifest over one deterministic layer: the same content has the same digest on every
machine, for every owner and at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from semver import Version

from infrastructure.embedded.errors import BrokenImage, EmptyRegistry, UnknownRepository, UnknownTag

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
VERSION_ANNOTATION = "org.opencontainers.image.version"
MIGRATION_ANNOTATION = "com.telehealth.migration"
COMMITTED_ANNOTATION = "com.telehealth.committed-at"
MIGRATIONS = ("reversible", "irreversible")
"""The words that the file MIGRATION may contain; without the file a migration is reversible."""
_LEFTOVERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"}
"""Caches that tools leave in the folder; they are not part of the content."""


@dataclass(frozen=True)
class ImageFolder:
    """The folder REPOSITORY/TAG/ of the registry."""

    repository: str
    tag: str
    path: Path


@dataclass(frozen=True)
class Image:
    """The exact manifest that ECR receives, and its digest `sha256:…`."""

    folder: ImageFolder
    manifest: str
    digest: str


def scan(registry: Path, repository: str) -> tuple[ImageFolder, ...]:
    """Return the images of the repository in SemVer order; tags that are not SemVer come last.

    Raises EmptyRegistry without an image, UnknownRepository if the folder holds only other repositories.
    """
    if not registry.is_dir():
        raise EmptyRegistry(registry)
    chosen = registry / repository
    if not (chosen.is_dir() and _folders(chosen)):
        others = [folder.name for folder in _folders(registry) if _folders(folder)]
        raise UnknownRepository(repository, registry, others) if others else EmptyRegistry(registry)
    found = (ImageFolder(repository, folder.name, folder.resolve()) for folder in _folders(chosen))
    return tuple(sorted(found, key=lambda image: _precedence(image.tag)))


def tags(registry: Path, repository: str) -> list[tuple[str, str]]:
    """Return each image's (repository, tag) in SemVer order, tags that are not SemVer last. Raises EmptyRegistry."""
    return [(image.repository, image.tag) for image in scan(registry, repository)]


def lowest(registry: Path, repository: str) -> str:
    """Return the lowest SemVer tag. Raises EmptyRegistry if there is none."""
    return _semver_tags(registry, repository)[0]


def highest(registry: Path, repository: str) -> str:
    """Return the highest SemVer tag. Raises EmptyRegistry if there is none."""
    return _semver_tags(registry, repository)[-1]


def choose(registry: Path, repository: str, tag: str | None) -> ImageFolder:
    """Return the image with `tag`, or with the lowest SemVer tag. Raises UnknownTag or EmptyRegistry."""
    wanted = tag if tag is not None else lowest(registry, repository)
    images = scan(registry, repository)
    for image in images:
        if image.tag == wanted:
            return image
    raise UnknownTag(wanted, registry, [image.tag for image in images])


def build(folder: ImageFolder) -> Image:
    """Compute an image's manifest and digest. Raises BrokenImage if the folder is not an image."""
    version = _version(folder.path)
    web = _web_command(folder.path)
    layer = _layer(folder.path)
    layer_digest = _digest(layer)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/sh", "-c", web], "WorkingDir": "/app"},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }
    config_bytes = _json(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": _digest(config_bytes), "size": len(config_bytes)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": layer_digest, "size": len(layer)}],
        "annotations": {VERSION_ANNOTATION: version} | _migration(folder.path) | _committed(folder.path),
    }
    text = _json(manifest)
    return Image(folder, text, _digest(text.encode()))


def is_irreversible(image: Image) -> bool:
    """Return whether the release declares its migration irreversible."""
    declared: str | None = json.loads(image.manifest)["annotations"].get(MIGRATION_ANNOTATION)
    return declared == "irreversible"


def store(image: Image, images: Path) -> Path:
    """Copy the content to `images/sha256-<hex>/content`, completely or not at all; return that folder."""
    target = images / image.digest.replace(":", "-")
    if not target.exists():
        staged = images / f".{target.name}.{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        shutil.copytree(
            image.folder.path, staged / "content", symlinks=True, ignore=shutil.ignore_patterns(*_LEFTOVERS, "*.pyc")
        )
        staged.rename(target)
    return target / "content"


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))


def _precedence(tag: str) -> tuple[bool, Version, str]:
    known = Version.is_valid(tag)
    return (not known, Version.parse(tag) if known else Version(0), tag)


def _semver_tags(registry: Path, repository: str) -> list[str]:
    found = [tag for _, tag in tags(registry, repository)]
    ordered = [tag for tag in found if Version.is_valid(tag)]
    if not ordered:
        raise EmptyRegistry(registry, found)
    return ordered


def _version(folder: Path) -> str:
    try:
        version = (folder / "VERSION").read_text().strip()
    except OSError as exc:
        raise BrokenImage(folder, "it has no readable file VERSION") from exc
    if not version:
        raise BrokenImage(folder, "its file VERSION is empty")
    return version


def _migration(folder: Path) -> dict[str, str]:
    """Return the manifest annotation for the optional file MIGRATION; empty without the file."""
    file = folder / "MIGRATION"
    if not file.exists():
        return {}
    try:
        declared = file.read_text().strip()
    except (OSError, ValueError) as exc:
        raise BrokenImage(folder, "its file MIGRATION cannot be read") from exc
    if declared not in MIGRATIONS:
        raise BrokenImage(folder, f"its file MIGRATION says {declared!r}; it must say {' or '.join(MIGRATIONS)}")
    return {MIGRATION_ANNOTATION: declared}


def _committed(folder: Path) -> dict[str, str]:
    """Return the manifest annotation for the optional file COMMITTED_AT; empty without the file."""
    file = folder / "COMMITTED_AT"
    if not file.exists():
        return {}
    try:
        committed = datetime.fromisoformat(file.read_text().strip())
    except (OSError, ValueError) as exc:
        raise BrokenImage(folder, "its file COMMITTED_AT has no ISO 8601 time") from exc
    if committed.tzinfo is None:
        raise BrokenImage(folder, "the time in its file COMMITTED_AT has no offset, such as +00:00")
    return {COMMITTED_ANNOTATION: committed.isoformat()}


def _web_command(folder: Path) -> str:
    try:
        lines = (folder / "Procfile").read_text().splitlines()
    except OSError as exc:
        raise BrokenImage(folder, "it has no readable Procfile") from exc
    for line in lines:
        kind, _, command = line.partition(":")
        if kind.strip() == "web" and command.strip():
            return command.strip()
    raise BrokenImage(folder, "its Procfile has no line `web: COMMAND`")


def _layer(folder: Path) -> bytes:
    """Return a tar of the content without times, owners or other properties of this machine."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in _content(folder):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_symlink():
                if not path.resolve().is_relative_to(folder):
                    raise BrokenImage(folder, f"{member.name} is a link that leaves the image")
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
                archive.addfile(member)
            else:
                content = path.read_bytes()
                member.size, member.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
                archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _content(folder: Path) -> list[Path]:
    """Return the files and links, sorted by POSIX path; empty folders are not part of the content."""
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if _LEFTOVERS.isdisjoint(inside) and path.suffix != ".pyc" and (path.is_symlink() or path.is_file()):
            found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))

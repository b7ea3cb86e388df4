"""The registry folder: order of tags, digests from content, refusals."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.embedded import cloud, images
from infrastructure.embedded.errors import BrokenImage, EmptyRegistry, UnknownRepository, UnknownTag
from tests.embedded.conftest import SERVED

NAME = "telehealth-api"

MakeImage = Callable[..., Path]


def only(registry: Path) -> images.ImageFolder:
    (folder,) = images.scan(registry, NAME)
    return folder


def test_tags_are_in_semver_precedence_and_others_come_last(tmp_path: Path, image: MakeImage) -> None:
    for tag in ("latest", "1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0", "v3", "0.9.0"):
        image(tmp_path, tag)
    order = ["0.9.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0", "latest", "v3"]
    assert cloud.tags(tmp_path, NAME) == [("telehealth-api", tag) for tag in order]
    assert (cloud.lowest(tmp_path, NAME), cloud.highest(tmp_path, NAME)) == ("0.9.0", "2.0.0")


def test_a_tag_that_is_not_semver_is_never_a_default_but_can_be_named(tmp_path: Path, image: MakeImage) -> None:
    image(tmp_path, "latest")
    with pytest.raises(EmptyRegistry, match=r"latest.*--image-tag"):
        cloud.lowest(tmp_path, NAME)
    assert images.choose(tmp_path, NAME, "latest").tag == "latest"


def test_the_named_repository_is_used(tmp_path: Path, image: MakeImage) -> None:
    image(tmp_path, "1.0.0", repository="s")
    image(tmp_path, "2.0.0", repository="other")
    assert cloud.tags(tmp_path, "s") == [("s", "1.0.0")]
    with pytest.raises(
        UnknownRepository, match=r"no image of 'shop'; it holds other, s: set `repository` of suites/service.yaml"
    ):
        cloud.tags(tmp_path, "shop")


@pytest.mark.parametrize(
    ("repository", "host", "prefix"),
    [
        ("telehealth-api", "api.telehealth.localhost", "embedded-telehealth"),
        ("s", "api.s.localhost", "embedded-s"),
        ("team/Pay_ments-api", "api.pay-ments.localhost", "embedded-pay-ments"),
        ("a-name-of-more-than-twenty-letters", "api.a-name-of-more-than.localhost", "embedded-a-name-of-more-than"),
    ],
)
def test_names_come_from_the_repository(repository: str, host: str, prefix: str) -> None:
    served = cloud.Served(repository)
    assert (f"api.{served.stem}.localhost", f"embedded-{served.stem}") == (host, prefix)


@pytest.mark.parametrize("folders", [(), ("telehealth-api",)])
def test_a_registry_without_a_usable_image_is_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        (tmp_path / "registry" / folder).mkdir(parents=True)
    with pytest.raises(EmptyRegistry, match="EMBEDDED_REGISTRY"):
        cloud.tags(tmp_path / "registry", NAME)


def test_the_error_for_an_unknown_tag_lists_the_known_tags(registry: Path) -> None:
    with pytest.raises(UnknownTag, match=r"1\.0\.0, 1\.1\.0"):
        images.choose(registry, NAME, "9.9.9")


def test_the_digest_depends_on_the_content_only(tmp_path: Path, image: MakeImage) -> None:
    first = image(tmp_path / "one", "1.0.0")
    (first / "sub").mkdir()
    (first / "sub" / "data").write_text("x")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    second = tmp_path / "two" / "telehealth-api" / "1.0.0"
    os.utime(second / "serve.py", (1, 1))
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "serve.cpython-311.pyc").write_bytes(b"a cache file, not content")
    assert images.build(only(tmp_path / "one")).digest == images.build(only(tmp_path / "two")).digest


@pytest.mark.parametrize("change", ["content", "name", "mode", "version"])
def test_any_change_of_content_changes_the_digest(tmp_path: Path, image: MakeImage, change: str) -> None:
    folder = image(tmp_path, "1.0.0")
    before = images.build(only(tmp_path)).digest
    if change == "content":
        (folder / "serve.py").write_text("pass\n")
    elif change == "name":
        (folder / "serve.py").rename(folder / "server.py")
    elif change == "mode":
        (folder / "serve.py").chmod(0o755)
    else:
        (folder / "VERSION").write_text("1.0.1\n")
    assert images.build(only(tmp_path)).digest != before


def test_the_manifest_names_the_version(tmp_path: Path, image: MakeImage) -> None:
    image(tmp_path, "1.0.0")
    manifest = json.loads(images.build(only(tmp_path)).manifest)
    assert manifest["annotations"] == {"org.opencontainers.image.version": "1.0.0"}
    assert manifest["mediaType"] == images.MANIFEST_TYPE


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "VERSION").unlink(), "no readable file VERSION"),
        (lambda folder: (folder / "VERSION").write_text("\n"), "VERSION is empty"),
        (lambda folder: (folder / "Procfile").unlink(), "no readable Procfile"),
        (lambda folder: (folder / "Procfile").write_text("release: true\n"), "no line `web: COMMAND`"),
        (lambda folder: (folder / "out").symlink_to("/etc/passwd"), "a link that leaves the image"),
    ],
)
def test_a_broken_image_is_refused_before_anything_starts(
    tmp_path: Path, state: Path, image: MakeImage, damage: Callable[[Path], object], reason: str
) -> None:
    image(tmp_path, "1.0.0")
    damage(image(tmp_path, "1.1.0"))
    with pytest.raises(BrokenImage, match=reason):
        cloud.up(state, tmp_path, SERVED)
    assert cloud.inspect(state) is None


def test_the_stored_content_equals_the_folders(tmp_path: Path, image: MakeImage) -> None:
    folder = image(tmp_path / "registry", "1.0.0")
    (tmp_path / "images").mkdir()
    built = images.build(only(tmp_path / "registry"))
    for _ in range(2):  # a second time changes nothing
        content = images.store(built, tmp_path / "images")
    assert content == tmp_path / "images" / built.digest.replace(":", "-") / "content"
    assert sorted(path.name for path in content.iterdir()) == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("declared", "irreversible"), [(None, False), ("reversible\n", False), ("irreversible\n", True)]
)
def test_an_irreversible_migration_is_an_annotation(
    tmp_path: Path, image: MakeImage, declared: str | None, irreversible: bool
) -> None:
    folder = image(tmp_path, "1.0.0")
    plain = images.build(only(tmp_path)).digest
    if declared:
        (folder / "MIGRATION").write_text(declared)
    built = images.build(only(tmp_path))
    assert images.is_irreversible(built) is irreversible
    assert (built.digest == plain) is (declared is None)


def test_an_unknown_word_in_the_migration_file_is_refused(tmp_path: Path, image: MakeImage) -> None:
    (image(tmp_path, "1.0.0") / "MIGRATION").write_text("perhaps")
    with pytest.raises(BrokenImage, match=r"MIGRATION says 'perhaps'"):
        images.build(only(tmp_path))


def test_time_of_the_commit_becomes_an_annotation(tmp_path: Path, image: MakeImage) -> None:
    folder, name = image(tmp_path, "1.0.0"), "com.telehealth.committed-at"
    assert name not in images.build(only(tmp_path)).manifest
    (folder / "COMMITTED_AT").write_text("2026-11-28T10:00:00+01:00\n")
    annotations = json.loads(images.build(only(tmp_path)).manifest)["annotations"]
    assert annotations[name] == "2026-11-28T10:00:00+01:00"


@pytest.mark.parametrize("content", ["yesterday", "", "2026-11-28T10:00:00"])
def test_time_of_the_commit_that_says_nothing_is_refused(tmp_path: Path, image: MakeImage, content: str) -> None:
    (image(tmp_path, "1.0.0") / "COMMITTED_AT").write_text(content)
    with pytest.raises(BrokenImage, match="COMMITTED_AT"):
        images.build(only(tmp_path))

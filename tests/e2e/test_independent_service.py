"""A good release that shares only the contract with the reference service is promoted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.conftest import open_sandbox

SERVICE = Path(__file__).with_name("independent_service")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with the independent service under both tags, and without the reference service."""
    folder = tmp_path_factory.mktemp("independent") / "registry"
    for tag in (images.OLD, images.NEW):
        image = folder / images.REPOSITORY / tag
        shutil.copytree(SERVICE, image, ignore=shutil.ignore_patterns("__pycache__"))
        (image / "VERSION").write_text(f"{tag}\n", encoding="utf-8")
    return folder


@pytest.mark.soak  # `make test` deploys the example of httpbin, another service
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "as-shipped"])
def test_independent_service_is_promoted(registry: Path, fast_settings: Path, fast: bool) -> None:
    """Every required gate passes, the bake included."""
    with open_sandbox(registry) as sandbox:
        begun = killing.deploy(sandbox, fast_settings) if fast else sandbox.begin_pytest("--target=green", "-n", "2")
        ran = sandbox.wait(begun)
    assert ran.code == 0, ran.output
    assert [gate["outcome"] for gate in ran.facts["gates"] if gate["required"]] == ["passed"] * len(
        [gate for gate in ran.facts["gates"] if gate["required"]]
    )

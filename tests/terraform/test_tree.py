"""Checks on the text of the files: every variable is described, validated and used, and no mistake of the seed is back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.stub.core import TREE

FOR_EXISTING_ESTATES = {"live-rule", "target-group", "test-listener"}
MODULES = sorted(path for path in (TREE, *(TREE / "modules").iterdir()))
# The seed's variables, except the live colour, which no variable may set.
SEED = {"aws_region", "environment", "vpc_cidr", "availability_zones", "private_subnets", "public_subnets"}
SEED |= {"db_instance_class", "db_allocated_storage", "db_engine_version", "redis_node_type", "redis_engine_version"}
SEED |= {"domain_name"}


def blocks(folder: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each block of a kind in a module's files, as ``terraform fmt`` formats them."""
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        yield from re.findall(rf'^{kind} "([^"]+)"(?: "[^"]+")? \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL)


def source(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tf")))


@pytest.mark.parametrize("folder", MODULES, ids=lambda path: path.name)
def test_variables_and_outputs_are_explained_and_used(folder: Path) -> None:
    text = source(folder)
    for name, body in blocks(folder, "variable"):
        assert "description = " in body, name
        assert "type " in body, name
        assert re.search(rf"\bvar\.{name}\b", text.replace(body, "")), f"{name} is not used"
    for name, body in blocks(folder, "output"):
        assert "description = " in body, name


def test_root_validates_its_variables() -> None:
    found = dict(blocks(TREE, "variable"))
    assert len(found) > 30
    assert {name for name, body in found.items() if "validation {" not in body} == set()
    assert set(found) >= SEED


def test_no_variable_sets_the_live_colour() -> None:
    names = {name for folder in MODULES for name, _ in blocks(folder, "variable")}
    assert not {name for name in names if re.search(r"current|live_colou?r|active", name)}


def test_every_module_is_called() -> None:
    """The estate uses every module, except those that `adopt` prints for an estate that exists already."""
    text = "".join(source(folder) for folder in MODULES)
    called = {Path(name).name for name in re.findall(r'source\s+= "(\.[^"]+)"', text)}
    assert called | FOR_EXISTING_ESTATES == {path.name for path in MODULES if path != TREE}
    assert called & FOR_EXISTING_ESTATES == set()


def test_no_module_has_depends_on() -> None:
    """``depends_on`` of a module defers every data source in it: the plan would say "known after apply" everywhere."""
    assert [name for name, body in blocks(TREE, "module") if "depends_on" in body] == []


def test_only_the_region_that_aws_prescribes_is_hard_coded() -> None:
    text = re.sub(r"#.*", "", "".join(source(folder) for folder in MODULES))
    places = re.findall(r'"([a-z]{2}-[a-z]+-\d[a-z]?)"', text)
    assert set(places) == {"us-east-1"}, "CloudFront's home, and a default"
    assert not re.search(r"us-east-1[a-f]\b", text)
    assert not re.search(r"\b\d{12}\b", text)


@pytest.mark.parametrize(
    ("place", "ignored"),
    [
        ("app-runner", "[source_configuration[0].image_repository[0].image_identifier]"),
        ("ecs-service", "[task_definition, desired_count]"),
        ("ecs-service", "[input]"),
        ("load-balancer", "[action, tags, tags_all]"),
        ("live-rule", "[action, tags, tags_all]"),
        ("route53", "[weighted_routing_policy]"),
        ("front-door", "[value]"),
    ],
)
def test_terraform_ignores_image_and_traffic(place: str, ignored: str) -> None:
    assert f"ignore_changes = {ignored}" in source(TREE / "modules" / place)

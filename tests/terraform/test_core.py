"""The tree checked by Terraform's own core: format, types and references, and the estate's own tests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.terraform.stub import core


def test_the_tree_is_valid(terraform: Mapping[str, str], tmp_path: Path) -> None:
    """``terraform fmt`` and ``validate`` find nothing."""
    workspace = core.workspace(tmp_path / "tree", terraform)
    formed, begun, valid = [
        *workspace.run(
            ("fmt", "-check", "-recursive", "-no-color"), ("init", "-input=false", "-no-color"), ("validate", "-json")
        ),
        *[core.Answer(1, "", "an earlier command failed")] * 2,
    ][:3]
    assert formed.code == 0, f"not formatted: {formed.out}{formed.err}"
    assert begun.code == 0, begun.err
    assert valid.document()["diagnostics"] == []


@pytest.mark.soak
def test_the_trees_own_tests_pass(terraform: Mapping[str, str], tmp_path: Path, tree: Path) -> None:
    """``terraform test``: every test file runs, and none of its runs is skipped."""
    workspace = core.workspace(tmp_path / "tree", terraform)
    *_, tested = workspace.run(("init", "-input=false", "-no-color"), ("test", "-no-color"))
    assert tested.code == 0, tested.out + tested.err
    runs = [
        name for path in tree.glob("tests/*.tftest.hcl") for name in re.findall(r'^run "(\w+)"', path.read_text(), re.M)
    ]
    assert len(runs) > 15
    assert f"Success! {len(runs)} passed, 0 failed." in tested.out


def test_a_mistake_is_found(terraform: Mapping[str, str], tmp_path: Path) -> None:
    """The stub does not hide mistakes: the core itself refuses unknown arguments and outputs."""
    workspace = core.workspace(tmp_path / "tree", terraform)
    mistakes = 'resource "aws_ecr_repository" "wrong" {\n  name  = module.vpc.nothing\n  owner = "me"\n}\n'
    (workspace.folder / "mistakes.tf").write_text(mistakes)
    *_, valid = workspace.run(("init", "-input=false", "-no-color"), ("validate", "-json"))
    found = {one["summary"] for one in valid.document()["diagnostics"]}
    assert found == {"Unsupported argument", "Unsupported attribute"}


def test_second_environment_uses_the_first_ones_repository(terraform: Mapping[str, str], tmp_path: Path) -> None:
    """Two environments in one account: the second makes no repository, and its roles read and push the first one's."""
    workspace = core.workspace(tmp_path / "tree", terraform)
    options = [
        f"-var={one}"
        for one in ("environment=staging", "create_repository=false", "domain_name=api.staging.example.com")
    ]
    *_, shown = workspace.run(
        ("init", "-input=false", "-no-color"),
        ("plan", "-input=false", "-no-color", "-out=plan", *options),
        ("show", "-json", "plan"),
    )
    assert shown.code == 0, shown.err
    planned = json.dumps(shown.document()["planned_values"])
    assert '"aws_ecr_repository"' not in planned
    assert shown.document()["planned_values"]["outputs"]["ecr_repository"]["value"] == "telehealth-api"

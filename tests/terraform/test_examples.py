"""Every module works by itself: its example is a whole configuration, checked by Terraform's own core and by AWS's models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.terraform.aws_models import REQUESTS, UNCONSTRAINED, kind_of, refused
from tests.terraform.conftest import resources_of
from tests.terraform.stub import core
from tests.terraform.stub.core import Workspace

MODULES = sorted(path.name for path in (core.TREE / "modules").iterdir())


def together(folder: Path, environment: Mapping[str, str]) -> Workspace:
    """Return a tree that holds every example as a module: one run of the core checks them all."""
    tree = folder / "source"
    shutil.copytree(core.TREE / "modules", tree / "modules")
    calls = {name: {"source": f"./modules/{name}/example"} for name in MODULES}
    (tree / "main.tf.json").write_text(json.dumps({"module": calls}))
    return core.workspace(folder / "tree", environment, tree)


@pytest.mark.parametrize("name", MODULES)
def test_each_module_has_an_example_of_its_own(name: str) -> None:
    """The example names its own provider, and calls the module that it belongs to."""
    text = (core.TREE / "modules" / name / "example" / "main.tf").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert 'provider "aws" {' in text
    assert 'source = "../"' in text.replace("source   =", "source =")


def test_every_example_is_valid(terraform: Mapping[str, str], tmp_path: Path) -> None:
    """No example lacks a required argument or has one too many, and every reference in it resolves."""
    begun, valid = together(tmp_path, terraform).run(("init", "-input=false", "-no-color"), ("validate", "-json"))
    assert begun.code == 0, begun.err
    assert valid.document()["diagnostics"] == []


def test_a_missing_argument_of_an_example_is_found(terraform: Mapping[str, str], tmp_path: Path) -> None:
    example = core.TREE / "modules" / "live-rule" / "example" / "main.tf"
    tree = tmp_path / "source"
    shutil.copytree(core.TREE / "modules" / "live-rule", tree / "modules" / "live-rule")
    text = example.read_text(encoding="utf-8").replace('source = "../"', 'source = "./modules/live-rule"')
    (tree / "main.tf").write_text(text.replace("listener_arn ", "listener "), encoding="utf-8")
    (begun,) = core.workspace(tmp_path / "tree", terraform, tree).run(("init", "-input=false", "-no-color"))
    assert begun.code == 1
    assert "Missing required argument" in begun.err
    assert 'An argument named "listener" is not expected here' in begun.err


@pytest.mark.soak
def test_every_example_plans_and_aws_accepts_its_values(terraform: Mapping[str, str], tmp_path: Path) -> None:
    *_, shown = together(tmp_path, terraform).run(
        ("init", "-input=false", "-no-color"),
        ("plan", "-input=false", "-no-color", "-compact-warnings", "-out=plan"),
        ("show", "-json", "plan"),
    )
    assert shown.code == 0, shown.err
    planned = dict(resources_of(shown.document()["planned_values"]["root_module"]))
    assert {address.split(".")[1].replace("_", "-") for address in planned} == set(MODULES)
    problems = []
    for address, values in planned.items():
        kind = kind_of(address)
        # The values of module target-group are those of an existing group, and the stub knows none.
        if kind.startswith("aws_") and not address.startswith("module.target-group."):
            assert kind in REQUESTS or kind in UNCONSTRAINED, f"{kind}: add its request"
            problems += [f"{address}: {one}" for one in refused(kind, values)[0]]
    assert problems == []


@pytest.mark.soak
def test_roles_of_an_estate_without_key_topic_and_health_check(terraform: Mapping[str, str], tmp_path: Path) -> None:
    """IAM refuses a statement without a resource: the example of iam leaves out three kinds."""
    tree = tmp_path / "source"
    shutil.copytree(core.TREE / "modules" / "iam", tree / "modules" / "iam")
    (tree / "main.tf.json").write_text(json.dumps({"module": {"iam": {"source": "./modules/iam/example"}}}))
    *_, shown = core.workspace(tmp_path / "tree", terraform, tree).run(
        ("init", "-input=false", "-no-color"),
        ("apply", "-auto-approve", "-input=false", "-no-color", "-compact-warnings"),
        ("show", "-json"),
    )
    assert shown.code == 0, shown.err
    applied = dict(resources_of(shown.document()["values"]["root_module"]))
    policies = [json.loads(values["policy"]) for address, values in applied.items() if "aws_iam_policy." in address]
    statements = [one for policy in policies for one in policy["Statement"]]
    assert len(policies) > 8
    assert all(one["Resource"] for one in statements)
    text = json.dumps(statements)
    assert [name for name in ("kms:", "sns:", "GetHealthCheckStatus") if name in text] == []
    assert "ecs:UpdateService" in text

"""A trial: ``terraform destroy`` removes all of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import estate_cost
from tests.terraform.conftest import PAIRS, VARIABLES, Estate, resources_of
from tests.terraform.destruction import kept
from tests.terraform.documented_costs import documented_costs
from tests.terraform.stub import core

SOAKED = [
    pytest.param(pair, id="-".join(pair), marks=[] if pair == ("ecs", "alb") else pytest.mark.soak) for pair in PAIRS
]


@pytest.fixture(scope="module", params=SOAKED)
def trial(
    request: pytest.FixtureRequest, terraform: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Estate:
    """Plan a trial of each pair with the preset that the repository has."""
    platform, router = request.param
    workspace = core.workspace(tmp_path_factory.mktemp(f"trial-{platform}-{router}") / "tree", terraform)
    (workspace.folder / "trial.tfvars").write_text((core.TREE / "trial.tfvars").read_text())
    chosen = (f"platform={platform}", f"router={router}", *VARIABLES)
    options = [word for one in chosen for word in ("-var", one)]
    answers = workspace.run(
        ("init", "-input=false", "-no-color"),
        ("plan", "-input=false", "-no-color", "-compact-warnings", "-out=first", "-var-file=trial.tfvars", *options),
        ("show", "-json", "first"),
    )
    assert answers[-1].code == 0, answers[-1].err
    return Estate(platform, router, workspace, {}, answers[-1].document())


def test_trial_leaves_nothing_behind(trial: Estate) -> None:
    assert list(kept(trial.planned)) == []
    assert len(trial.planned) > 80


def test_documented_costs_of_a_trial_are_planned_ones(trial: Estate) -> None:
    """Only the default pair is documented. A new quantity: python -m benchmarks.estate_cost."""
    if trial.router == "alb":
        found = [(one.name, one.quantity, f"{one.usd:.2f}") for one in estate_cost.parts(trial.planned)]
        assert found == documented_costs((0, 3, 4))


def test_nothing_forbids_terraform_to_destroy(tree: Path) -> None:
    assert [path for path in tree.rglob("*.tf") if "prevent_destroy" in path.read_text(encoding="utf-8")] == []


@pytest.mark.soak
def test_trial_is_destroyed(trial: Estate) -> None:
    """Terraform's core destroys what it applied: no dependency between the resources stands in the way."""
    *_, applied = trial.workspace.run(
        ("apply", "-input=false", "-no-color", "-compact-warnings", "first"),
        ("show", "-json"),
    )
    resources = dict(resources_of(applied.document()["values"]["root_module"]))
    assert len(resources) == len(trial.planned)
    options = [
        word for one in (f"platform={trial.platform}", f"router={trial.router}", *VARIABLES) for word in ("-var", one)
    ]
    destroyed, state = trial.workspace.run(
        (
            "destroy",
            "-auto-approve",
            "-input=false",
            "-no-color",
            "-compact-warnings",
            "-var-file=trial.tfvars",
            *options,
        ),
        ("show", "-json"),
    )
    assert destroyed.code == 0, destroyed.err
    assert state.document().get("values", {}) == {}

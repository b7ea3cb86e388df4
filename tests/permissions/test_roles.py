"""Every command of every role under the policies that Terraform renders for it; see docs/aws.md, "What each role calls"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.images import CRASHES, make_registry
from tests.permissions import commands, table


@pytest.mark.soak
@pytest.mark.parametrize("platform", commands.ENVIRONMENTS)
def test_every_command_of_every_role(platform: str, terraform: Mapping[str, str], tmp_path: Path) -> None:
    """Each command does its work under its role's policies, and makes exactly the recorded calls.

    A new call: copy the printed object to benchmarks/results/role_calls.json, and the table to docs/aws.md.
    """
    registry = make_registry(tmp_path / "registry", [CRASHES])
    with commands.roles(platform, registry, terraform) as own:
        problems = commands.perform(own)
        found = commands.record(own.ran)
    print(json.dumps({platform: found}, indent=1))
    assert problems == []
    assert found == json.loads(table.FILE.read_text(encoding="utf-8"))[platform]


def test_documented_table_is_the_recorded_one() -> None:
    """`python -m tests.permissions.table` prints the table for docs/aws.md."""
    document = table.DOCUMENT.read_text(encoding="utf-8")
    assert "\n".join(table.lines()) in document, "print the table and copy it to docs/aws.md"

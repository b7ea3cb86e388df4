"""Every command of every role under the policies that Terraform renders for it; see docs/aws.md, "What each role calls"."""

from __future__ import annotations

import json
import re
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
    recorded = json.loads(table.FILE.read_text(encoding="utf-8"))[platform]
    assert table.complete(found) == table.complete(recorded)


def test_documented_table_is_the_recorded_one() -> None:
    """`python -m tests.permissions.table` prints the table for docs/aws.md: no row is missing, and none is left over."""
    document = table.DOCUMENT.read_text(encoding="utf-8")
    assert document.count(table.HEAD) == 1
    begin = document.index(table.HEAD)
    documented = document[begin : document.index("\n\n", begin)].splitlines()
    assert documented == table.lines(), "print the table and copy it to docs/aws.md"


def test_documented_roles_are_those_of_the_table() -> None:
    """The table of duties above it names every role that has commands, and no other."""
    document = table.DOCUMENT.read_text(encoding="utf-8")
    begin = document.index("| who | role | may |")
    rows = document[begin : document.index("\n\n", begin)].splitlines()[2:]
    named = {role for row in rows for role in re.findall(r"`([a-z-]+)`", row.split("|")[2])}
    assert named == {role for roles in table.recorded().values() for role in roles}

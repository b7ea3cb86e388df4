"""The adapters do not depend on their surroundings: neither by import, nor by name, nor by address."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.errors import SettingsError
from infrastructure.aws import adapters
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.cloudfront.router import CloudFrontRouter

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "infrastructure" / "aws").glob("**/*.py"))
FOREIGN = {"boto3", "botocore", "semver", "deployment", "infrastructure"}

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("infrastructure.embedded"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not [name for name in sys.modules if name.startswith("infrastructure.embedded")]
print("imported", len(sys.argv) - 1)
"""


def test_adapters_import_without_the_embedded_cloud() -> None:
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES]
    run = subprocess.run([sys.executable, "-c", BLOCKED, *names], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == f"imported {len(names)}\n", run.stderr
    assert len(names) > 8


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_adapter_names_a_host_or_port(file: Path) -> None:
    found = re.findall(r"embedded|127\.0\.0\.1|localhost|:\d{4,5}\b", file.read_text(), re.IGNORECASE)
    assert found == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_adapters_import_only_ports_boto3_and_semver(file: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    outside = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    # One file queries DNS resolvers, which do not belong to AWS.
    allowed = FOREIGN | ({"dns"} if file.name == "resolvers.py" else set())
    assert {name.split(".")[0] for name in outside} <= allowed
    assert all(name.startswith("infrastructure.aws") for name in outside if name.startswith("infrastructure"))
    ports = {"deployment.ports", "deployment.model", "deployment.errors"}
    assert {name for name in outside if name.startswith("deployment")} <= ports


def test_names_map_to_classes() -> None:
    assert adapters.platform("apprunner") is AppRunnerPlatform
    assert adapters.router("cloudfront") is CloudFrontRouter


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="apprunner"):
        adapters.platform("nomad")
    with pytest.raises(SettingsError, match="cloudfront"):
        adapters.router("bgp")

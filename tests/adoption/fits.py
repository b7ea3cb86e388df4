"""Whether printed Terraform fits the modules that it calls; tests with `--soak` ask Terraform's own core instead."""

from __future__ import annotations

import re

from tests.terraform.stub import core
from tests.terraform.test_tree import blocks


def misfits(text: str) -> list[str]:
    """Return each argument that a called module does not have, and each one that is missing."""
    found = []
    for label, body in re.findall(r'^module "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        source = re.search(r'source = "[^"]*/([\w-]+)"', body)
        assert source is not None, label
        variables = dict(blocks(core.TREE / "modules" / source[1], "variable"))
        given = set(re.findall(r"^  (\w+) +=", body, re.MULTILINE)) - {"source"}
        needed = {name for name, declared in variables.items() if "default " not in declared}
        found += [f"{label} has no {name}" for name in sorted(given - set(variables))]
        found += [f"{label} needs {name}" for name in sorted(needed - given)]
    return found


def referred(text: str) -> set[str]:
    """Return every output of a module that the text names, as ``module.LABEL.OUTPUT`` without the first word."""
    return set(re.findall(r"\bmodule\.(\w+\.\w+)", text))

"""Every command that a document shows is run, in the document's order, on one environment for each document."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.docs.checkout import Checkout
from tests.docs.documents import DOCUMENTS, ROOT, Block, Document

SHELL = ("sh", "console", "bash")
WITH_COMMANDS = [
    found for found in map(Document, DOCUMENTS) if any(block.language in SHELL for block in found.blocks())
]
AWS_CLI = Path(__file__).with_name("aws_cli.py")
# `make` would install and take its own minutes; what it would do is asked instead.
PREAMBLE = """
make() { command make -n "$@"; }
fail() { echo "THE DOCUMENT IS WRONG: $1"; exit 97; }
"""


def script(document: Document) -> str:
    """One script for the whole document: variables that one block sets are there in the next."""
    parts = [PREAMBLE, f'aws() {{ {shlex.quote(sys.executable)} {shlex.quote(str(AWS_CLI))} "$@"; }}\n']
    for block in document.blocks():
        where = f"{document.name}:{block.line}"
        if "file" in block.options or "add" in block.options:
            parts.append(_write(block))
        elif block.language in SHELL:
            parts.append(f"echo '### {where}'\n{_run(block, where)}")
    return "\n".join(parts)


def _write(block: Block) -> str:
    path = block.options.get("file") or block.options["add"]
    arrow = ">" if "file" in block.options else ">>"
    return (
        f"mkdir -p {shlex.quote(str(Path(path).parent))}\ncat {arrow} {path} <<'END-OF-FILE'\n{block.text}END-OF-FILE\n"
    )


def _run(block: Block, where: str) -> str:
    expected = block.options.get("exit", "0")
    if expected != "0":
        return (
            f"code=0; ( set -e\n{block.text}) || code=$?\n[ $code = {expected} ] || fail '{where}: exit code '$code\n"
        )
    here = f'eval "$({shlex.quote(sys.executable)} {shlex.quote(str(AWS_CLI))} exports)"\n'
    values = here if "aws" in block.words and "export KVS=" in block.text else ""
    return f"{block.text}{values}"


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda found: found.name)
def test_every_command_does_what_the_document_says(copy: Checkout, document: Document) -> None:
    """All blocks succeed (or give the exit code that is announced), and leave reports that fit the schema."""
    ran = copy.bash(script(document))
    assert ran.code == 0, ran.output[-6000:]
    schema = json.loads((ROOT / "docs" / "verification.schema.json").read_text(encoding="utf-8"))
    reports = copy.reports()
    assert reports or "pytest" not in ran.output
    for path in reports:
        jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text(encoding="utf-8")))

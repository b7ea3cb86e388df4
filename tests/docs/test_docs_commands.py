"""Every command that a document shows is run, in the document's order, with one environment for each document."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.docs.checkout import ScriptResult, checkout
from tests.docs.documents import DOCUMENTS, ROOT, Block, Document

SHELL = ("sh", "console", "bash")
ELSEWHERE = {"docs/adopt.md"}
"""Pages whose commands need an estate of their own: tests/adoption runs them."""
WITH_COMMANDS = [
    found
    for found in map(Document, DOCUMENTS)
    if any(block.language in SHELL for block in found.blocks()) and found.name not in ELSEWHERE
]
AWS_CLI = Path(__file__).with_name("aws_cli.py")
# `make` would install packages and run for minutes, so it only prints what it would run.
PREAMBLE = """
make() { command make -n "$@"; }
fail() { echo "THE DOCUMENT IS WRONG: $1"; exit 97; }
"""


def script(document: Document) -> str:
    """Return one script for the whole document, so that a block sees the variables of earlier blocks."""
    parts = [PREAMBLE, f'aws() {{ {shlex.quote(sys.executable)} {shlex.quote(str(AWS_CLI))} "$@"; }}\n']
    for block in document.blocks():
        where = f"{document.name}:{block.line}"
        if "file" in block.options or "add" in block.options:
            parts.append(_write(block))
        elif block.language in SHELL:
            parts.append(f"echo '### {where}'\n{run_block(block, where)}")
    return "\n".join(parts)


def _write(block: Block) -> str:
    path = block.options.get("file") or block.options["add"]
    arrow = ">" if "file" in block.options else ">>"
    return (
        f"mkdir -p {shlex.quote(str(Path(path).parent))}\ncat {arrow} {path} <<'END-OF-FILE'\n{block.text}END-OF-FILE\n"
    )


def run_block(block: Block, where: str) -> str:
    """Return the script of one block, which fails unless the block ends with the announced exit code."""
    expected = block.options.get("exit", "0")
    if expected != "0":
        return (
            f"code=0; ( set -e\n{block.text}) || code=$?\n[ $code = {expected} ] || fail '{where}: exit code '$code\n"
        )
    here = f'eval "$({shlex.quote(sys.executable)} {shlex.quote(str(AWS_CLI))} exports)"\n'
    values = here if "aws" in block.words and "export KVS=" in block.text else ""
    return f"{block.text}{values}"


@dataclass(frozen=True)
class Result:
    """The result of a document's commands, and the reports that they wrote."""

    ran: ScriptResult
    reports: list[Any]


def follow(document: Document) -> Result:
    """Run a document's commands in a new copy of the project."""
    with checkout() as copy:
        ran = copy.bash(script(document))
        return Result(ran, [json.loads(path.read_text(encoding="utf-8")) for path in copy.reports()])


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Result]]]:
    """Run the documents that were selected, two at a time: each has its own environment and waits most of its time."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [found.params.get("document") for found in parameters if found is not None]
    with ThreadPoolExecutor(2) as pool:
        yield {one.name: pool.submit(follow, one) for one in WITH_COMMANDS if one in chosen}


# Their commands are tested in tests/e2e, tests/gates and tests/scripts as well; with README.md they would take minutes.
LONG = {
    "docs/add-a-check.md",
    "docs/any-service.md",
    "docs/embedded.md",
    "docs/qa.md",
    "docs/read-a-report.md",
    "docs/roll-back-by-hand.md",
    "docs/run-a-deployment.md",
}


@pytest.mark.parametrize(
    "document",
    [pytest.param(one, marks=pytest.mark.soak if one.name in LONG else (), id=one.name) for one in WITH_COMMANDS],
)
def test_every_command_does_what_the_document_says(results: Mapping[str, Future[Result]], document: Document) -> None:
    """All blocks succeed (or end with the announced exit code) and write reports that fit the schema."""
    result = results[document.name].result()
    assert result.ran.code == 0, result.ran.output[-6000:]
    schema = json.loads((ROOT / "docs" / "verification.schema.json").read_text(encoding="utf-8"))
    assert result.reports
    for report in result.reports:
        jsonschema.Draft202012Validator(schema).validate(report)

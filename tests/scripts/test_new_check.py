"""``new-check`` writes a check that can be run at once, from the description or from an operation of the contract."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.scripts.notes_project import refused, run
from tests.verification.notes_server import DESCRIPTION, Notes
from verification.declarative.checks import load

CONTRACT = """
openapi: 3.1.0
info: {title: notes, version: "1"}
paths:
  /notes:
    post:
      operationId: writeNote
      security: [{basic: []}]
      requestBody:
        content: {application/json: {schema: {type: object, required: [text, shared], properties: {text: {type: string}, shared: {type: boolean}, since: {type: string, format: date-time}}}}}
      responses: {"201": {description: written, content: {application/json: {schema: {type: object}}}}, "401": {description: no}}
  /notes/{id}/pages/{page}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
        - {name: page, in: path, required: true, schema: {type: integer, minimum: 3}}
        - {name: order, in: query, required: true, schema: {enum: [up, down]}}
        - {name: X-Limit, in: header, required: true, schema: {type: integer}}
      responses: {"200": {description: a page}}
components: {securitySchemes: {basic: {type: http, scheme: basic}}}
"""


@pytest.fixture
def documented(ours: Path) -> Path:
    (ours / "suites/service.yaml").write_text(DESCRIPTION.replace("service: notes", "service: notes\ncontract: c.yaml"))
    (ours / "suites/c.yaml").write_text(CONTRACT)
    return ours


def test_the_draft_asks_the_health_path_and_passes(ours: Path, notes: Notes) -> None:
    result = run("new-check", "health", "first-look")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "wrote suites/health/first-look.yaml",
        "next: python scripts/deploy.py check 'suites/health/first-look.yaml::first look'",
    ]
    assert run("check", "suites/health/first-look.yaml::first look", "--against", notes.url).exit_code == 0
    assert stat.S_IMODE((ours / "suites/health/first-look.yaml").stat().st_mode) == 0o644
    assert [path.name for path in (ours / "suites/health").iterdir()] == ["first-look.yaml"]


def test_an_operation_gives_its_request_session_and_status(documented: Path, notes: Notes) -> None:
    assert run("new-check", "notes", "write", "--operation", "writeNote").exit_code == 0
    asked = ["suites/notes/write.yaml", "--against", notes.url, "--accounts", "accounts.json"]
    result = run("check", *asked)
    assert result.exit_code == 0, result.output


def test_required_parameters_have_examples_that_the_author_is_told_to_change(documented: Path) -> None:
    result = run("new-check", "notes", "page", "--operation", "GET /notes/{id}/pages/{page}")
    assert "  change key, page in parameters: the draft has an example" in result.output
    (check,) = load(documented / "suites/notes/page.yaml", "page.yaml")
    request = check.cases[0].steps[0].step.request
    assert request.path.endswith("/pages/3")
    assert (request.query, request.headers) == ({"order": "up"}, {"X-Limit": "1"})


def test_a_new_gate_is_announced(ours: Path) -> None:
    result = run("new-check", "privacy", "first")
    assert "suites/privacy is a new gate: it is required" in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("notes", "first"), "suites/notes/first.yaml exists already"),
        (("notes", "first.yaml"), "suites/notes/first.yaml exists already"),
        (("helth", "first"), "there is no gate 'helth'; did you mean 'health'?"),
        (("notes", "../first"), "'../first' cannot name a file of checks"),
        (("..", "first"), "'..' cannot name a gate"),
        (("notes", "more", "--operation", "writeNotes"), "no operation 'writeNotes'; did you mean 'writeNote'?"),
    ],
)
def test_nothing_is_written_when_it_is_refused(documented: Path, arguments: tuple[str, ...], expected: str) -> None:
    before = sorted(documented.rglob("*"))
    assert expected in refused("new-check", *arguments)
    assert sorted(documented.rglob("*")) == before


def test_without_a_contract_there_is_no_operation(ours: Path) -> None:
    assert "names no contract" in refused("new-check", "notes", "more", "--operation", "x")

"""`init` drafts a description that loads from documents as people write them: in several files, or with empty parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from scripts import deploy
from verification.declarative.service import load_service


def init(folder: Path, *options: str) -> Result:
    """Run `init` in this process; an expected refusal is the result's exception."""
    return CliRunner().invoke(deploy.cli, ["init", str(folder), *options])


def description(folder: Path) -> Any:
    return yaml.safe_load((folder / "suites" / "service.yaml").read_text(encoding="utf-8"))


def test_document_in_several_folders_is_drafted_and_copied(tmp_path: Path) -> None:
    """Path items, answers and schemas beside and above the document, whose server has a variable."""
    files = {
        "api/main.yaml": "openapi: 3.0.3\ninfo: {title: x, version: 1}\n"
        "servers: [{url: 'https://{host}/{stage}', variables: {host: {default: h}, stage: {default: v1}}}]\n"
        "paths: {/notes: {$ref: '../paths/notes.yaml#/all'}, '/notes/{id}': {$ref: ../paths/notes.yaml#/one}}\n",
        "paths/notes.yaml": "all:\n  get: {responses: {200: {$ref: '#/answer'}}}\n  post:\n"
        "    requestBody: {content: {application/json: {schema: {$ref: ../note.yaml}}}}\n"
        "    responses: {201: {description: new, content: {application/json: {schema: {$ref: '../note.yaml#/'}}}}}\n"
        "one: {get: {responses: {200: {$ref: '#/answer'}}}, delete: {responses: {204: {description: gone}}}}\n"
        "answer: {description: ok, content: {application/json: {schema: {type: array, items: {$ref: ../note.yaml}}}}}\n",
        "note.yaml": "\ufefftype: object\nproperties: {id: {type: string, readOnly: true}, text: {type: string}}\n",
    }
    for name, text in files.items():
        (tmp_path / "their" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "their" / name).write_text(text)
    ran = init(tmp_path / "ours", "--contract", str(tmp_path / "their" / "api" / "main.yaml"))
    assert ran.exit_code == 0, ran.output
    service = load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")
    write = service.journeys[0]
    assert description(tmp_path / "ours")["contract"] == "contract/api/main.yaml"
    assert [step.operation for step in (*write.steps, *write.undo)] == [
        *("POST /notes", "GET /notes/{id}", "GET /notes"),
        "DELETE /notes/{id}",
    ]
    create = description(tmp_path / "ours")["journeys"]["write to v1 notes"]["steps"][0]
    assert create["request"] == {"method": "POST", "path": "/v1/notes", "json": {"text": "${marker}"}}
    assert create["capture"] == {"id": "$.id"}


SIGNED_IN = """
openapi: 3.0.3
info: {title: x, version: "1"}
paths:
  /auth/login: {post: {responses: {"200": {description: ok}}}}
  /me/#tokens: {get: {security: [{bearer: []}], responses: {"200": {description: a note}}}}
  /people/{group}/{id}: {get: {security: [{bearer: []}], responses: {"200": {description: one}}}}
  /orders:
    post:
      requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {text: {type: string}, phone: {type: string, example: "0971234567"}, of: {type: array, items: {type: string}, minItems: 1}}}}}}
      responses: {"201": {description: made, content: {application/json: {schema: {type: object, properties: {id: {type: string}}}}}}}
  /orders/{id}: {get: {responses: {"200": {description: one}}}}
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
"""


def test_draft_loads_if_no_journey_signs_in_and_a_form_has_a_list(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(SIGNED_IN)
    ran = init(tmp_path / "ours", "--contract", str(tmp_path / "openapi.yaml"))
    assert ran.exit_code == 0, ran.output
    service = load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")
    drafted = description(tmp_path / "ours")
    assert list(service.sessions) == ["bearer"]
    assert drafted["journeys"]["write to orders"]["steps"][0]["request"]["form"] == {
        "text": "${marker}",
        "phone": "0971234567",
    }
    for words in (
        "sessions.bearer: how POST /auth/login learns who signs in; the document describes no body",
        "journeys: what a user does who is signed in as `bearer`",
        "journeys: POST /orders: the form's field of, which is a list or an object",
    ):
        assert words in ran.output


NAMED = """
openapi: 3.0.3
info: {title: x, version: "1"}
paths:
  /users:
    post:
      requestBody: {content: {application/json: {schema: {type: object, properties: {login: {type: string}, age: {type: integer}}}}}}
      responses: {"201": {description: made}}
  /users/{login}: {get: {responses: {"200": {description: one}}}, delete: {responses: {"204": {description: gone}}}}
"""


def test_entry_is_read_by_the_name_that_the_request_gave(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(NAMED)
    ran = init(tmp_path / "ours", "--contract", str(tmp_path / "openapi.yaml"))
    assert "where the answer to POST /users names the new entry" not in ran.output
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")
    journey = description(tmp_path / "ours")["journeys"]["write to users"]
    assert [step["request"] for step in (*journey["steps"], *journey["undo"])] == [
        {"method": "POST", "path": "/users", "json": {"login": "${marker}", "age": 1}},
        "GET /users/${marker}",
        "DELETE /users/${marker}",
    ]


EMPTY = """
{"openapi": "3.0.0", "info": null, "servers": [], "components": [], "security": [{"key": []}, []], "paths": {
  "/a": null, "/b": {"get": null, "post": {"parameters": null, "requestBody": [], "responses": {"200": []}}},
  "/c": {"get": {"responses": {"200": {"headers": null, "content": {"application/json": {"examples": [1],
    "schema": {"type": "array", "items": [], "required": true}}}}}},
    "post": {"requestBody": {"content": {"application/json": {"examples": [1], "schema": {"type": "object",
      "properties": {"a": null, "b": {"type": "string", "required": true}, "n": {"type": "integer", "minimum": "3"}}}}}},
      "responses": {"201": null}}},
  "/c/{id}": {"get": {"responses": null}}}}
"""


def test_document_with_empty_parts_is_drafted(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(EMPTY)
    ran = init(tmp_path / "ours", "--contract", str(tmp_path / "openapi.json"))
    assert ran.exit_code == 0, ran.output
    drafted = description(tmp_path / "ours")
    assert drafted["journeys"]["write to c"]["steps"][0]["request"]["json"] == {"b": "${marker}"}
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")

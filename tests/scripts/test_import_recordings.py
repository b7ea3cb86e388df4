"""``import`` turns recorded requests into checks that load, without one of the secrets in them; each one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click.testing
import pytest

from tests.scripts.notes_project import refused, run
from tests.verification.notes_server import DESCRIPTION, Notes
from verification.declarative.checks import load

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canarycanary"
TO = ("--to", "suites/notes/recorded.yaml")


def written(kind: str, text: str) -> tuple[click.testing.Result, str]:
    """Import a recording, and return the result with the file that was written; no canary may be in either."""
    result = run("import", kind, "-", *TO, text=text)
    assert result.exit_code == 0, (result.output, result.exception)
    file = Path("suites/notes/recorded.yaml")
    assert load(file, file.name)
    content = file.read_text(encoding="utf-8")
    for where in (content, result.output):
        assert "canary" not in where.lower()
        assert "eyJ" not in where
    return result, content


def test_a_session_of_the_service_replaces_the_recorded_credentials(ours: Path, notes: Notes) -> None:
    command = f'curl -sS -u ann:canary-Basic:word -XPOST {notes.url}/notes --json \'{{"text": "yes", "n": 1.50}}\''
    result, content = written("curl", command)
    assert "signed_in: true" in content
    assert "1 use signed_in instead of the recorded credentials" in result.output
    Path("suites/notes/recorded.yaml").write_text(content.replace("status: 200", "status: 201"))
    asked = ("suites/notes/recorded.yaml", "--against", notes.url, "--accounts", "accounts.json")
    assert run("check", *asked).exit_code == 0
    (note,) = notes.stored.values()
    assert (note["text"], note["n"]) == ("yes", 1.5)


CURL = {
    "header": ("-H 'X-Api-Key: canary-1234'", "X_API_KEY", "header X-Api-Key of GET /a"),
    "cookie": ("-b 'sid=canary-1234'", "COOKIE", "header Cookie of GET /a"),
    "JSON": ("--json '{\"a\": [{\"clientSecret\": \"canary-1234\"}]}'", "CLIENT_SECRET", "body of POST /a"),
    "number": ("--json '{\"api_key\": 12345678, \"x\": \"canary\"}'".replace("canary", "c"), "API_KEY", "body of POST /a"),
    "form": ("-d 'user=x&password=canary%201234'", "PASSWORD", "body of POST /a"),
    "urlencoded": ("--data-urlencode 'password=canary 1234'", "PASSWORD", "body of POST /a"),
    "JSON without its type": ("-d '{\"a\": [{\"password\": \"canary-1234\"}]}'", "PASSWORD", "body of POST /a"),
    "multipart": ("-F token=canary-1234", "TOKEN", "body of POST /a"),
    "by its shape": (f"-H 'X-Trace: {JWT}'", "X_TRACE", "header X-Trace of GET /a"),
    "XML": ("-H 'Content-Type: text/xml' -d '<a><pass:password>canary-1234</pass:password></a>'", "BODY", "body of POST /a"),
    "escaped": (r"-H 'Content-Type: application/json' --data-raw $'{\"password\": \"canary\u002d1234\"}'", "PASSWORD", "body of POST /a"),
    "query": ("-G -d access_token=canary-1234", "ACCESS_TOKEN", "query of GET /a"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "name", "place"), CURL.values(), ids=CURL)
def test_a_secret_is_taken_out_and_named(ours: Path, options: str, name: str, place: str) -> None:
    result, content = written("curl", f"curl https://notes.example/a {options}")
    assert f"${{secret.{name}}}" in content
    assert f"  taken out, set the variable {name}: {place}" in result.output.splitlines()


def test_a_secret_in_another_place_is_taken_out_too(ours: Path) -> None:
    _, content = written(
        "curl",
        f"curl 'https://n.example/reset/{JWT}/x?q=canary-1234' -H 'X-Note: my canary-1234' -d password=canary-1234\n"
        "curl https://n.example/b -H 'X-Auth-Token: canary-5678' ; curl https://n.example/c -H 'X-Auth-Token: canary-9999'",
    )
    assert content.count("${secret.PASSWORD}") == 3
    assert "${secret.X_AUTH_TOKEN_2}" in content


def test_numbers_in_ordinary_fields_stay_numbers(ours: Path) -> None:
    sent = {"pass_count": 3, "pass_rate": 98.5, "first_pass": 1, "session": 5, "max_token": 300, "pin_code": "110001"}
    _, content = written("curl", f"curl https://n.example/a --json '{json.dumps(sent)}'")
    assert "secret." not in content
    (check,) = load(Path("suites/notes/recorded.yaml"), "x")
    assert check.cases[0].steps[0].step.request.body == sent


@pytest.mark.parametrize(
    ("name", "number"), [("pin", 1234), ("otpCode", 482911), ("user_pass", 771), ("auth", 12345678)]
)
def test_a_number_that_is_a_secret_is_taken_out(ours: Path, name: str, number: int) -> None:
    _, content = written("curl", f"curl https://n.example/a --json '{json.dumps({name: [number]})}'")
    assert str(number) not in content
    assert "${secret." in content


def har(*entries: dict[str, Any]) -> str:
    return json.dumps({"log": {"entries": list(entries)}})


def entry(method: str, url: str, status: int = 200, kind: str = "application/json", **request: Any) -> dict[str, Any]:
    made = {"method": method, "url": url, "headers": [], **request}
    return {"request": made, "response": {"status": status, "content": {"mimeType": kind}}}


def test_a_har_file_gives_the_requests_to_the_service_alone(ours: Path) -> None:
    login = {"mimeType": "application/json", "text": '{"password": "canary-1234"}'}
    sent = [{"name": "Authorization", "value": f"Bearer {JWT}"}, {"name": "sec-fetch-mode", "value": "cors"}]
    recorded = har(
        entry("GET", "https://n.example/app.js", kind="application/javascript"),
        entry("POST", "https://n.example/login", 201, postData=login),
        entry("GET", "https://n.example/notes?order=up&session=canary-9", headers=sent),
        entry("GET", "https://n.example/notes?order=up&session=canary-9", headers=sent),
        entry("GET", "https://n.example/notes/123", 404),
        entry("GET", "https://tracker.example/pixel"),
        entry("GET", "https://n.example/lost", 0),
    )
    result, content = written("har", recorded)
    checks = load(Path("suites/notes/recorded.yaml"), "x")
    assert [check.name for check in checks] == ["POST /login", "GET /notes", "GET /notes/123"]
    assert [check.cases[0].steps[0].step.expect.statuses for check in checks] == [(201,), (200,), (404,)]
    assert [check.signed_in for check in checks] == [False, True, False]
    assert "sec-fetch" not in content
    assert "left out: 1 requests to https://tracker.example: another address" in result.output
    assert "left out: GET /lost: no answer was recorded" in result.output


def test_a_postman_collection_keeps_its_names_and_variables(ours: Path) -> None:
    collection = {
        "info": {"name": "notes"},
        "variable": [{"key": "size", "value": "20"}],
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]},
        "item": [
            {
                "name": "Folder",
                "item": [
                    {
                        "name": "List: all notes!",
                        "request": {"method": "GET", "url": {"raw": "{{baseUrl}}/notes?limit={{size}}&team={{team}}"}},
                        "response": [{"code": 206}],
                    },
                    {
                        "name": "Sign in",
                        "request": {
                            "method": "POST",
                            "auth": {"type": "noauth"},
                            "header": [{"key": "X-Off", "value": "1", "disabled": True}],
                            "url": "{{baseUrl}}/login",
                            "body": {
                                "mode": "urlencoded",
                                "urlencoded": [
                                    {"key": "user", "value": "ann"},
                                    {"key": "password", "value": "canary-1234"},
                                ],
                            },
                        },
                    },
                    {
                        "name": "Upload",
                        "request": {
                            "method": "POST",
                            "url": "{{baseUrl}}/f",
                            "body": {"mode": "formdata", "formdata": [{"key": "f", "type": "file", "src": "x"}]},
                        },
                    },
                ],
            }
        ],
    }
    result, content = written("postman", json.dumps(collection))
    listed, login = load(Path("suites/notes/recorded.yaml"), "x")
    assert (listed.name, listed.signed_in, login.signed_in) == ("List all notes", True, False)
    assert listed.cases[0].steps[0].step.request.query == {"limit": "20", "team": "${env.TEAM}"}
    assert listed.cases[0].steps[0].step.expect.statuses == (206,)
    assert login.cases[0].steps[0].step.request.body == {"user": "ann", "password": "${secret.PASSWORD}"}
    assert "left out: POST /f: it sends a file" in result.output
    assert "set the variable TEAM" in result.output
    assert "X-Off" not in content


def test_without_a_session_credentials_are_secrets(ours: Path) -> None:
    start = DESCRIPTION.index("sessions:")
    bare = f"{DESCRIPTION[:start]}sessions: none\njourneys: {{look: {{weight: 1, steps: [{{name: a, request: GET /ready, expect: {{status: 200}}}}]}}}}\n"
    (ours / "suites/service.yaml").write_text(bare)
    _, content = written("curl", f"curl https://n.example/a -H 'Authorization: Bearer {JWT}'")
    assert 'Authorization: "${secret.AUTHORIZATION}"' in content


def test_what_the_format_cannot_say_is_left_out_and_named(ours: Path) -> None:
    result, _ = written("curl", 'curl https://n.example/a\ncurl https://n.example/b --json \'{"x": "${my-id}"}\'')
    assert "left out: 'POST /b': " in result.output


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("curl", "curl 'https://n.example/canary", "the commands cannot be read: No closing quotation"),
        ("curl", "wget https://n.example/canary", "there is no curl command"),
        ("curl", "curl -H", "command 1: --header has no value"),
        ("curl", "curl https://a.example/canary https://b.example/", "command 1 has 2 addresses, expected 1"),
        ("curl", "curl -T canary https://n.example/", "no request is left to import"),
        ("har", '{"password": "canary', "this is not HAR: the file is not JSON"),
        ("har", '{"password": "canary', "Export it from the browser's network tools."),
        ("har", "curl https://n.example/canary", "`import curl` reads curl commands."),
        ("postman", "canary", "Export it from Postman as Collection v2.1."),
        ("har", '{"log": {"entries": [{"canary": 1}]}}', "this is not a HAR file"),
        ("har", '{"log": []}', "this is not a HAR file"),
        ("har", har(), "no request is left to import"),
        ("postman", '["canary"]', "this is not a Postman collection"),
        ("postman", '{"item": [{"request": {"method": "GET"}}]}', "this is not a Postman collection"),
    ],
)
def test_what_cannot_be_read_is_refused_without_quoting_it(ours: Path, kind: str, text: str, expected: str) -> None:
    message = refused("import", kind, "-", *TO, text=text)
    assert expected in message
    assert "canary" not in message
    assert not (ours / "suites/notes/recorded.yaml").exists()


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("suites/notes/first.yaml", "suites/notes/first.yaml exists already"),
        ("recorded.yaml", "--to must be a file of a gate"),
        ("suites/notes/../x.yaml", "--to must be a file of a gate"),
        ("suites/note/x.yaml", "did you mean 'notes'?"),
        ("suites/notes/x.txt", "--to must be a file of a gate"),
    ],
)
def test_another_place_is_refused(ours: Path, to: str, expected: str) -> None:
    assert expected in refused("import", "curl", "-", "--to", to, text="curl https://n.example/a")


@pytest.mark.parametrize("levels", [100, 300, 900, 5000])
@pytest.mark.parametrize("text", ['[{}"x"{}]', '[{{"a": {}1{}}}]'])
def test_a_body_that_is_nested_too_deep_stays_a_text(ours: Path, levels: int, text: str) -> None:
    body = text.format("[" * levels, "]" * levels)
    _, content = written("curl", f"curl https://n.example/a --json '{body}'")
    assert "body:" in content
    assert "json:" not in content


def test_a_body_with_some_levels_is_json(ours: Path) -> None:
    _, content = written("curl", f"curl https://n.example/a --json '{'[' * 80 + ']' * 80}'")
    assert "json:" in content

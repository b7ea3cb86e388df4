"""`init` writes a project folder, drafts what the document says, and names what it could not know."""

from __future__ import annotations

import configparser
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from deployment.errors import Refused
from deployment.settings import load
from infrastructure import compose
from scripts import deploy
from tests.checkout import CHECKOUT
from verification.declarative.service import load_service

PETS = Path(__file__).with_name("petstore.yaml")
TELEHEALTH = CHECKOUT.suites / "contract" / "telehealth.openapi.yaml"


def init(folder: Path, *options: str) -> Result:
    """Run `init` in this process; an expected refusal is the result's exception."""
    return CliRunner().invoke(deploy.cli, ["init", str(folder), *options])


def description(folder: Path) -> Any:
    return yaml.safe_load((folder / "suites" / "service.yaml").read_text(encoding="utf-8"))


def test_project_has_its_files_and_a_valid_description(tmp_path: Path) -> None:
    ran = init(tmp_path / "ours", "--contract", str(TELEHEALTH))
    assert ran.exit_code == 0, ran.output
    files = {
        path.relative_to(tmp_path / "ours").as_posix() for path in (tmp_path / "ours").rglob("*") if path.is_file()
    }
    assert files == {
        *("conftest.py", "pytest.ini", "deployment.toml", "checklist.toml", ".gitignore"),
        *("scripts/deploy.py", ".github/workflows/deploy.yml", "suites/service.yaml"),
        "suites/contract/telehealth.openapi.yaml",
    }
    assert sorted(tmp_path.iterdir()) == [tmp_path / "ours"], "nothing is left beside it"
    service = load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")
    journey, look = service.journeys
    assert [step.operation for step in look.steps] == ["listConsults"], "the prober and the load may play it"
    assert [step.operation for step in (*journey.steps, *journey.undo)] == [
        *("createConsult", "readConsult", "listConsults"),
        *("cancelConsult", "readConsult"),
    ]
    assert (service.health.version, service.sessions["bearer"].token) == ("$.version", "$.access_token")
    assert {name: step is not None for name, step in service.dependencies.items()} == {"database": True, "redis": True}


def test_journeys_of_another_service(tmp_path: Path) -> None:
    """Bare arrays, an API key, a base path, references, a write by PUT; and one value that only a person can know."""
    ran = init(tmp_path / "pets", "--contract", str(PETS))
    assert ran.exit_code == 0, ran.output
    drafted = description(tmp_path / "pets")
    assert drafted["service"] == "pet-store"
    assert drafted["health"] == {
        "request": "GET /v2/status",
        "expect": {"status": 200, "body": {"status": "UP"}},
        "version": "$.version",
    }
    assert drafted["sessions"] == {"key": {"kind": "api-key", "header": "X-Key", "key": "${account.password}"}}
    pets, look, notes, breeds = drafted["journeys"].values()
    assert [step["request"] for step in look["steps"]] == ["GET /v2/pets?limit=50"]
    assert [step["request"] for step in pets["steps"][1:]] == ["GET /v2/pets/${id}", "GET /v2/pets?limit=50"]
    body = pets["steps"][0]["request"]["json"]
    assert body == {"name": "${marker}", "age": 1, "kind": "cat", "code": "smoke check", "born": "2030-01-15"}
    assert pets["steps"][2]["expect"] == {"status": 200, "body": {"contains": {"id": "${id}"}}}
    assert pets["sweep"]["where"] == {"name": "${marker}"}
    assert notes["steps"][0]["request"]["path"] == "/v2/notes/${marker}"
    assert breeds["steps"][0]["request"] == "GET /v2/breeds", "a report that needs a year is not drafted"
    assert "as" not in breeds
    for text in ("code must match ^[A-Z]{3}$", "the key of header X-Key", "whether the service has database or redis"):
        assert text in ran.output
    load_service(tmp_path / "pets" / "suites" / "service.yaml", "service.yaml")


SECURITY = """
openapi: 3.1.0
info: {{title: x, version: "1"}}
paths:
  /things:
    get: {{security: [{{way: []}}], responses: {{"200": {{description: all}}}}}}
  /auth/token:
    post:
      requestBody: {{content: {{application/x-www-form-urlencoded: {{schema: {{type: object, properties: {{username: {{type: string}}, password: {{type: string}}}}}}}}}}}}
      responses: {{"200": {{description: ok, content: {{application/json: {{schema: {{type: object, properties: {{token: {{type: string}}}}}}}}}}}}}}
components:
  securitySchemes:
    way: {scheme}
"""
FORM = {"username": "${account.email}", "password": "${account.password}"}
SCHEMES = {
    "basic": ("{type: http, scheme: basic}", {"kind": "basic"}),
    "bearer": (
        "{type: http, scheme: Bearer}",
        {
            "kind": "bearer",
            "sign_in": {
                "request": {"method": "POST", "path": "/auth/token", "form": FORM},
                "expect": {"status": 200},
                "token": "$.token",
            },
        },
    ),
    "password flow": (
        "{type: oauth2, flows: {password: {tokenUrl: token, scopes: {}}}}",
        {
            "kind": "bearer",
            "sign_in": {
                "request": {"method": "POST", "path": "/auth/token", "form": {"grant_type": "password", **FORM}},
                "expect": {"status": 200},
                "token": "$.access_token",
            },
        },
    ),
    "client credentials": (
        "{type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://login.example/t', scopes: {read: r, write: w}}}}",
        {"kind": "oauth2-client-credentials", "token_url": "https://login.example/t", "scope": "read write"},
    ),
    "client credentials of the service": (
        "{type: oauth2, flows: {clientCredentials: {tokenUrl: token, scopes: {}}}}",
        {"kind": "oauth2-client-credentials", "token_url": "/auth/token"},
    ),
    "cookie": (
        "{type: apiKey, in: cookie, name: sid}",
        {
            "kind": "cookie",
            "sign_in": {"request": {"method": "POST", "path": "/auth/token", "form": FORM}, "expect": {"status": 200}},
        },
    ),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_security_schemes_become_sessions(name: str, tmp_path: Path) -> None:
    scheme, session = SCHEMES[name]
    contract = tmp_path / "openapi.yaml"
    contract.write_text(SECURITY.format(scheme=scheme))
    ran = init(tmp_path / "ours", "--contract", str(contract))
    assert ran.exit_code == 0, ran.output
    drafted = description(tmp_path / "ours")
    assert drafted["sessions"] == {"way": session}
    assert drafted["journeys"]["look at things"]["as"] == "way"
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")


def test_scheme_that_cannot_be_drafted_is_named(tmp_path: Path) -> None:
    contract = tmp_path / "openapi.yaml"
    contract.write_text(SECURITY.format(scheme="{type: openIdConnect, openIdConnectUrl: https://x.example/}"))
    ran = init(tmp_path / "ours", "--contract", str(contract))
    assert "sessions.way: openIdConnect cannot be drafted" in ran.output
    assert "journeys: `look at things` needs way, which the draft lacks" in ran.output
    assert description(tmp_path / "ours")["sessions"] == "none"


WRAPPED = """
openapi: 3.1.0
info: {title: x, version: "1"}
paths:
  /login: {get: {responses: {200: {description: a page}}}}
  /file.{ext}: {get: {responses: {"200": {description: a file}}}}
  /articles:
    get: {responses: {"200": {description: all, content: {application/json: {schema: {type: object, properties: {articles: {type: array, items: {$ref: "#/components/schemas/Article"}}, count: {type: integer}}}}}}}}
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/One"}}}}
      responses: {"201": {description: made, content: {application/json: {schema: {$ref: "#/components/schemas/One"}}}}}
  /articles/{slug}:
    get: {responses: {"200": {description: one, content: {application/json: {schema: {$ref: "#/components/schemas/One"}}}}}}
components:
  schemas:
    Article: {type: object, required: [title], properties: {title: {type: string}, slug: {type: string, readOnly: true}}}
    One: {type: object, required: [article], properties: {article: {$ref: "#/components/schemas/Article"}}}
"""


def test_entry_inside_an_object_and_without_a_delete(tmp_path: Path) -> None:
    """Statuses without quotes, an entry in a wrapper, a name of its own for the id, and paths that are not collections."""
    contract = tmp_path / "openapi.yaml"
    contract.write_text(WRAPPED)
    ran = init(tmp_path / "ours", "--contract", str(contract))
    assert ran.exit_code == 0, ran.output
    drafted = description(tmp_path / "ours")
    assert drafted["health"]["request"] == "GET /articles", "a sign-in is never the guess"
    journey, _ = drafted["journeys"].values()
    create, read, find = journey["steps"]
    assert create["request"]["json"] == {"article": {"title": "${marker}"}}
    assert create["capture"] == {"id": "$.article.slug"}
    assert read["expect"]["body"] == {"article": {"slug": "${id}"}}
    assert find["expect"]["body"] == {"articles": {"contains": {"slug": "${id}"}}}
    assert "undo" not in journey
    assert "nothing deletes what POST /articles writes" in ran.output
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")


def test_service_whose_journeys_all_write_has_one_that_reads(tmp_path: Path) -> None:
    """The load is refused if it may play none of the journeys, and a draft lets nothing write on the live service."""
    contract = tmp_path / "openapi.yaml"
    contract.write_text(
        'openapi: 3.1.0\ninfo: {title: x, version: "1"}\npaths:\n  /notes/{name}:\n'
        "    get: {responses: {200: {description: one}}}\n    put: {responses: {204: {description: kept}}}\n"
    )
    ran = init(tmp_path / "ours", "--contract", str(contract))
    assert ran.exit_code == 0, ran.output
    service = load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")
    assert [(one.name, one.writes) for one in service.journeys] == [
        ("write to notes", True),
        ("see that it is up", False),
    ]
    assert service.played_on_live()


def test_files_that_the_contract_refers_to_are_copied(tmp_path: Path) -> None:
    """Path items and schemas in files of their own, one of which refers to another; an extension beside the paths."""
    folder = tmp_path / "api"
    (folder / "parts").mkdir(parents=True)
    (folder / "openapi.yaml").write_text(
        'openapi: 3.1.0\ninfo: {title: x, version: "1"}\npaths:\n  x-note: text\n'
        "  /things:\n    get:\n      responses:\n        '200':\n          description: all\n"
        "          content: {application/json: {schema: {$ref: parts/things.yaml#/All}}}\n"
    )
    (folder / "parts" / "things.yaml").write_text("All: {type: array, items: {$ref: thing.yaml}}\n")
    (folder / "parts" / "thing.yaml").write_text("type: object\n")
    (folder / "parts" / "other.yaml").write_text("type: object\n")
    ran = init(tmp_path / "ours", "--contract", str(folder / "openapi.yaml"))
    assert ran.exit_code == 0, ran.output
    copied = {path.name for path in (tmp_path / "ours" / "suites" / "contract").rglob("*.yaml")}
    assert copied == {"openapi.yaml", "things.yaml", "thing.yaml"}
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")


@contextmanager
def served(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answers", "health"),
    [
        ({"/livez": (200, '{"version": "3.2"}')}, {"request": "GET /livez", "version": "$.version"}),
        ({"/base/ping": (200, '{"version": 3}')}, {"request": "GET /base/ping", "version": "none"}),
        ({"/": (200, "<html>"), "/health": (503, "")}, {"request": "GET /", "version": "none"}),
    ],
)
def test_running_service_is_asked_for_its_health_path(
    answers: dict[str, tuple[int, str]], health: dict[str, str], tmp_path: Path
) -> None:
    with served(answers) as url:
        ran = init(tmp_path / "ours", "--url", url + ("/base" if "base" in health["request"] else ""))
    assert ran.exit_code == 0, ran.output
    assert description(tmp_path / "ours")["health"] == {**health, "expect": {"status": 200}}
    assert ("health.version" in ran.output) is (health["version"] == "none")
    assert "sessions: how users sign in" in ran.output


def test_service_without_a_usual_path_is_named(tmp_path: Path) -> None:
    with served({}) as url:
        ran = init(tmp_path / "ours", "--url", url)
    assert f"health: {url} answers 200 on no usual path" in ran.output
    assert "GET /health is a guess" in ran.output


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("ours")
    ran = init(tmp_path)
    assert isinstance(ran.exception, Refused)
    assert "is not empty: it has README.md" in str(ran.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_new_repository_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert init(tmp_path).exit_code == 0
    assert init(tmp_path).exit_code != 0, "the second time it is not empty"


CONTRACTS = {
    "swagger": ('swagger: "2.0"\npaths: {}\n', "is a Swagger 2.0 document"),
    "no paths": ("openapi: 3.1.0\n", "cannot be used"),
    "not YAML": ("paths: [", "cannot be used"),
    "binary": ("\x00", "cannot be used"),
}


@pytest.mark.parametrize("case", CONTRACTS)
def test_contract_that_cannot_be_used_is_refused(case: str, tmp_path: Path) -> None:
    text, word = CONTRACTS[case]
    contract = tmp_path / "openapi.yaml"
    contract.write_text(text)
    ran = init(tmp_path / "ours", "--contract", str(contract))
    assert isinstance(ran.exception, Refused), ran.exception
    assert word in str(ran.exception)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--contract", "nowhere.json"), "nowhere.json cannot be read: No such file"),
        (("--url", "ftp://x"), "--url=ftp://x must be a URL with scheme and host"),
        (("--url", "http://127.0.0.1:9"), "--url http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_bad_option_is_refused(options: tuple[str, ...], word: str, tmp_path: Path) -> None:
    ran = init(tmp_path / "ours", *options)
    assert isinstance(ran.exception, Refused), ran.exception
    assert word in str(ran.exception)
    assert not (tmp_path / "ours").exists()


def test_pytest_ini_is_this_checkout_s(tmp_path: Path) -> None:
    """A project has the options that the verdict depends on; only the framework's place and its own tests' marker differ."""
    init(tmp_path / "ours")
    ours, theirs = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    ours.read(CHECKOUT.root / "pytest.ini")
    theirs.read(tmp_path / "ours" / "pytest.ini")
    differ = {
        key for key in {*ours["pytest"], *theirs["pytest"]} if ours["pytest"].get(key) != theirs["pytest"].get(key)
    }
    assert differ == {"pythonpath", "markers"}
    framework, here = theirs["pytest"]["pythonpath"].split()
    assert ((tmp_path / "ours" / framework).resolve(), here) == (CHECKOUT.root, ".")


def test_workflow_pins_the_actions_that_this_checkout_pins(tmp_path: Path) -> None:
    init(tmp_path / "ours")
    uses = re.compile(r"uses: (\S+@\w{40} # v\S+)")
    theirs = set(uses.findall((tmp_path / "ours" / ".github" / "workflows" / "deploy.yml").read_text()))
    assert theirs == set(uses.findall((CHECKOUT.root / ".github" / "workflows" / "deploy.yml").read_text()))


def test_workflow_signs_in_and_chooses_its_runner_as_this_checkout_s(tmp_path: Path) -> None:
    init(tmp_path / "ours")
    about = re.compile(r"^.*(?:DEPLOY_RUNNER|ROLE_SECONDS|AWS_CREDENTIAL_EXPIRATION).*$", re.MULTILINE)
    ours, theirs = (
        about.findall((root / ".github" / "workflows" / "deploy.yml").read_text())
        for root in (CHECKOUT.root, tmp_path / "ours")
    )
    assert theirs == ours
    assert "    runs-on: ${{ vars.DEPLOY_RUNNER }}" in theirs


def test_workflow_deploys_recovers_and_summarizes_as_this_checkout_s(tmp_path: Path) -> None:
    """Exit code 0 of a process that was replaced must fail the job of every project."""
    init(tmp_path / "ours")
    ours, theirs = (
        {step.get("name"): step for step in yaml.safe_load(path.read_text())["jobs"]["deploy"]["steps"]}
        for path in (root / ".github" / "workflows" / "deploy.yml" for root in (CHECKOUT.root, tmp_path / "ours"))
    )
    names = ("Deploy", "Recover an interrupted run", "Summarize the result", "Keep the report")
    for key in ("if", "env"):
        assert [theirs[name].get(key) for name in names] == [ours[name].get(key) for name in names]
    assert theirs[names[1]]["run"] == ours[names[1]]["run"]
    assert theirs[names[2]]["run"] == ours[names[2]]["run"].replace("scripts/", "../framework/scripts/")
    attested = [line for line in ours[names[0]]["run"].splitlines() if not line.startswith("IFS=")]
    without = [line.replace(' "${items[@]/#/--attest=}"', "") for line in attested]
    assert theirs[names[0]]["run"].splitlines() == without


def test_settings_are_valid_and_name_the_project_s_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDDED_REGISTRY", raising=False)
    init(tmp_path / "ours")
    settings = load(tmp_path / "ours" / "deployment.toml")
    assert compose.embedded_registry(settings) == tmp_path / "ours" / "registry"
    monkeypatch.setenv("EMBEDDED_REGISTRY", str(tmp_path))
    assert compose.embedded_registry(settings) == tmp_path


def test_embedded_environment_has_this_checkout_s_limits(tmp_path: Path) -> None:
    init(tmp_path / "ours")
    ours, theirs = load(CHECKOUT.settings_file, "embedded"), load(tmp_path / "ours" / "deployment.toml")
    assert theirs.limits == ours.limits
    for gate in ours.gates:
        assert theirs.table(gate) == {key: one for key, one in ours.table(gate).items() if key != "min_checks"}


def test_sign_in_without_a_described_body_is_drafted_without_one(tmp_path: Path) -> None:
    secured = {"responses": {"200": {"description": "ok"}}, "security": [{"b": []}]}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "paths": {"/token": {"post": {"responses": {"200": {"description": "ok"}}}}, "/orders": {"get": secured}},
        "components": {"securitySchemes": {"b": {"type": "http", "scheme": "bearer"}}},
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(document))
    ran = init(tmp_path / "ours", "--contract", str(tmp_path / "shop.yaml"))
    assert ran.exit_code == 0, ran.output
    assert description(tmp_path / "ours")["sessions"]["b"]["sign_in"]["request"] == {"method": "POST", "path": "/token"}
    load_service(tmp_path / "ours" / "suites" / "service.yaml", "service.yaml")

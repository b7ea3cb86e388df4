"""Every recipe of docs/qa.md passes against the service that it is for, and reports the broken answer that it is said to catch.

The commands of the tutorial that need no environment run here, too; test_docs_commands.py runs all of them.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click.testing
import httpx
import pytest

from infrastructure.embedded.passwords import SMOKE_USERS
from scripts import deploy
from tests.docs.documents import ROOT, Block, document
from tests.docs.recipe_services import IDLE_HOST, PASSWORDS, environment_up, httpbin, shipped_service
from tests.signing_in import sign_in
from verification.http import client as clients
from verification.journeys.accounts import SmokeUser

QA = document("docs/qa.md")
SHIPPED, HTTPBIN = "file", "httpbin"  # the option of a block says whose project the file belongs to
FAST_COMMANDS = ("check", "new-check", "import")
CAUGHT = re.compile(r"^Caught, .*: `(.+)`$", re.MULTILINE)
Change = Callable[[httpx.Request, httpx.Response], httpx.Response | None]


@dataclass(frozen=True)
class Recipe:
    """A file of checks, the project that it belongs to, and the text that it reports for its broken answer."""

    file: str
    project: str
    caught: str

    @property
    def name(self) -> str:
        return Path(self.file).stem.removeprefix("test_").replace("_", "-").removeprefix("recipe-")


def _recipes() -> list[Recipe]:
    found = []
    for part in re.split(r"^### ", QA.text.partition("## Recipes")[2], flags=re.MULTILINE)[1:]:
        for project in (SHIPPED, HTTPBIN):
            files = re.findall(rf"^```(?:yaml|python) {project}=(\S+)$", part, flags=re.MULTILINE)
            caught = CAUGHT.findall(part)
            assert len(caught) == len(files) or not files, part
            found += [Recipe(file, project, text) for file, text in zip(files, caught, strict=False)]
    return found


RECIPES = _recipes()


# -- broken answers ----------------------------------------------------------------------------------------------------------


def _new(response: httpx.Response, **changed: Any) -> httpx.Response:
    response.read()
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in dropped]
    content = changed.get("content", response.content)
    stream = httpx.ByteStream(
        content.encode() if isinstance(content, str) else content
    )  # the client reads it, and takes the time
    return httpx.Response(changed.get("status_code", response.status_code), headers=headers, stream=stream)


def status(code: int, value: Any = None) -> Change:
    return lambda _, response: _new(
        response, status_code=code, **({} if value is None else {"content": json.dumps(value)})
    )


def header(name: str, value: str | None) -> Change:
    def change(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        made = _new(response)
        made.headers.pop(name, None)
        if value is not None:
            made.headers[name] = value
        return made

    return change


def body(**fields: Any) -> Change:
    """Replace fields of the body; ``a__b`` is the field ``b`` of the field ``a``, and None removes it."""

    def change(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        response.read()
        document = response.json()
        for path, value in fields.items():
            *outer, last = path.split("__")
            inside = document
            for name in outer:
                inside = inside[name]
            inside[last] = value
            if value is None:
                del inside[last]
        return _new(response, content=json.dumps(document))

    return change


def text(content: str) -> Change:
    return lambda _, response: _new(response, content=content)


def only(method: str, path: str, change: Change) -> Change:
    """Break the answers to one method at paths that match."""
    return lambda request, response: (
        change(request, response) if request.method == method and re.search(path, str(request.url)) else None
    )


def slow(_: httpx.Request, response: httpx.Response) -> httpx.Response:
    made = _new(response)
    made.extensions = {"slow": True}
    return made


def on_the_candidate(change: Change) -> Change:
    return lambda request, response: change(request, response) if IDLE_HOST in request.headers["Host"] else None


def empty_name(request: httpx.Request, response: httpx.Response) -> httpx.Response | None:
    broken = request.method == "POST" and json.loads(request.content or b"null").get("patient") == ""
    return _new(response, status_code=201, content=b"{}") if broken else None


BROKEN: dict[str, Change] = {
    "status": status(503, {"title": "down", "status": 503}),
    "field": body(status="degraded"),
    "contains": only("GET", r"/consults\?", body(items=[])),
    "pages": only("GET", "cursor=", body(items=[])),
    "header": only("GET", "/consults", header("Cache-Control", "public, max-age=60")),
    "error": only("GET", "/consults", body(traceback="File serve.py, line 1")),
    "unknown": only("GET", "/consults/", status(200, {})),
    "bad-input": empty_name,
    "login": only("POST", "/auth/login", lambda _, response: _new(response, status_code=200)),
    "other-user": only("GET", "/consults/", status(200, {})),
    "captured": only("POST", "/consults", header("Location", None)),
    "lifecycle": only("GET", "/consults/", status(200)),
    "until": only("GET", r"/consults\?", body(items=[])),
    "operators": only("GET", "/health/database", body(latency_ms=5000)),
    "dates": only("GET", "/consults/", body(created_at="2020-01-01T00:00:00Z")),
    "both": on_the_candidate(body(uptime=1)),
    "each": on_the_candidate(status(503, {"title": "down", "status": 503})),
    "live": header("X-Debug", "1"),
    "schema": only(
        "GET", "/consults", lambda _, response: _new(response, content='{"items": null, "next_cursor": null}')
    ),
    "quick": slow,
    "cors": header("Access-Control-Allow-Origin", "*"),
    "twice": only("DELETE", "/consults/", lambda _, response: _new(response, status_code=204, content="")),
    "redirect": header("Location", "/login"),
    "cookie": only("GET", "/cookies/set", header("Set-Cookie", "flavour=oat")),
    "upload": body(files__letter=None),
    "form": body(form__name="AnnLee"),
    "file": body(data=""),
    "text": text(""),
    "secret": status(401),
    "env": body(args__region="elsewhere"),
    "etag": only("GET", "/etag", lambda _, response: _new(response, status_code=200)),
    "gzip": header("Content-Encoding", None),
    "rate": header("X-RateLimit-Remaining", None),
}


# -- the projects and their services -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """A folder with the files of the document, and the address of its service; None: its environment is up."""

    folder: Path
    port: int
    against: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Project]]:
    """Both projects with every file that docs/qa.md shows for them; their services run."""
    folder = tmp_path_factory.mktemp("recipes")
    example = ROOT / "examples" / "httpbin"
    with ExitStack() as stack:
        ports = {SHIPPED: stack.enter_context(shipped_service(folder)), HTTPBIN: stack.enter_context(httpbin(example))}
        found = {}
        for kind, origin in ((SHIPPED, ROOT), (HTTPBIN, example)):
            for name in ("deployment.toml", "pytest.ini", "suites/service.yaml", "suites/contract"):
                target = folder / kind / name
                target.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (origin / name).is_dir() else shutil.copy
                copy(origin / name, target)
            against = ("--against", f"http://127.0.0.1:{ports[kind]}") if kind == HTTPBIN else ()
            found[kind] = Project(folder / kind, ports[kind], against)
        for block in QA.blocks():
            _write(block, found)
        environment_up(found[SHIPPED].folder / ".embedded", ports[SHIPPED])
        yield found


def _write(block: Block, projects: dict[str, Project]) -> None:
    for kind, project in projects.items():
        if kind in block.options:
            path = project.folder / block.options[kind]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[Change]:
    """A list whose last element changes each answer; empty: answers stay as they are."""
    changes: list[Change] = []
    real_send, real_request = clients.LoopbackTransport.handle_request, httpx.Client.request

    def send(self: clients.LoopbackTransport, request: httpx.Request) -> httpx.Response:
        response = real_send(self, request)
        changed = changes[-1](request, response) if changes else None
        if changed is None:
            return response
        response.close()
        return changed

    def ask(self: httpx.Client, *given: Any, **named: Any) -> httpx.Response:
        response = real_request(self, *given, **named)
        if "slow" in response.extensions:
            response.elapsed = timedelta(seconds=3)
        return response

    monkeypatch.setattr(clients.LoopbackTransport, "handle_request", send)
    monkeypatch.setattr(httpx.Client, "request", ask)
    monkeypatch.delenv("EMBEDDED_STATE", raising=False)
    monkeypatch.setenv("API_KEY", "canary-Key-12345")
    monkeypatch.setenv("REGION", "north-7")
    return changes


def run(*words: str) -> tuple[int, str]:
    """Run a command of scripts/deploy.py in this process; return exit code and output, of a refusal its text."""
    result = click.testing.CliRunner().invoke(deploy.cli, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return getattr(result.exception, "exit_code", 4), str(result.exception)
    return result.exit_code, result.output


def play(recipe: Recipe, project: Project) -> tuple[int, str]:
    """Run the recipe's checks as the user would; a check in Python gets the fixtures here, without another pytest."""
    if recipe.file.endswith(".py"):
        return _python(project, recipe)
    against = ("--against", "candidate") if recipe.name == "each" else project.against
    return run("check", recipe.file, *against)


def _python(project: Project, recipe: Recipe) -> tuple[int, str]:
    spec = importlib.util.spec_from_file_location("recipe", project.folder / recipe.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    users = [SmokeUser(*one) for one in zip(SMOKE_USERS, PASSWORDS, strict=True)]
    with clients.open_client(f"http://127.0.0.1:{project.port}", timeout_s=10) as client:

        def headers(user: SmokeUser) -> dict[str, str]:
            return {"Authorization": f"Bearer {sign_in(client, user)}"}

        (check,) = (value for name, value in vars(module).items() if name.startswith("test_"))
        try:
            check(client=client, sign_in=headers, smoke_users=users)
        except AssertionError as failure:
            return 1, str(failure)
    return 0, ""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_passes_and_catches_its_broken_answer(
    projects: dict[str, Project], broken: list[Change], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects[recipe.project]
    monkeypatch.chdir(project.folder)
    code, output = play(recipe, project)
    assert (code, "failed" in output) == (0, False), output
    broken.append(BROKEN[recipe.name])
    code, output = play(recipe, project)
    assert (code, recipe.caught in output) == (1, True), output
    assert "canary" not in output


def test_there_are_thirty_recipes_and_each_has_a_broken_answer() -> None:
    assert len(QA.text.partition("## Recipes")[2].split("\n### ")) > 30
    assert sorted(BROKEN) == sorted(recipe.name for recipe in RECIPES)


def test_the_commands_of_the_document_do_what_it_says(
    projects: dict[str, Project], broken: list[Change], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The commands for one check run, and the shell's own beside them; a block ends with the announced exit code."""
    copy = tmp_path / "project"
    shutil.copytree(projects[SHIPPED].folder, copy, symlinks=True)
    monkeypatch.chdir(copy)
    ran = 0
    for block in QA.blocks():
        if block.language != "sh":
            continue
        code, output = 0, ""
        for line in block.text.splitlines():
            words = shlex.split(line)
            if words[:2] == ["python", "scripts/deploy.py"] and words[2] in FAST_COMMANDS and "$URL" not in words:
                code, output = run(*words[2:])
                ran += 1
            elif words[0] in ("echo", "mv", "rm", "sed"):
                subprocess.run(["bash", "-e", "-c", line], check=True)
        assert code == int(block.options.get("exit", 0)), f"{line}\n{output}"
    assert ran > 10

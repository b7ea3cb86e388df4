"""Canary secrets in everything that a run reads and in everything that checks write; no output may contain one."""

from __future__ import annotations

import pytest

from tests.plugins.project import REJECTED, Outcome, Project
from tests.plugins.world import TOKEN, USERS

FROM_ENVIRONMENT = "canary-of-the-environment-4"
CANARIES = (
    *(user.password for user in USERS),
    TOKEN,
    FROM_ENVIRONMENT,
    *(
        "canary-in-a-url",
        "canary-in-a-cookie",
        "canary-opaque-token-0",
        "canary-in-a-body",
        "Canary Patient",
        "Q0FOQVJZ",
    ),
)
CHECKS = """
import logging, os, subprocess, sys, warnings
import pytest

PASSWORD = {password!r}
TOKEN = {token!r}
ENVIRONMENT = os.environ["CANARY_API_KEY"]
BODY = '{{"password": "canary-in-a-body", "patient": "Canary Patient"}}'
HEADERS = {{"Set-Cookie": "sid=canary-in-a-cookie; Path=/", "Authorization": "Bearer canary-opaque-token-0"}}
KEY = "-----BEGIN PRIVATE KEY-----\\nQ0FOQVJZQ0FOQVJZ\\n-----END PRIVATE KEY-----"

def test_message(client, smoke_user):
    assert client.get("/health").text == smoke_user.password, f"{{smoke_user.password}} and {{TOKEN}}"

def test_compared(client, smoke_user):
    assert {{"password": smoke_user.password, "headers": HEADERS, "body": BODY}} == {{}}

def test_output(client, smoke_user):
    print("printed", smoke_user.password, TOKEN, ENVIRONMENT, KEY, BODY, HEADERS)
    print("printed to stderr", smoke_user.password, "postgresql://app:canary-in-a-url@host/db", file=sys.stderr)
    sys.stdout.buffer.write(f"bytes {{smoke_user.password}}\\n".encode())
    os.write(1, f"written {{smoke_user.password}}\\n".encode())
    logging.getLogger("x").warning("logged %s %s", smoke_user.password, TOKEN)
    try:
        raise ValueError(smoke_user.password)
    except ValueError:
        logging.getLogger("x").exception("logged with its traceback")
    assert False

def test_child(client, smoke_user):
    code = "import sys; print(sys.argv[1]); print(sys.argv[1], file=sys.stderr); sys.exit(3)"
    subprocess.run([sys.executable, "-c", code, smoke_user.password], check=True)

def test_properties(client, smoke_user, record_property, measure, record_testsuite_property):
    record_property("password of a user", smoke_user.password)
    record_property(TOKEN, {{"a": [TOKEN]}})
    record_testsuite_property("whole", smoke_user.password)
    measure("leak", smoke_user.password, limit=TOKEN, unit="x")

@pytest.mark.parametrize("value", [PASSWORD, ENVIRONMENT], ids=[PASSWORD, ENVIRONMENT])
def test_parameter(client, value):
    assert value == "x"

def test_chain(client, smoke_user):
    try:
        raise ValueError(smoke_user.password)
    except ValueError as error:
        raise RuntimeError(TOKEN) from error

def test_skipped(client, smoke_user):
    pytest.skip(f"because of {{smoke_user.password}}")

@pytest.mark.xfail(reason=PASSWORD)
def test_xfail(client):
    assert False

def test_subtests(client, smoke_user, subtests):
    with subtests.test(smoke_user.password, token=TOKEN):
        assert smoke_user.password == "x"

@pytest.mark.filterwarnings("default")
def test_warning(client, smoke_user):
    warnings.warn(f"deprecated: {{smoke_user.password}}")

@pytest.fixture
def leaking(smoke_user):
    yield
    raise RuntimeError(smoke_user.password)

def test_teardown(leaking, signed_in):
    assert signed_in == {{}}
"""
FOREIGN = """
import os, sys

def pytest_sessionfinish(session):
    print("a plugin", {password!r})
    print("a plugin, to stderr", {password!r}, file=sys.stderr)
    sys.stdout.flush()
    os.write(2, b"a plugin, by number " + {password!r}.encode() + b"\\n")

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line("summary " + {password!r})
    terminalreporter.write("pass")
    terminalreporter.write("word=" + {password!r} + "\\n")
"""
EVERYTHING = ("-vv", "-rA", "--tb=long", "--showlocals", "--log-cli-level=DEBUG", "--log-file=run.log")


def leaks(project: Project, run: Outcome) -> list[str]:
    """Return the places that contain a canary (a file, the output or the lock's notes), with the line."""
    texts = {"output": run.output, "notes": str(project.facts.read("notes", {}))}
    for path in [*run.folder.resolve().rglob("*"), *project.path.glob("*.log")]:
        if path.is_file():
            texts[path.name] = path.read_text(errors="replace")
    assert {"verification.json", "audit.jsonl", "junit.xml"} <= texts.keys()
    return [
        f"{name}: …{line[max(0, line.index(canary) - 60) : line.index(canary) + 40]}…"
        for name, text in texts.items()
        for line in text.splitlines()
        for canary in CANARIES
        if canary in line
    ]


@pytest.mark.parametrize(
    "args",
    [
        ("-n0", "-s", *EVERYTHING),
        pytest.param(("-n2", "-s", *EVERYTHING), marks=pytest.mark.soak),
        pytest.param(("-n2", *EVERYTHING), marks=pytest.mark.soak),
        pytest.param(("-n0", *EVERYTHING), marks=pytest.mark.soak),
        pytest.param(("-n0", "--capture=sys", "-v"), marks=pytest.mark.soak),
        pytest.param(("-n0", "--capture=tee-sys"), marks=pytest.mark.soak),
        pytest.param(("-n2", "-ra"), marks=pytest.mark.soak),
    ],
    ids=" ".join,
)
def test_no_secret_anywhere(project: Project, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]) -> None:
    monkeypatch.setenv("CANARY_API_KEY", FROM_ENVIRONMENT)
    values = {"password": USERS[0].password, "token": TOKEN}
    project.add("auth", CHECKS.format(**values))
    project.plugin(FOREIGN.format(**values))
    project.facts.write("logs", [f"connecting with {USERS[1].password}", f"Authorization: Bearer {TOKEN}"])
    run = project.run_outside(*args)
    assert run.result == REJECTED, run.output
    assert "[redacted]" in run.output
    assert "a plugin, by number [redacted]" in run.output, "text that is written past pytest must not be lost"
    assert leaks(project, run) == [], "\n".join(leaks(project, run))


def test_no_secret_in_an_internal_error(project: Project) -> None:
    project.plugin(f"def pytest_sessionfinish(): raise RuntimeError({USERS[0].password!r})")
    run = project.run()
    assert run.code == 3, run.output
    assert "RuntimeError: [redacted]" in run.output
    assert "INTERNAL ERROR: " in (run.folder / "report.html").read_text()
    assert leaks(project, run) == []


def test_no_secret_in_a_plan(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_API_KEY", FROM_ENVIRONMENT)
    project.add("auth", CHECKS.format(password=USERS[0].password, token=TOKEN))
    run = project.run("--plan")
    assert FROM_ENVIRONMENT not in run.output
    assert "test_parameter[[redacted]]" in run.output

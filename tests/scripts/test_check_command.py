"""``check`` runs one check in YAML without pytest, says what was asked and answered, and refuses what it cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import click.testing
import pytest

from infrastructure.embedded import addresses
from infrastructure.embedded.layout import Environment, Layout, Ports, Served, write_environment
from scripts.commands.checks import check
from tests.checkout import CHECKOUT
from tests.plugins.project import INI
from tests.scripts.notes_project import CHECKS, refused, run
from tests.verification.notes_server import USER, Notes

HEAVY = ("pytest", "_pytest", "boto3", "botocore", "redis", "securesystemslib", "psycopg", "locust")


def ask(*arguments: str) -> click.testing.Result:
    return run("check", *arguments)


def refusal(*arguments: str) -> str:
    return refused("check", *arguments)


def test_a_check_passes_in_a_session_and_leaves_nothing(ours: Path, notes: Notes) -> None:
    result = ask("suites/notes/first.yaml::a note is kept", "--against", notes.url, "--accounts", "accounts.json")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"passed: suites/notes/first.yaml::a note is kept ({notes.url}, 3 requests, ")
    assert (notes.stored, notes.seen) == ({}, ["POST /notes", "GET /notes/{}", "DELETE /notes/{}"])


def test_a_failure_says_what_was_asked_expected_and_answered(ours: Path, notes: Notes) -> None:
    result = ask("suites/notes/first.yaml::it is a teapot[second]", "--against", notes.url)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"failed: suites/notes/first.yaml::it is a teapot[second] ({notes.url})",
        "suites/notes/first.yaml:13: GET /ready: status 200, expected 418",
        f"  again:    curl -i {notes.url}/ready",
    ]


def test_a_request_that_the_contract_does_not_have_is_named(ours: Path, notes: Notes) -> None:
    described = ours / "suites/service.yaml"
    described.write_text(described.read_text().replace("service: notes", "service: notes\ncontract: c.yaml"))
    (ours / "suites/c.yaml").write_text(
        "openapi: 3.1.0\ninfo: {title: notes, version: '1'}\n"
        "paths: {/readiness: {get: {responses: {'200': {description: ready}}}}}\n"
    )
    result = ask("suites/notes/first.yaml::it is ready", "--against", notes.url)
    assert result.exit_code == 0, result.output
    warning, passed = result.output.splitlines()
    assert warning == (
        "warning: suites/notes/first.yaml::it is ready: not compared with the contract: GET /ready is none of its operations; "
        "nearest: GET /readiness; correct the request or the contract, or write `contract: false` into its expect"
    )
    assert passed.startswith("passed: suites/notes/first.yaml::it is ready")
    own = "    request: GET /ready\n    expect: {status: 200"
    (ours / "suites/notes/first.yaml").write_text(CHECKS.replace(own, own + ", contract: false", 1))
    assert "warning" not in ask("suites/notes/first.yaml::it is ready", "--against", notes.url).output


@pytest.mark.parametrize("path", ["/ready", "/health"])
def test_a_contract_is_compared_behind_the_path_of_an_address(ours: Path, notes: Notes, path: str) -> None:
    described = ours / "suites/service.yaml"
    described.write_text(described.read_text().replace("service: notes", "service: notes\ncontract: c.yaml"))
    (ours / "suites/c.yaml").write_text(
        "openapi: 3.1.0\ninfo: {title: notes, version: '1'}\n"
        f"paths: {{{path}: {{get: {{responses: {{'204': {{description: nothing}}}}}}}}}}\n"
    )
    (ours / "suites/notes/own.yaml").write_text(
        "checks:\n  - {name: up, request: GET /ready, expect: {status: [200, 401]}}\n"
    )
    result = ask("suites/notes/own.yaml::up", "--against", f"{notes.url}/api")
    if path == "/ready":
        assert result.exit_code == 1, result.output
        assert "expected status 204" in result.output
    else:
        assert result.exit_code == 0, result.output
        assert "nearest: GET /health" in result.output


def test_a_name_without_its_parameters_means_each(ours: Path, notes: Notes) -> None:
    result = ask("suites/notes/first.yaml::it is a teapot", "--against", notes.url)
    assert result.output.count("failed: ") == 2
    assert result.exit_code == 1


def test_a_step_as_the_second_account(ours: Path, notes: Notes) -> None:
    """The notes server knows one user: the second one gets 401."""
    second = "      - {name: read, account: second, request: 'GET /notes/${id}', expect: {status: 401}}\n"
    first = '      - {name: read, request: "GET /notes/${id}", expect: {status: 200, body: {text: "${marker}"}}}\n'
    text = CHECKS.replace(first, f"{first}{second.replace('name: read', 'name: read as another')}")
    assert text != CHECKS
    (ours / "suites/notes/first.yaml").write_text(text)
    one = ("suites/notes/first.yaml::a note is kept", "--against", notes.url, "--accounts", "accounts.json")
    (ours / "accounts.json").write_text(json.dumps([USER, {"email": "bob", "password": "canary-Other:word"}]))
    result = ask(*one)
    assert (result.exit_code, "canary" in result.output) == (0, False), result.output
    (ours / "accounts.json").write_text(json.dumps([USER]))
    result = ask(*one)
    assert (result.exit_code, "needs 2 accounts, there is 1" in result.output) == (1, True), result.output


def test_a_wrong_password_fails_and_is_not_shown(ours: Path, notes: Notes) -> None:
    (ours / "accounts.json").write_text(json.dumps([{"email": "ann", "password": "canary-Wrong:word"}]))
    result = ask("suites/notes/first.yaml::a note is kept", "--against", notes.url, "--accounts", "accounts.json")
    assert result.exit_code == 1
    assert "status 401, expected 201" in result.output
    assert "canary" not in result.output
    assert "not asked: read" in result.output


def test_the_check_is_found_from_any_folder_of_the_project(
    ours: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, path in (("suites/notes", "first.yaml"), ("suites", "suites/notes/first.yaml")):
        monkeypatch.chdir(ours / folder)
        assert ask(f"{path}::it is ready", "--against", notes.url).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("suites/notes/first.yaml::it is redy",), "has no check 'it is redy'; did you mean 'it is ready'?"),
        (("suites/notes/frst.yaml",), "no file suites/notes/frst.yaml; did you mean 'suites/notes/first.yaml'?"),
        (("suites/notes/test_own.py::test_in_pyton",), "did you mean 'test_in_python'?"),
        (("elsewhere.yaml",), "elsewhere.yaml is not in suites/"),
        (("suites/notes",), "suites/notes is a folder\n  Name one file in it; `pytest suites/notes` runs all of them."),
        (("suites/notes/first.yaml", "--against", "liv"), "--against must be live, candidate or a URL"),
        (("suites/notes/first.yaml", "--against", "ftp://x"), "--against must be live, candidate or a URL"),
        (("suites/notes/first.yaml", "--against", "https://[x"), "example.com, got 'https://[x'"),
        (("suites/notes/first.yaml", "--against", "https://x:99999"), "example.com, got 'https://x:99999'"),
        (
            ("suites/notes/first.yaml", "--against", "https://u:pw-canary@x"),
            "example.com; a URL must not contain a user name",
        ),
        (("suites/notes/first.yaml::it is ready",), "no embedded environment is up"),
        (
            ("suites/notes/first.yaml::a note is kept", "--against", "http://127.0.0.1:9"),
            "first.yaml:3: check 'a note is kept' needs an account of the service at http://127.0.0.1:9",
        ),
        (
            ("suites/notes/first.yaml::both agree", "--against", "http://127.0.0.1:9"),
            "first.yaml:17: check 'both agree' compares both colours, and --against names one address",
        ),
        (
            ("suites/notes/first.yaml::it is ready", "--against", "http://127.0.0.1:9", "--accounts", "pytest.ini"),
            "--accounts pytest.ini is not JSON",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(ours: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in refusal(*arguments)


def test_a_mistake_in_the_file_is_refused_with_its_line(ours: Path) -> None:
    (ours / "suites/notes/first.yaml").write_text(CHECKS.replace("status: 418", "stauts: 418"))
    assert "suites/notes/first.yaml:16:14: unknown key 'stauts'" in refusal("suites/notes/first.yaml::it is ready")


def test_a_secret_that_is_not_set_is_refused(ours: Path) -> None:
    more = '  - {name: closed, request: {method: GET, path: /x, headers: {K: "${secret.OUR_KEY}"}}, expect: {status: 200}}\n'
    (ours / "suites/notes/first.yaml").write_text(CHECKS + more)
    assert "set the variable OUR_KEY" in refusal("suites/notes/first.yaml::closed", "--against", "http://127.0.0.1:9")


def test_it_imports_no_library_that_it_does_not_need(ours: Path, notes: Notes) -> None:
    """This, and no measured time, keeps the command quick."""
    code = (
        "import sys; sys.argv[0] = {script!r}; sys.path.insert(0, {folder!r})\n"
        "import runpy\n"
        "try:\n    runpy.run_path({script!r}, run_name='__main__')\n"
        "except SystemExit as end:\n    code = end.code\n"
        "print(code, [name for name in {heavy!r} if name in sys.modules])\n"
    ).format(script=str(CHECKOUT.root / "scripts" / "deploy.py"), folder="", heavy=HEAVY)
    asked = ["check", "suites/notes/first.yaml::a note is kept", "--against", notes.url, "--accounts", "accounts.json"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *asked], cwd=ours, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert ran.stdout.splitlines()[-1:] == ["0 []"], ran.stdout + ran.stderr


def test_a_check_in_python_runs_under_pytest(ours: Path) -> None:
    """Nothing is up, so pytest refuses, and its code and message are handed on."""
    result = ask("suites/notes/test_own.py::test_in_python")
    assert result.exit_code not in (0, 1), result.output


def with_pytest(project: Path) -> None:
    """Let pytest run in the project as the framework's users run it."""
    paths = f"import sys\nsys.path.append({str(CHECKOUT.root)!r})\n"
    (project / "conftest.py").write_text(f'{paths}pytest_plugins = ("plugins.framework",)\n')
    (project / "pytest.ini").write_text(INI)
    (project / "checklist.toml").write_text(CHECKOUT.checklist_file.read_text())


SYNTAX = """\
suites/notes/test_it.py cannot be collected
  File "{file}", line 1
    def test_it(client)
                       ^
SyntaxError: expected ':'
  Correct the file, then run the check again."""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("def test_it(client)\n    pass\n", SYNTAX, marks=pytest.mark.soak),
        ("import reqests\n", "cannot be collected\nsuites/notes/test_it.py:1: in <module>\nModuleNotFoundError: "),
        pytest.param(
            "def tets_it(client): assert client\n",
            "test_it.py::tets_it is never collected; test_it was probably",
            marks=pytest.mark.soak,
        ),
    ],
    ids=["syntax", "import", "function"],
)  # fmt: skip
def test_a_mistake_in_python_is_said_once(ours: Path, notes: Notes, source: str, expected: str) -> None:
    """The message names no report, since the run's report is gone, and shows no line of pytest's own source."""
    with_pytest(ours)
    file = ours / "suites" / "notes" / "test_it.py"
    file.write_text(source)
    text = refusal("suites/notes/test_it.py", "--against", notes.url)
    assert expected.format(file=file) in text
    assert "report" not in text
    assert "_pytest" not in text


def test_pytest_learns_that_the_run_is_of_a_single_check(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def pytest_of(_root: Path, arguments: list[str], output: Path) -> int:
        given.extend(arguments)
        output.touch()
        return 0

    monkeypatch.setattr(check, "_pytest", pytest_of)
    ask("suites/notes/test_own.py")
    assert "--one-check" in given


@pytest.mark.soak
def test_a_check_that_the_description_does_not_have(ours: Path, notes: Notes) -> None:
    with_pytest(ours)
    text = refusal("suites/service.yaml::nope", "--against", notes.url)
    assert text == f"not found: {ours}/suites/service.yaml::nope\n  `deploy.py checks` lists the ids of all checks."


JOURNEY = "suites/service.yaml::endpoints::journey (look)"


def test_a_check_of_the_description_gets_the_accounts(ours: Path, notes: Notes) -> None:
    with_pytest(ours)
    (ours / "accounts.json").chmod(0o600)
    result = ask(JOURNEY, "--against", notes.url, "--accounts", "accounts.json")
    assert (result.exit_code, "canary" in result.output) == (0, False), result.output


@pytest.mark.soak
def test_a_check_of_the_description_without_usable_accounts(ours: Path, notes: Notes) -> None:
    with_pytest(ours)
    one = (JOURNEY, "--against", notes.url)
    reason = "not asked: it needs an account; give --accounts FILE or the variable SMOKE_USERS"
    assert ask(*one).output.splitlines() == ["failed: suites/service.yaml::journey (look)", reason]
    (ours / "accounts.json").chmod(0o644)
    assert "mode 0644, expected 0600" in refusal(*one, "--accounts", "accounts.json")
    assert "--accounts needs --against=URL for this check" in refusal(one[0], "--accounts", "accounts.json")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            lambda path: path.chmod(0o644),
            "--accounts accounts.json can be used by other users than its owner (mode 0644",
        ),
        (_pipe, "--accounts accounts.json is not a regular file"),
        (lambda path: path.write_text(" " * 1_000_001), "--accounts accounts.json is larger than 1000000 bytes"),
        (lambda path: path.write_bytes(b"\xff"), "--accounts accounts.json is not UTF-8"),
        (lambda path: path.unlink(), "--accounts accounts.json cannot be read: No such file"),
    ],
    ids=["of other users", "a pipe", "large", "not UTF-8", "missing"],
)
def test_a_check_in_yaml_has_the_same_rules_for_the_accounts(
    ours: Path, made: Callable[[Path], object], expected: str
) -> None:
    made(ours / "accounts.json")
    one = ("suites/notes/first.yaml::a note is kept", "--against", "http://127.0.0.1:9", "--accounts", "accounts.json")
    assert expected in refusal(*one)


def test_the_variable_gives_accounts_at_a_url(ours: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ("suites/notes/first.yaml::a note is kept", "--against", notes.url)
    assert "The variable SMOKE_USERS may hold the list instead." in refusal(*one)
    monkeypatch.setenv("SMOKE_USERS", (ours / "accounts.json").read_text())
    assert ask(*one).exit_code == 0
    monkeypatch.setenv("SMOKE_USERS", json.dumps([{"email": "ann", "password": "canary-Wrong:word"}]))
    assert ask(*one).exit_code == 1
    assert ask(*one, "--accounts", "accounts.json").exit_code == 0, "the file comes first"
    monkeypatch.setenv("SMOKE_USERS", "canary")
    assert refusal(*one).startswith("the variable SMOKE_USERS is not JSON")
    assert "canary" not in refusal(*one)


def test_checks_that_do_not_count_say_so(ours: Path, notes: Notes) -> None:
    with_pytest(ours)
    source = "import pytest\n@pytest.mark.advisory('new')\ndef test_a(client): assert client.get('/ready').is_success\n"
    skipped = "@pytest.mark.skip(reason='later')\ndef test_b(client): pass\n"
    (ours / "suites" / "notes" / "test_it.py").write_text(source + skipped)
    lines = ask("suites/notes/test_it.py", "--against", notes.url).output.splitlines()
    assert lines[0] == "note: suites/notes/test_it.py::test_a is advisory: in a run it fails no gate"
    assert lines[2:4] == ["failed: suites/notes/test_it.py::test_b", "it was skipped, which proves nothing: later"]
    (ours / "suites" / "notes" / "a.yaml").write_text(
        "checks:\n  - {name: a, severity: advisory, request: GET /ready, expect: {status: 200}}\n"
    )
    result = ask("suites/notes/a.yaml", "--against", notes.url)
    assert result.output.startswith("note: suites/notes/a.yaml::a is advisory: in a run it fails no gate\npassed: ")


def test_a_check_in_python_has_the_modules_of_its_project(ours: Path, notes: Notes) -> None:
    """The project's package has the name of one of the framework's, which this process has imported."""
    with_pytest(ours)
    (ours / "scripts").mkdir()
    (ours / "scripts" / "__init__.py").write_text("READY = '/ready'\n")
    source = "import os\nfrom scripts import READY\n\n\ndef test_it(client):\n    os.write(1, b'said')\n    assert client.get(READY).is_success\n"
    (ours / "suites" / "notes" / "test_ready.py").write_text(source)
    result = ask("suites/notes/test_ready.py::test_it", "--against", notes.url)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("passed: suites/notes/test_ready.py::test_it (")
    assert "said" not in result.output


def environment_up(state: Path, notes: Notes, *, candidate: bool) -> None:
    """Write the files of an environment whose edge and colours are this server."""
    layout = Layout(state)
    port = int(notes.url.rpartition(":")[2])
    ports = Ports(port, port, port, port, port, port)
    layout.make()
    write_environment(layout, Environment(state, "1.0.0", Served("notes"), ports, state, "store"))
    layout.secrets.write_text(json.dumps({"smoke_users": [USER["password"], "canary-Second:word"]}))
    layout.edge_route.write_text(f"1 blue live.localhost:{port} - - 0.")
    for host in ["live.localhost", *(["idle.localhost"] if candidate else [])]:
        (layout.ingress / host).mkdir()
        (layout.ingress / host / f"127.0.0.1:{port}").touch()


def test_a_running_environment_gives_addresses_and_accounts(ours: Path, notes: Notes) -> None:
    environment_up(ours / ".embedded", notes, candidate=True)
    port = notes.url.rpartition(":")[2]
    assert addresses.read(ours / ".embedded") == addresses.Addresses(
        f"http://api.notes.localhost:{port}", f"http://idle.localhost:{port}", users=ANY
    )
    assert "word" not in repr(addresses.read(ours / ".embedded"))
    for name in ("it is ready", "both agree"):
        assert ask(f"suites/notes/first.yaml::{name}", "--against", "candidate").exit_code == 0
    result = ask("suites/notes/first.yaml::a note is kept")  # the account of that environment is not the server's
    assert (result.exit_code, "status 401" in result.output) == (1, True)


def test_without_a_candidate_nothing_is_asked(ours: Path, notes: Notes) -> None:
    environment_up(ours / ".embedded", notes, candidate=False)
    assert "no candidate runs in this environment" in refusal("suites/notes/first.yaml::both agree")
    assert "no candidate runs" in refusal("suites/notes/first.yaml", "--against", "candidate")
    assert notes.seen == []


def test_both_colours_get_the_same_request(ours: Path, notes: Notes) -> None:
    environment_up(ours / ".embedded", notes, candidate=True)
    text = 'checks: [{name: same, on: both, request: "GET /files/${uuid}", expect: {status: 401}}]'
    (ours / "suites/notes/first.yaml").write_text(text)
    assert ask("suites/notes/first.yaml").exit_code == 0
    assert (len(notes.paths), len(set(notes.paths))) == (2, 1)


def test_an_answer_has_the_limits_of_the_settings(ours: Path, notes: Notes) -> None:
    """Also the time-out of the gate's table, for a file in a folder below the gate's."""
    below = ours / "suites/notes/below"
    below.mkdir()
    (below / "first.yaml").write_text(CHECKS)
    with (ours / "deployment.toml").open("a", encoding="utf-8") as settings:
        settings.write("[deployment]\nrequest_deadline = 0.000001\nlargest_answer = 0.001\n")
    result = ask("suites/notes/below/first.yaml::it is ready", "--against", notes.url)
    assert (result.exit_code, "within 1e-06 s (request_deadline in [deployment])" in result.output) == (1, True)

"""The example projects: other services, deployed with their descriptions alone; broken releases of them are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import CHECKOUT
from tests.projects.test_project_folder import run

EXAMPLES = CHECKOUT.root / "examples"
TAG = "9.0.0"
# Through the front door it answers so many requests; then every request fails. The checks before the switch send fewer.
GOOD_ANSWERS = 120

HTTPBIN_FORGETS = """
inner = app.wsgi_app
def forgets(environ, start_response):
    if environ["PATH_INFO"] == "/get":
        environ["QUERY_STRING"] = ""
    return inner(environ, start_response)
app.wsgi_app = forgets
"""
RADICALE_FORGETS = """
import radicale.app
inner = radicale.app.Application.__call__
def forgets(self, environ, start_response):
    if environ["REQUEST_METHOD"] != "PUT":
        return inner(self, environ, start_response)
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("201 Created", [("ETag", chr(34) + "abc" + chr(34)), ("Content-Length", "0")])
    return []
radicale.app.Application.__call__ = forgets
"""
TIRES = """
answered = [0]
def tires(environ, start_response, answer):
    answered[0] += environ.get("HTTP_USER_AGENT", "").startswith("availability-prober")  # it asks only the live release
    if answered[0] <= {good}:
        return answer(environ, start_response)
    start_response("500 Internal Server Error", [("Content-Length", "0")])
    return []
"""
HTTPBIN_TIRES = (
    TIRES
    + """
inner = app.wsgi_app
app.wsgi_app = lambda environ, start_response: tires(environ, start_response, inner)
"""
)
RADICALE_TIRES = (
    TIRES
    + """
import radicale.app
inner = radicale.app.Application.__call__
radicale.app.Application.__call__ = lambda self, environ, start_response: tires(
    environ, start_response, lambda *given: inner(self, *given)
)
"""
)
# The line of serve.py before which a fault is put.
BEFORE = {"httpbin": "serve(app,", "radicale": "radicale.__main__.run()"}


@dataclass(frozen=True)
class Deployed:
    """The exit code, output and report of a deployment."""

    code: int
    output: str
    report: dict[str, Any]


def deploy(name: str, tmp_path: Path, fault: str | None = None) -> Deployed:
    """Deploy the example's highest release, or one with this fault."""
    example = EXAMPLES / name
    assert (example / ".venv" / "bin" / "python").exists(), "run `make examples` first"
    registry = tmp_path / "registry"
    shutil.copytree(example / "registry", registry)
    if fault is not None:
        image = registry / name / TAG
        shutil.copytree(sorted((example / "registry" / name).iterdir())[-1], image)
        (image / "VERSION").write_text(f"{TAG}\n")
        served = (image / "serve.py").read_text()
        assert served.count(BEFORE[name]) == 1
        changed = served.replace(BEFORE[name], f"{fault.replace('{good}', str(GOOD_ANSWERS))}\n{BEFORE[name]}")
        (image / "serve.py").write_text(changed)
    tmp_path.chmod(0o755)  # PostgreSQL's user passes through
    variables = {"EMBEDDED_STATE": str(tmp_path / "state"), "EMBEDDED_REGISTRY": str(registry)}
    try:
        ran = run(
            example, "-m", "pytest", "--target=auto", f"--reports={tmp_path / 'reports'}", "-p", "no:cacheprovider",
            timeout_s=600, variables=variables,
        )  # fmt: skip
    except subprocess.TimeoutExpired:  # the run was killed, and could not stop its environment
        run(example, "scripts/deploy.py", "down", "--force", variables=variables)
        raise
    report = json.loads((tmp_path / "reports" / "latest" / "verification.json").read_text())
    return Deployed(ran.returncode, ran.stdout, report)


@pytest.mark.parametrize("name", ["httpbin", pytest.param("radicale", marks=pytest.mark.soak)])
def test_the_example_is_promoted(name: str, tmp_path: Path) -> None:
    ran = deploy(name, tmp_path)
    assert (ran.code, ran.report["verdict"]) == (0, "promoted"), ran.output
    outcomes = {gate["name"]: gate["outcome"] for gate in ran.report["gates"]}
    absent = {"database", "redis", "auth"} if name == "httpbin" else {"database", "redis"}
    assert {gate for gate, outcome in outcomes.items() if outcome == "absent"} == absent
    assert {outcome for gate, outcome in outcomes.items() if gate not in absent} == {"passed"}
    assert ran.report["promotion"]["failed"] == 0


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("httpbin", HTTPBIN_FORGETS, "read what was sent"),
        ("radicale", RADICALE_FORGETS, "read the event: GET"),
    ],
    ids=["httpbin", "radicale"],
)
def test_a_release_that_forgets_is_refused(name: str, fault: str, words: str, tmp_path: Path) -> None:
    ran = deploy(name, tmp_path, fault)
    assert (ran.code, ran.report["verdict"]) == (1, "rejected"), ran.output
    assert words in ran.output, (
        "among the failures: such a release also answers 201 without a password, which auth names first"
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "fault"), [("httpbin", HTTPBIN_TIRES), ("radicale", RADICALE_TIRES)], ids=["httpbin", "radicale"]
)
def test_a_release_that_breaks_after_the_switch_is_rolled_back(name: str, fault: str, tmp_path: Path) -> None:
    ran = deploy(name, tmp_path, fault)
    assert (ran.code, ran.report["verdict"]) == (10, "rolled_back"), ran.output

"""Checks in YAML count like checks in Python: in the manifest, in the gate's result, for the collection guard, on workers."""

from __future__ import annotations

import pytest

from tests.plugins.project import PROMOTED, REFUSED, REJECTED, Project
from tests.soak import sample

PAGES = """
checks:
  - name: health is {expected}
    request: GET /health
    expect:
      status: 200
      body: {{status: {expected}}}
      contract: false
  - name: one page of consults
    signed_in: true
    request: GET /consults?limit=${{limit}}
    parameters: [{{limit: 1}}, {{id: many, limit: 100}}]
    expect: {{status: 200, contract: false}}
"""


def add(project: Project, text: str, gate: str = "health", name: str = "pages.yaml") -> None:
    path = project.path / "suites" / gate / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_each_check_and_each_parameter_counts(project: Project) -> None:
    add(project, PAGES.format(expected="ok"))
    add(project, PAGES.format(expected="ok"), gate="pages")
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert run.gate("health")["checks"] == 4
    assert run.gate("pages") == run.gate("pages") | {"checks": 3, "required": True, "outcome": "passed"}
    (manifest,) = (line for line in run.journal if line["kind"] == "checks")
    own = [name for name in manifest["names"] if "/health/pages.yaml" in name]
    assert own == [
        "suites/health/pages.yaml::health is ok",
        "suites/health/pages.yaml::one page of consults[1]",
        "suites/health/pages.yaml::one page of consults[many]",
    ]
    html = (run.folder / "report.html").read_text()
    assert "answered in" in html


def test_failing_check_rejects_and_gives_the_reason(project: Project) -> None:
    add(project, PAGES.format(expected="fine"))
    run = project.run("-n", "2")
    assert run.result == REJECTED, run.output
    assert (run.gate("health")["outcome"], run.gate("health")["failed"]) == ("failed", 1)
    where = "suites/health/pages.yaml:3: GET /health"
    assert f'{where}: $.status is "ok", expected "fine"' in run.report["reason"]
    assert "again:" in run.output
    assert "curl -i http" in run.output


def test_a_mistake_refuses_and_names_file_line_and_key(project: Project) -> None:
    add(project, PAGES.format(expected="ok").replace("status: 200\n", "stauts: 200\n"))
    run = project.run()
    assert run.result == REFUSED, run.output
    assert "suites/health/pages.yaml:6:7: unknown key 'stauts' in expect of check 'health is ok'" in run.output
    assert "did you mean 'status'?" in run.output


@pytest.mark.soak
def test_schemas_with_a_mistake_refuse(project: Project) -> None:
    add(project, PAGES.format(expected="ok").replace("contract: false\n", "schema: Helth\n", 1))
    add(project, PAGES.format(expected="ok").replace("contract: false\n", "schema: {requird: [a]}\n", 1), gate="pages")
    run = project.run()
    assert run.result == REFUSED, run.output
    assert (
        "pages.yaml:8:7: the contract has no schema 'Helth' in expect of check 'health is ok'; did you mean 'Health'?"
        in run.output
    )
    assert "unknown key 'requird' in expect.schema of check 'health is ok'; did you mean 'required'?" in run.output


def test_ignored_file_refuses(project: Project) -> None:
    add(project, PAGES.format(expected="ok"))
    project.plugin('collect_ignore_glob = ["suites/health/*.yaml"]\n')
    run = project.run()
    assert run.result == REFUSED, run.output
    assert "suites/health/pages.yaml::health is ok is in its file but was not collected" in run.output


def test_yaml_outside_a_gate_refuses(project: Project) -> None:
    (project.path / "suites" / "pages.yaml").write_text(PAGES.format(expected="ok"))
    run = project.run()
    assert run.result == REFUSED, run.output
    assert "is not in a gate's folder" in run.output


@pytest.mark.soak
def test_contract_is_not_read_as_checks(project: Project) -> None:
    add(project, "openapi: 3.1.0\n", gate="contract", name="api.yaml")
    assert project.run().result == PROMOTED


def test_one_check_alone(project: Project) -> None:
    add(project, PAGES.format(expected="ok"))
    run = project.run("suites/health/pages.yaml::one page of consults", target=None)
    assert (run.code, run.report["partial"], run.gate("health")["checks"]) == (0, True, 2), run.output


COLOURS = """
checks:
  - name: both are healthy
    on: both
    differ: [$.version]
    request: GET /health
    expect: {status: 200, contract: false}
  - name: each lists consults
    on: each
    as: user
    request: {method: GET, path: /consults, headers: {X-Key: "${secret.SMOKE_KEY}"}}
    expect: {status: 200, json: {"$.items": {type: array}}, contract: false}
  - name: live answers
    on: live
    request: GET /health
    expect: {status: 200, body: {version: 1.0.0}, contract: false}
  - name: a consult is booked and read
    signed_in: true
    parameters: {csv: patients.csv}
    steps:
      - name: book
        request: {method: POST, path: /consults, json: {patient: "${patient}"}}
        expect: {status: 201, contract: false}
        capture: {id: $.id}
      - {name: read, request: "GET /consults/${id}", expect: {status: 200, body: {id: "${id}"}, contract: false}}
      - {name: list as another, account: second, request: GET /consults, expect: {status: 200, contract: false}}
    undo:
      - {name: cancel, request: "DELETE /consults/${id}", expect: {status: 204}}
"""


def test_colours_steps_rows_and_secrets(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_KEY", "canary-of-a-secret")
    add(project, COLOURS, gate="pages")
    (project.path / "suites" / "pages" / "patients.csv").write_text("id,patient\none,A\ntwo,B\n")
    run = project.run("-n", "2")
    assert run.result == PROMOTED, run.output
    (manifest,) = (line for line in run.journal if line["kind"] == "checks")
    assert sorted(name.partition("pages.yaml::")[2] for name in manifest["names"] if "pages.yaml" in name) == [
        "a consult is booked and read[one]",
        "a consult is booked and read[two]",
        "both are healthy",
        "each lists consults[candidate]",
        "each lists consults[live]",
        "live answers",
    ]
    html = (run.folder / "report.html").read_text()
    assert "read, status" in html
    assert "status on live" in html


def test_no_output_shows_a_secret_and_a_missing_one_refuses(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = """
checks:
  - name: a page
    request: GET /health
    expect: {status: 200, body: {status: "${secret.SMOKE_KEY}"}, contract: false}
"""
    add(project, wrong, gate="pages")
    monkeypatch.delenv("SMOKE_KEY", raising=False)
    run = project.run()
    assert run.result == REFUSED, run.output
    assert "pages.yaml:3: ${secret.SMOKE_KEY} in check 'a page' has no value; set the variable SMOKE_KEY" in run.output
    monkeypatch.setenv("SMOKE_KEY", "canary of a secret")
    run = project.run()
    assert run.result == REJECTED, run.output
    everything = run.output + "".join(path.read_text() for path in run.folder.iterdir() if path.is_file())
    assert '$.status is \\"ok\\", expected \\"[redacted]\\"' in everything
    assert "canary" not in everything


SECRET = """
checks:
  - name: a page
    request: {method: GET, path: /health, headers: {X-Key: "${secret.SMOKE_KEY}"}}
    expect: {status: 200, body: {status: "${secret.SMOKE_KEY}"}, contract: false}
"""


def keep_secret(project: Project, monkeypatch: pytest.MonkeyPatch, vault: dict[str, str]) -> None:
    """Name SMOKE_KEY in the settings, and keep these secrets in the environment's vault."""
    add(project, SECRET, gate="pages")
    monkeypatch.delenv("SMOKE_KEY", raising=False)
    settings = project.facts.folder / "deployment.toml"
    settings.write_text(settings.read_text() + '[environments.test.secrets]\nSMOKE_KEY = "team/key"\n')
    project.facts.write("vault", vault)


@pytest.mark.parametrize(
    ("vault", "problem"),
    [
        ({}, "environments.test.secrets.SMOKE_KEY: there is no secret team/key"),
        pytest.param(
            {"team/key": "canary"}, "the value of team/key is too short to be redacted", marks=pytest.mark.soak
        ),
    ],
)
def test_a_secret_that_cannot_be_used_refuses(
    project: Project, monkeypatch: pytest.MonkeyPatch, vault: dict[str, str], problem: str
) -> None:
    keep_secret(project, monkeypatch, vault)
    run = project.run()
    assert run.result == REFUSED, run.output
    assert problem in run.output
    assert "canary" not in run.output


@pytest.mark.parametrize("workers", sample([(), ("-n", "2")], ("-n", "2")))
def test_a_secret_of_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    """The settings say where it is kept; it is read and redacted before the first request, on workers as well."""
    keep_secret(project, monkeypatch, {"team/key": "canary of the environment"})
    run = project.run(*workers)
    assert run.result == REJECTED, run.output
    everything = run.output + "".join(path.read_text() for path in run.folder.iterdir() if path.is_file())
    assert '$.status is \\"ok\\", expected \\"[redacted]\\"' in everything
    assert "canary" not in everything


def test_a_secret_of_the_description_needs_a_value(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMOKE_KEY", raising=False)
    project.describe(('password: "${account.password}"', 'password: "${secret.SMOKE_KEY}"'))
    run = project.run()
    assert run.result == REFUSED, run.output
    assert (
        "service.yaml: ${secret.SMOKE_KEY} has no value; set the variable SMOKE_KEY, or name the secret" in run.output
    )
    assert project.run("--plan").code == 4

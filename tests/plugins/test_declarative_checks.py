"""Checks in YAML count like checks in Python: in the manifest, in the gate's result, for the collection guard, on workers."""

from __future__ import annotations

from tests.plugins.project import PROMOTED, REFUSED, REJECTED, Project

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
    assert "suites/health/pages.yaml:6: unknown key 'stauts' in expect of check 'health is ok'" in run.output
    assert "did you mean 'status'?" in run.output


def test_schemas_with_a_mistake_refuse(project: Project) -> None:
    add(project, PAGES.format(expected="ok").replace("contract: false\n", "schema: Helth\n", 1))
    add(project, PAGES.format(expected="ok").replace("contract: false\n", "schema: {requird: [a]}\n", 1), gate="pages")
    run = project.run()
    assert run.result == REFUSED, run.output
    assert (
        "pages.yaml:8: the contract has no schema 'Helth' in expect of check 'health is ok'; did you mean 'Health'?"
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


def test_contract_is_not_read_as_checks(project: Project) -> None:
    add(project, "openapi: 3.1.0\n", gate="contract", name="api.yaml")
    assert project.run().result == PROMOTED


def test_one_check_alone(project: Project) -> None:
    add(project, PAGES.format(expected="ok"))
    run = project.run("suites/health/pages.yaml::one page of consults", target=None)
    assert (run.code, run.report["partial"], run.gate("health")["checks"]) == (0, True, 2), run.output

"""``checks --promote``: an advisory check becomes required; the file keeps everything else, byte for byte."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deployment.errors import Refused
from deployment.settings import load as load_settings
from scripts.commands.checks import promoting
from scripts.commands.checks.collected import Listed, collected
from tests.scripts.notes_project import refused, run

PLACE = "suites/notes/new.yaml"
BLOCK = """# our new checks
checks:
  - name: it is ready     # since May
    severity:   advisory  # until it has passed ten times
    request: GET /ready
    expect: {status: 200}

  - severity: "advisory"
    name: it is late
    request: GET /ready
    expect: {status: 200}
"""
FLOW = "checks: [{name: é is up, request: GET /ready, severity: advisory, expect: {status: 200}}, {severity: 'advisory', name: it is ready, request: GET /ready, expect: {status: 200}}]\n".replace(
    "é is", "it is"
)


def promote(project: Path, name: str, text: str, severity: str = "advisory") -> str:
    """Promote a check of a file with this text; return the file's new text."""
    file = project / PLACE
    file.write_bytes(text.encode())
    file.chmod(0o640)
    settings = load_settings(project / "deployment.toml")
    assert promoting.run(settings, f"{PLACE}::{name}", [Listed(f"{PLACE}::{name}", "notes", severity)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    return file.read_bytes().decode()


@pytest.mark.parametrize(
    ("name", "text", "before", "after"),
    [
        ("it is ready", BLOCK, "severity:   advisory  # until", "severity:   required  # until"),
        ("it is late", BLOCK, '- severity: "advisory"', '- severity: "required"'),
        ("it is up", FLOW, "severity: advisory", "severity: required"),
        ("it is ready", FLOW, "severity: 'advisory'", "severity: 'required'"),
        ("it is ready", BLOCK.replace("\n", "\r\n"), "severity:   advisory", "severity:   required"),
        ("it is ready", "\ufeff" + BLOCK.replace("May", "März 😀"), "severity:   advisory", "severity:   required"),
    ],
)
def test_only_the_severity_changes(ours: Path, name: str, text: str, before: str, after: str) -> None:
    assert text.count(before) == 1
    assert promote(ours, name, text) == text.replace(before, after)


@pytest.mark.parametrize(
    "text",
    [
        "checks:\n  - &a {name: it is late, severity: advisory, request: GET /ready, expect: {status: 200}}\n  - {<<: *a, name: it is ready}\n",
        "checks:\n  - {name: it is late, severity: &a advisory, request: GET /ready, expect: {status: 200}}\n  - {name: it is ready, severity: *a, request: GET /ready, expect: {status: 200}}\n",
    ],
    ids=["merged", "alias"],
)
def test_a_severity_that_other_checks_share_is_refused(ours: Path, text: str) -> None:
    with pytest.raises(Refused, match="is not written in the check itself"):
        promote(ours, "it is ready", text)
    assert (ours / PLACE).read_text() == text


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (Listed(f"{PLACE}::a", "notes", "required"), "is required already"),
        (Listed(f"{PLACE}::a", "notes", "skipped", until="2027-01-01"), "is skipped until 2027-01-01"),
        (Listed(f"{PLACE}::a", "notes", "advisory", own=False), "because its gate notes is not required"),
        (Listed(f"{PLACE}::b", "notes", "advisory"), "there is no check .*did you mean"),
    ],
)
def test_what_cannot_be_promoted_is_refused(ours: Path, listed: Listed, words: str) -> None:
    with pytest.raises(Refused, match=words):
        promoting.run(load_settings(ours / "deployment.toml"), f"{PLACE}::a", [listed])


@pytest.mark.soak
def test_severities_come_from_the_files(ours: Path) -> None:
    (ours / PLACE).write_text(BLOCK)
    (ours / "conftest.py").write_text('pytest_plugins = ("plugins.framework",)')
    (ours / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:valkey -p no:locust\n"
    )
    own = ours / "suites" / "notes" / "test_new.py"
    own.write_text('import pytest\n\n@pytest.mark.advisory("new")\ndef test_new(client): pass\n')
    found = {one.check: one.severity for one in collected(load_settings(ours / "deployment.toml"))}
    assert found[f"{PLACE}::it is late"] == found["suites/notes/test_new.py::test_new"] == "advisory"
    assert found["suites/notes/first.yaml::it is ready"] == "required"
    printed = run("checks", "--promote", "suites/notes/test_new.py::test_new").output
    assert 'suites/notes/test_new.py:3: delete this marker:\n@pytest.mark.advisory("new")\n' in printed
    assert run("checks", "--promote", f"{PLACE}::it is late").output.startswith(f"{PLACE}:8: severity is required now")
    assert "is required already" in refused("checks", "--promote", f"{PLACE}::it is late")

"""Tests of the project's own files: CONTRIBUTING.md, SECURITY.md, CHANGELOG.md, the test workflow, hooks and templates.

Each rule is a function that returns the faults that it finds, so that one test applies it to the real file and another one to
a broken sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.documents import ROOT

GITHUB = ROOT / ".github"
PROSE = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", GITHUB / "PULL_REQUEST_TEMPLATE.md"]
YAML_FILES = [*sorted(GITHUB.rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]
FORMS = [GITHUB / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
PLACEHOLDER = "GATE"
PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:ini|json|md|py|toml|txt|yaml|yml)")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def quoted(text: str) -> list[str]:
    """Return the texts in back quotes, without those of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def paths(text: str) -> set[str]:
    """Return the project's paths that a text names in back quotes, also within commands."""
    words = {word for span in quoted(text) for word in span.split()}
    return {word for word in words if PATH.fullmatch(word) and PLACEHOLDER not in word}


def missing_paths(text: str) -> list[str]:
    return sorted(name for name in paths(text) if not (ROOT / name).exists())


def missing_names(text: str) -> list[str]:
    """Return the identifiers that a line of a list names beside Python files, and that occur in none of these files."""
    missing = []
    for line in re.findall(r"^(?:\d+\.|-) .+$", text, flags=re.MULTILINE):
        files = [ROOT / name for name in paths(line) if name.endswith(".py") and (ROOT / name).exists()]
        code = "\n".join(file.read_text(encoding="utf-8") for file in files)
        names = [name for name in quoted(line) if name.isidentifier()]
        missing += [name for name in names if files and not re.search(rf"\b{name}\b", code)]
    return missing


def missing_targets(text: str, makefile: str) -> list[str]:
    """Return the targets of ``make`` that a text names and the Makefile does not have."""
    named = [word for span in quoted(text) if span.startswith("make ") for word in span.split()[1:] if "=" not in word]
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    return sorted(set(named) - targets)


def lint_commands(makefile: str) -> list[str]:
    """Return the commands of the Makefile's targets ``style`` and ``lint``, with the variables of the virtual environment expanded."""
    recipes = re.findall(r"^(?:style|lint):.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert len(recipes) == 2, "the Makefile has no target lint, or none called style"
    commands = [line.strip().removeprefix("@") for recipe in recipes for line in recipe.splitlines()]
    return [command.replace("$(BIN)", ".venv/bin") for command in commands]


def hook_faults(configuration: Mapping[str, Any], commands: Sequence[str]) -> list[str]:
    """Compare the pre-commit hooks with the lint commands; every hook must run locally."""
    faults = [
        f"{repository['repo']} needs the network"
        for repository in configuration["repos"]
        if repository["repo"] != "local"
    ]
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]
    faults += [f"{hook['id']} is not a system hook" for hook in hooks if hook.get("language") != "system"]
    faults += [f"{hook['id']} gets file names" for hook in hooks if hook.get("pass_filenames") is not False]
    entries = [hook["entry"] for hook in hooks]
    faults += [f"no hook runs {command}" for command in commands if command not in entries]
    return faults + [f"make lint does not run {entry}" for entry in entries if entry not in commands]


def workflow_faults(workflow: Mapping[Any, Any]) -> list[str]:
    """Check the rules of the test workflow: read access, a timeout, Python 3.11, pinned actions, ``.ci/run``."""
    faults = [] if workflow.get("permissions") == {"contents": "read"} else ["permissions are not only contents: read"]
    if "secrets." in yaml.safe_dump(dict(workflow)):
        faults.append("it reads a secret")
    (job,) = workflow["jobs"].values()
    steps = job["steps"]
    if not isinstance(job.get("timeout-minutes"), int):
        faults.append("the job has no timeout")
    if "permissions" in job:
        faults.append("the job has permissions of its own")
    if "bash .ci/run" not in [step.get("run") for step in steps]:
        faults.append("no step runs bash .ci/run")
    if "3.11" not in [step.get("with", {}).get("python-version") for step in steps]:
        faults.append("no step sets up Python 3.11")
    used = [step["uses"] for step in steps if "uses" in step]
    return faults + [f"{action} is not pinned to a commit" for action in used if not PINNED.fullmatch(action)]


def changelog_faults(text: str) -> list[str]:
    """Check the form of Keep a Changelog: versions in descending order, dates, known sections, one unreleased version at most."""
    faults = []
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2}|unreleased)", heading) for heading in headings]
    faults += [f"bad heading {heading}" for heading, match in zip(headings, found, strict=True) if match is None]
    versions = [tuple(int(match[part]) for part in (1, 2, 3)) for match in found if match]
    if versions != sorted(set(versions), reverse=True):
        faults.append("the versions are not in descending order")
    if "unreleased" in [match[4] for match in found[1:] if match]:
        faults.append("an older version is unreleased")
    sections = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    return faults + [f"unknown section {section}" for section in sections if section not in SECTIONS]


# -- the files themselves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_paths_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert paths(text)
    assert missing_paths(text) == []


def test_contributing_names_real_identifiers_and_targets() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert missing_names(text) == []
    assert missing_targets(text, (ROOT / "Makefile").read_text(encoding="utf-8")) == []


def test_readme_links_both_pages() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(CONTRIBUTING.md)" in text
    assert "(SECURITY.md)" in text


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_files_parse(path: Path) -> None:
    assert isinstance(read_yaml(path), dict)


def test_workflow_runs_the_ci_script() -> None:
    assert workflow_faults(read_yaml(GITHUB / "workflows" / "test.yml")) == []
    assert "exec make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_hooks_run_the_lint_commands() -> None:
    commands = lint_commands((ROOT / "Makefile").read_text(encoding="utf-8"))
    assert len(commands) == 3
    assert hook_faults(read_yaml(ROOT / ".pre-commit-config.yaml"), commands) == []


def test_dependabot_updates_packages_and_actions_weekly() -> None:
    updates = {one["package-ecosystem"]: one for one in read_yaml(GITHUB / "dependabot.yml")["updates"]}
    assert set(updates) == {"pip", "github-actions", "npm"}
    assert all(one["schedule"] == {"interval": "weekly"} and one["groups"] for one in updates.values())


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_complete(path: Path) -> None:
    """A form has a name, a description and fields with unique ids; GitHub rejects it otherwise."""
    form = read_yaml(path)
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert ids
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in fields)


def test_changelog_keeps_its_form() -> None:
    assert changelog_faults((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) == []


# -- broken samples: each rule can fail --------------------------------------------------------------------------------


def test_a_missing_path_is_found() -> None:
    text = "See `deployment/nowhere.py`, `NOTHING.md` and `python -m pytest tests/none -q`, but not `suites/GATE/`."
    assert missing_paths(text) == ["NOTHING.md", "deployment/nowhere.py", "tests/none"]


def test_a_missing_identifier_or_target_is_found() -> None:
    text = "1. Add it to `ROUTERS` and `BRIDGES` in `infrastructure/aws/adapters.py`, then run `make lint` and `make polish`."
    assert missing_names(text) == ["BRIDGES"]
    assert missing_targets(text, "lint: x\n\tcommand\n") == ["polish"]


def test_a_changed_hook_is_found() -> None:
    hook = {"id": "x", "entry": ".venv/bin/flake8", "language": "python"}
    faults = hook_faults({"repos": [{"repo": "https://example.com/x", "hooks": [hook]}]}, [".venv/bin/mypy ."])
    assert faults == [
        "https://example.com/x needs the network",
        "x is not a system hook",
        "x gets file names",
        "no hook runs .venv/bin/mypy .",
        "make lint does not run .venv/bin/flake8",
    ]


def test_a_weakened_workflow_is_found() -> None:
    steps = [{"uses": "actions/checkout@v4"}, {"run": "pytest", "env": {"TOKEN": "${{ secrets.TOKEN }}"}}]
    workflow = {"permissions": "write-all", "jobs": {"test": {"permissions": {}, "steps": steps}}}
    assert workflow_faults(workflow) == [
        "permissions are not only contents: read",
        "it reads a secret",
        "the job has no timeout",
        "the job has permissions of its own",
        "no step runs bash .ci/run",
        "no step sets up Python 3.11",
        "actions/checkout@v4 is not pinned to a commit",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("## [Unreleased]\n", "bad heading [Unreleased]"),
        ("## [1.0.0] - 2026-11-25\n## [1.1.0] - 2026-12-01\n", "the versions are not in descending order"),
        ("## [1.1.0] - 2026-12-01\n## [1.0.0] - unreleased\n", "an older version is unreleased"),
        ("## [1.0.0] - 2026-11-25\n### News\n", "unknown section News"),
    ],
)
def test_a_malformed_changelog_is_found(text: str, fault: str) -> None:
    assert changelog_faults(text) == [fault]

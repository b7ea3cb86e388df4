"""One function finds the project: by a variable, by the working directory, or by the script that was called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployment.errors import Refused
from deployment.project import CONFIGURATION, FRAMEWORK, SETTINGS, Project, find, framework_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project below the test's folder."""
    return make(tmp_path / "ours")


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / SETTINGS).touch()
    (folder / CONFIGURATION).touch()
    return folder.resolve()


def test_project_is_found_at_and_above_the_folder(root: Path) -> None:
    below = root / "suites" / "health"
    below.mkdir(parents=True)
    assert find(root, environ={}) == find(below, environ={}) == Project(root)


def test_nearest_project_is_found(root: Path) -> None:
    """A project inside another one is its own: the examples lie in the framework's checkout."""
    inner = make(root / "examples" / "inner")
    assert find(inner, environ={}).root == inner


@pytest.mark.parametrize("missing", [SETTINGS, CONFIGURATION])
def test_folder_with_one_of_the_files_is_no_project(root: Path, missing: str) -> None:
    half = make(root / "half")
    (half / missing).unlink()
    assert find(half, environ={}).root == root


def test_second_start_counts_only_without_a_project_at_the_first(root: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    assert find(root, other, environ={}).root == root
    assert find(tmp_path, other, environ={}).root == other


def test_variable_comes_first(root: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    assert find(root, environ={"DEPLOYMENT_PROJECT": str(other)}).root == other
    assert find(root, environ={"DEPLOYMENT_PROJECT": ""}).root == root


def test_variable_that_names_no_project_is_refused(root: Path) -> None:
    """The variable is never ignored: the next best project would be another environment."""
    with pytest.raises(Refused, match=r"DEPLOYMENT_PROJECT=.*nowhere must be a folder with deployment\.toml"):
        find(root, environ={"DEPLOYMENT_PROJECT": str(root / "nowhere")})


def test_no_project_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=rf"no project: neither {re.escape(str(tmp_path))} nor") as caught:
        find(tmp_path, environ={})
    assert "scripts/deploy.py init DIR" in str(caught.value)


def test_files_of_a_project_lie_in_its_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDDED_STATE", raising=False)
    project = Project(root)
    files = (project.settings_file, project.checklist_file, project.suites, project.reports, project.embedded_state)
    assert {path.parent for path in files} == {root}
    monkeypatch.setenv("EMBEDDED_STATE", str(root / "elsewhere"))
    assert project.embedded_state == root / "elsewhere"


def test_version_is_the_framework_s() -> None:
    assert f'version = "{framework_version()}"' in (FRAMEWORK / "pyproject.toml").read_text(encoding="utf-8")

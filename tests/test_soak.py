"""The results that `make soak` keeps, and their table."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import soak
from tests.soak import FAILED, PASSED, documents, reads_documents, sample, still_passed, summed, table, tree

LINES = [
    {"test": "tests/a/test_one.py::test_x", "outcome": PASSED, "seconds": 2.0, "soak": True},
    {"test": "tests/a/test_one.py::test_y", "outcome": FAILED, "seconds": 1.0, "soak": True},
    {"test": "tests/a/test_one.py::test_z", "outcome": "skipped", "seconds": 0.0, "soak": False},
    {"test": "tests/b/test_two.py::test_x", "outcome": PASSED, "seconds": 0.5, "soak": False},
]


def test_results_are_summed_by_file_and_a_skip_is_not_a_pass() -> None:
    files = summed("abc", LINES)
    one = files["tests/a/test_one.py"]
    assert (one["commit"], one["soak"], one["others"], one["seconds"]) == ("abc", 1, 0, 3.0)
    assert one["not_passed"] == ["tests/a/test_one.py::test_y: failed", "tests/a/test_one.py::test_z: skipped"]
    assert (files["tests/b/test_two.py"]["others"], files["tests/b/test_two.py"]["not_passed"]) == (1, [])


def test_table_shows_tests_that_did_not_pass() -> None:
    shown = table(summed("abc", LINES))
    assert "NOT PASSED: tests/a/test_one.py::test_y: failed" in shown
    assert "passed in all" in shown
    assert "tests/b/test_two.py" not in shown, "a file without soak tests must not be listed"


def test_commit_that_differs_only_in_documents_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()

    def commit(name: str, text: str) -> tuple[str, str]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        for command in (["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", text]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        return tree(), documents()

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    code, texts = commit("code.py", "1")
    for name in ("README.md", "docs/gates.md"):
        now = commit(name, "a text")
        assert now[0] == code, name
        assert now[1] != texts, name
        texts = now[1]
    assert commit("code.py", "2")[0] != code


def test_test_that_reads_documents_runs_again_if_they_have_changed() -> None:
    reader, other = "tests/docs/test_docs_truth.py::test_x", "tests/test_soak_of_nothing.py::test_x"
    assert reads_documents(reader.partition("::")[0])
    lines = [{"test": name, "outcome": PASSED, "documents": "before"} for name in (reader, other)]
    assert still_passed(lines, "before") == [reader, other]
    assert still_passed(lines, "after") == [other]


def test_cases_that_only_make_soak_runs() -> None:
    made = sample({"one": 1, "two": 2, "three": 3}, "three", "one")
    assert [(one.values[0], [mark.name for mark in one.marks]) for one in made] == [
        ("one", []),
        ("two", ["soak"]),
        ("three", []),
    ]
    with pytest.raises(ValueError, match=r"no such case: \['four'\]"):
        sample(["one"], "four")

"""The collection guard finds the checks of a file by parsing it, independent of pytest's options."""

from __future__ import annotations

from pathlib import Path

from plugins.integrity.collection_guard import declared, uncollected

SOURCE = """
import pytest

def helper(): ...

def test_one(): ...

@pytest.mark.parametrize("x", [1, 2])
def test_many(x): ...

async def test_later(): ...

class TestGroup:
    def test_inside(self): ...

    class TestDeeper:
        def test_deep(self): ...

class Other:
    def test_not_a_check(self): ...
"""


def suites(tmp_path: Path) -> Path:
    folder = tmp_path / "suites" / "health"
    folder.mkdir(parents=True)
    (folder / "test_things.py").write_text(SOURCE)
    (folder / "helpers.py").write_text("def test_no(): ...")
    return tmp_path / "suites"


def test_declared_checks(tmp_path: Path) -> None:
    file = "suites/health/test_things.py"
    names = ["test_one", "test_many", "test_later", "TestGroup::test_inside", "TestGroup::TestDeeper::test_deep"]
    assert list(declared(suites(tmp_path))) == [f"{file}::{name}" for name in names]


def test_uncollected_checks(tmp_path: Path) -> None:
    folder = suites(tmp_path)
    collected = [name for name in declared(folder) if "deep" not in name and "many" not in name]
    assert uncollected(folder, [*collected, "suites/health/test_things.py::test_many[1]"]) == [
        "suites/health/test_things.py::TestGroup::TestDeeper::test_deep"
    ]


def test_unparsable_file_is_left_to_pytest(tmp_path: Path) -> None:
    folder = suites(tmp_path)
    (folder / "health" / "test_broken.py").write_text("def test_(:")
    assert uncollected(folder, declared(folder)) == []

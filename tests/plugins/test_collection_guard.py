"""The collection guard finds the checks of a file by parsing it, independent of pytest's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.integrity.collection_guard import declared, duplicates, is_data, uncollected

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

if False:
    def test_in_if(): ...
else:
    def test_in_else(): ...

try:
    import no_such_module
    def test_in_try(): ...
except ImportError:
    def test_in_except(): ...
finally:
    def test_in_finally(): ...

with open("x"):
    for _ in []:
        def test_in_for(): ...

match 1:
    case 2:
        class TestCased:
            def test_in_case(): ...

class Plain(unittest.TestCase):
    def testPlain(self): ...

@pytest.fixture
def test_data(): ...

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
    names += ["test_in_if", "test_in_else", "test_in_try", "test_in_finally", "test_in_except", "test_in_for"]
    names += ["TestCased::test_in_case", "Plain::testPlain"]
    assert list(declared(suites(tmp_path))) == [f"{file}::{name}" for name in names]


def test_uncollected_checks(tmp_path: Path) -> None:
    folder = suites(tmp_path)
    collected = [name for name in declared(folder) if "deep" not in name and "many" not in name]
    assert uncollected(declared(folder), [*collected, "suites/health/test_things.py::test_many[1]"]) == [
        "suites/health/test_things.py::TestGroup::TestDeeper::test_deep"
    ]


def test_unparsable_file_is_left_to_pytest(tmp_path: Path) -> None:
    folder = suites(tmp_path)
    (folder / "health" / "test_broken.py").write_text("def test_(:")
    assert uncollected(declared(folder), declared(folder)) == []


def test_alternatives_are_no_duplicates(tmp_path: Path) -> None:
    folder = suites(tmp_path)
    alternatives = "try:\n    import x\nexcept ImportError:\n    def test_a(): ...\nelse:\n    def test_a(): ...\n"
    (folder / "health" / "test_more.py").write_bytes(b"\xef\xbb\xbf" + alternatives.encode())
    assert duplicates(declared(folder)) == []
    (folder / "health" / "test_more.py").write_text(alternatives + "def test_a(): ...\n")
    assert duplicates(declared(folder)) == ["suites/health/test_more.py::test_a"]


@pytest.mark.parametrize("folder", ["dist", ".hidden", "ok"])
@pytest.mark.parametrize("entry", ["request: GET /health, expct: 204", "steps: [{}]", "expect: 204, tags: {{"])
def test_file_of_checks_with_a_mistake(tmp_path: Path, folder: str, entry: str) -> None:
    path = tmp_path / "suites" / "health" / folder / "x.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"checks:\n  - {{name: a, {entry}}}\n")
    assert uncollected(declared(tmp_path / "suites"), []) == [f"suites/health/{folder}/x.yaml"]


SKIPPED = ["x.egg", ".hidden", "_darcs", "build", "CVS", "dist", "node_modules", "venv"]
"""Names of folders in which pytest collects nothing."""
MISTAKES = [
    "checks:\n  - name: a: b\n    request: GET /health\n",
    "checks:\n\t- name: a\n\t  request: GET /health\n",
    "checks: [{name: a: b, request: GET /health}]\n",
    "defaults: {{\nchecks:\n  - name: a\n    steps: []\n",
    "checks:\n  - name: 'a\n    expect: 204\n",
    "checks: # all\n  - name: \x07\n    request: GET /health\n",
]


@pytest.mark.parametrize("folder", SKIPPED)
def test_file_of_checks_with_a_mistake_before_its_first_request(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "suites" / "health" / folder / "x.yaml"
    path.parent.mkdir(parents=True)
    for text in MISTAKES:
        path.write_text(text)
        assert list(declared(tmp_path / "suites")) == [f"suites/health/{folder}/x.yaml"], text


ROW = "  - {name: a, log: {request: GET /}}\n"
UNUSABLE = [
    "{{ template }}\nchecks: [database, redis]\n",
    "checks: {{ checks }}\nusers: [a, b]\n",
    "on: [push\njobs:\n  checks:\n    steps:\n      - run: make\n",
    "# the checks: see below\nrequest: {{ body }}\n",
    f"checks:\n{ROW * (1_100_000 // len(ROW))}",
    "checks:\n  - name: a\n    when: {{ now }}\n",
]
"""Data with a mistake in YAML, and a large file, of which only the beginning is read."""


@pytest.mark.parametrize("number", range(len(UNUSABLE)))
def test_data_with_a_mistake_in_a_folder_that_pytest_skips(tmp_path: Path, number: int) -> None:
    path = tmp_path / "suites" / "health" / "build" / "data.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(UNUSABLE[number])
    assert list(declared(tmp_path / "suites")) == []


@pytest.mark.parametrize("text", ["users: [a, b]\n", "checks: [database, redis]\n", "- a\n", "{{ template }}\n", ""])
def test_data_in_a_folder_that_pytest_skips(tmp_path: Path, text: str) -> None:
    path = tmp_path / "suites" / "health" / "node_modules" / "data.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert list(declared(tmp_path / "suites")) == []


DATA = """
import collections, dataclasses, enum, typing
class Model:
    def __init__(self, **fields): ...
@dataclasses.dataclass
class TestCase:
    path: str
    test_id: str = "a"
TestRow = collections.namedtuple("TestRow", "path test_id")
class TestUser(typing.NamedTuple):
    name: str
class TestBody(typing.TypedDict):
    name: str
class TestKind(enum.Enum):
    A = "a"
    test_b = "b"
class TestModel(Model):
    name: str
class TestServer:
    def __init__(self): ...
"""
CHECKS = """
class TestPlain:
    def test_x(self): ...
class TestEmpty: ...
class TestBuilt:
    def __init__(self): ...
    def test_x(self): ...
class TestOuter:
    def __new__(cls): ...
    class TestInner: ...
class TestDerived(TestBuilt): ...
"""


@pytest.mark.parametrize(("source", "data"), [(DATA, True), (CHECKS, False)], ids=["data", "checks"])
def test_class_of_data(source: str, data: bool) -> None:
    names: dict[str, object] = {"__name__": "rows"}
    exec(compile(source, "rows", "exec", dont_inherit=True), names)  # noqa: S102 - pytest imports such a file
    classes = {name: one for name, one in names.items() if name.startswith("Test") and isinstance(one, type)}
    assert {name: is_data(one) for name, one in classes.items()} == dict.fromkeys(classes, data)
    assert len(classes) == source.count("\nclass Test") + source.count("\nTest")

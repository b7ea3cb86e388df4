"""Checks that cannot fail as they are written are refused, also if warnings are hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.integrity.always_true import always_true
from tests.plugins.project import ASKS, Project

CANNOT_FAIL = {
    "def test_x(client): return client.get('/').status_code == 200": "::test_x returns a value",
    "class TestIt:\n    def test_x(self, client):\n        if client: return client.ok": "::TestIt::test_x returns a value",
    "if True:\n    def test_x(client): return []": "::test_x returns a value",
    "def test_x(client): assert (client.ok, 'text')": ":1 asserts a tuple",
    "def test_x(client): assert client\ntest_x = print": "::test_x is replaced",
    "def test_x(client): assert client\nfrom os.path import join as test_x": "::test_x is replaced",
    "class TestIt:\n    def test_x(self): assert self\n    test_x = print": "::TestIt::test_x is replaced",
    "def helper(client):\n    assert (client.ok,)\ndef test_x(client): helper(client)": ":2 asserts a tuple",
}
CAN_FAIL = [
    "def test_x(client):\n    if not client: return\n    assert client",
    "def test_x(client): return None",
    "def test_x(client):\n    def inner(): return 1\n    assert inner() and (lambda: 2)()",
    "import pytest\n@pytest.fixture\ndef test_user(): return 1",
    "def text_of(client): return client.text",
    "class Helper:\n    def test_x(self): return 1",
    "def test_x(client): assert client in (1, 2), (client, 'text')",
    "def test_x(:",
    "def test_x(client): assert client\ntest_x = twice(test_x)",
    "test_data = [1]\ndef test_x(client): assert test_data",
]


def found(tmp_path: Path, source: str) -> list[str]:
    gate = tmp_path / "suites" / "privacy"
    gate.mkdir(parents=True)
    (gate / "test_more.py").write_text(source + "\n")
    return [" ".join(one) for one in always_true(tmp_path / "suites")]


@pytest.mark.parametrize("source", CANNOT_FAIL)
def test_check_that_cannot_fail(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{CANNOT_FAIL[source]}")


@pytest.mark.parametrize("source", CAN_FAIL)
def test_other_code(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_bad(client): return client.get('/health').status_code == 500\n", "test_bad returns a value"),
        ("def test_bad(client): assert (client.get('/health').status_code == 500, 'x')\n", ":1 asserts a tuple"),
        (
            "class Check:\n    def __call__(self, client): assert client is None\ntest_bad = Check()\n",
            "test_bad is not a function",
        ),
    ],
)
def test_run_that_hides_warnings_is_refused(project: Project, source: str, words: str) -> None:
    project.add("endpoints", source)
    run = project.run("-W", "ignore")
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output
    assert words in run.report["reason"]


def test_selected_check_is_not_refused_for_another_file(project: Project) -> None:
    project.add("endpoints", "def test_bad(client): return 1\n")
    assert project.run("suites/redis", target=None).code == 0
    project.add("redis", f"{ASKS}def test_bad(client): return 1\n")
    assert project.run("suites/redis", target=None).code == 4

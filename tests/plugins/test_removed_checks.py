"""Checks that a condition, an import, a conftest or a link removes are missed, also if no ``def`` of the file shows them."""

from __future__ import annotations

import ast
import dataclasses
import unittest
from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from plugins.integrity.bound_names import unbound
from plugins.integrity.collection_guard import declared
from plugins.stages import files_below, files_of_checks, folders
from tests.plugins.project import ASKS, PROMOTED, REFUSED, Project

SHARED = "def test_login(client): assert client.get('/health').status_code == 500\n"
MAKE = "def make(path):\n    def check(client): assert client.get(path).status_code == 500\n    return check\n"
BASE = "class LoginChecks:\n    def test_login(self, client): assert client.get('/health').status_code == 500\n"
REMOVED = {
    "try:\n    from shared_checks import test_login\nexcept ImportError:\n    pass": "test_login",
    "try:\n    from shared import login as test_login\nexcept ImportError:\n    test_login = None": "test_login",
    "try:\n    from shared import TestLogin\nexcept ImportError:\n    pass": "TestLogin",
    "try:\n    from no_such_module import *\nexcept ImportError:\n    pass": "from no_such_module import *",
    "with suppress(ImportError):\n    from no_such_module import *": "from no_such_module import *",
    "if full:\n    test_pages = make('/pages')": "test_pages",
    "if full:\n    test_none = make('/pages')\nelse:\n    test_none = None": "test_none",
    "if full:\n    test_pages: object = make('/pages')": "test_pages",
    "if full:\n    test_a = test_b = make('/pages')": "test_a",
    "if full:\n    pass\nelse:\n    with lock:\n        for path in paths:\n            test_pages = make(path)": "test_pages",
    "match full:\n    case True:\n        test_pages = make('/pages')": "test_pages",
    "if full:\n    class TestLogin(LoginChecks): pass": "TestLogin",
    "try:\n    class Login(unittest.TestCase): pass\nexcept NameError:\n    pass": "Login",
    "class TestHere:\n    if full:\n        test_pages = make('/pages')": "TestHere::test_pages",
    "from shared import test_login\ndel test_login": "test_login",
    "if full:\n    test_a, test_b = make('/a'), make('/b')": "test_a",
    "if full:\n    [test_a] = [make('/a')]": "test_a",
    "test_none = make('/pages') if full else None": "test_none",
    "test_none = full and make('/pages')": "test_none",
    "test_off = full and make('/pages')": "test_off",
    "from ast import *\ntry:\n    from no_such_module import *\nexcept ImportError:\n    pass": "from no_such_module import *",
    "if full:\n    class Login(Mixin, Case): pass": "Login",
    "try:\n    from shared import LoginChecks as Checks\nexcept ImportError:\n    Checks = object\n"
    "class TestNone(Checks): pass": "TestNone",
    "class TestNone(Checks if full else Empty): pass": "TestNone",
    "class TestOff(Checks): pass": "TestOff",
    "if full:\n    test_pages = make('/pages')\nelse:\n    del test_pages": "test_pages",
    "test_pages = make('/pages')\nif not full:\n    del test_pages": "test_pages",
    "if full and (test_pages := make('/pages')): pass": "test_pages",
    "full and (test_pages := make('/pages'))": "test_pages",
    "print((test_pages := make('/pages')) if full else None)": "test_pages",
    "[test_pages := make(path) for path in paths]": "test_pages",
    "if (full := os.environ.get('FULL')):\n    test_pages = make('/pages')": "test_pages",
    "test_none = None\nif full and (test_none := make('/pages')): pass": "test_none",
    "if (test_none := make('/pages') if full else None): pass": "test_none",
    "test_none = full and make('/pages') or None": "test_none",
    "class TestHere:\n    full and (test_pages := make('/pages'))": "TestHere::test_pages",
    "if full:\n    globals()['test_pages'] = make('/pages')": "test_pages",
    "if full:\n    vars()['test_pages'] = globals()['test_here'] = make('/pages')": "test_pages",
    "if full:\n    globals().setdefault('test_pages', make('/pages'))": "test_pages",
    "if full:\n    globals().update(test_pages=make('/pages'))": "test_pages",
    "if full:\n    globals().update({'test_pages': make('/pages')})": "test_pages",
    "if full:\n    setattr(sys.modules[__name__], 'test_pages', make('/pages'))": "test_pages",
    "with suppress(KeyError):\n    globals()['test_pages'] = make(os.environ['PAGES'])": "test_pages",
    "for path in paths:\n    pass\nelse:\n    if full:\n        test_pages = make('/pages')": "test_pages",
    "while full:\n    test_pages = make('/pages')\n    break": "test_pages",
    "try:\n    pass\nfinally:\n    if full:\n        test_pages = make('/pages')": "test_pages",
}
KEPT = [
    "if full:\n    from shared import test_here\nelse:\n    test_here = make('/pages')",
    "try:\n    from a import test_here\nexcept ImportError:\n    from b import test_here",
    "if TYPE_CHECKING:\n    from starlette.testclient import TestClient",
    "if typing.TYPE_CHECKING:\n    from starlette.testclient import TestClient",
    "if __name__ == '__main__':\n    test_run = run()",
    "test_none = os.environ.get('SMOKE_USER')",
    "if full:\n    test_data = ['a', 'b']",
    "if full:\n    test_user = 'smoke'",
    "test_none = os.environ.get('SMOKE_USER') or None",
    "if full:\n    test_rows = [load()]",
    "if full:\n    test_user, test_role = 'smoke', 'admin'",
    "if TYPE_CHECKING:\n    from no_such_module import *",
    "class TestHere(Pages): pass",
    "if full:\n    pages = make('/pages')",
    "try:\n    import test_support\nexcept ImportError:\n    pass",
    "try:\n    from ast import *\nexcept ImportError:\n    pass",
    "try:\n    from no_such_module import *\nexcept ImportError:\n    from ast import *",
    "def function():\n    from shared import test_login",
    "class Helper:\n    if full:\n        test_pages = make('/pages')",
    "class TestHere:\n    test_pages = make('/pages')",
    "if (test_none := os.environ.get('SMOKE_USER')): pass",
    "while (test_none := lines.readline()): pass",
    "if full and (test_here := make('/pages')): pass",
    "if full and (test_user := 'smoke'): pass",
    "def function():\n    return full and (test_pages := make('/pages'))",
    "pages = lambda: (test_pages := make('/pages'))",
    "[one for test_row in rows if (one := make(test_row))]",
    "if TYPE_CHECKING and (test_pages := make('/pages')): pass",
    "globals()['test_here'] = make('/pages')",
    "if full:\n    globals()['test_rows'] = ['a', 'b']",
    "if full:\n    settings['test_pages'] = make('/pages')",
    "if full:\n    settings.update(test_pages=make('/pages'))",
    "if full:\n    setattr(settings, 'test_pages', make('/pages'))",
    "if full:\n    globals()[name] = make('/pages')",
    "def function():\n    globals()['test_pages'] = make('/pages')",
    "class TestHere:\n    globals()['test_here'] = make('/pages')",
]


@pytest.mark.parametrize("source", REMOVED)
def test_name_that_no_branch_bound(source: str) -> None:
    class TestHere:
        pass

    class Checks:
        __test__ = False

        def test_pages(self) -> None:
            """A check."""

    class TestOff(Checks):
        """A class that its base switches off."""

    class Empty:
        """A class of a fallback."""

    names = {"TestHere": TestHere, "test_login": None, "test_none": None, "test_off": False, "TestOff": TestOff}
    owner = SimpleNamespace(**names, TestNone=type("TestNone", (Empty,), {}), Case=unittest.TestCase)
    assert next(unbound(ast.parse(source).body, owner)) == REMOVED[source]


@pytest.mark.parametrize("source", KEPT)
def test_name_that_is_bound_or_no_check(source: str) -> None:
    class TestHere:
        def test_pages(self) -> None:
            """A check."""

    assert (
        list(unbound(ast.parse(source).body, SimpleNamespace(TestHere=TestHere, test_here=print, test_none=None))) == []
    )


DATA = [
    "@dataclass\nclass TestUser:\n    test_ids: list = field(default_factory=list)",
    "@dataclass\nclass TestUser:\n    name: str\n    test_rows: dict[str, int] = dataclasses.field(default_factory=dict)",
    "class TestUser:\n    __test__ = False\n    if full:\n        test_rows = load()",
    "class Rows:\n    __test__ = False\nclass TestUser(Rows):\n    if full:\n        from shared import test_rows",
    "test_rows = load()\nROWS = test_rows\ndel test_rows",
    "test_user: object = load()\ntest_rows = load()\ndel test_user, test_rows",
    "class TestUser(Exception): pass",
    "class TestPages(ABC):\n    PATH = '/'",
    "if full:\n    from shared import Pages\nclass TestPages(ABC): pass",
    "class Page:\n    def __init__(self, url): self.url = url\nclass TestPage(Page): pass",
    "class TestUser:\n    test_rows = load()\n    rows = sorted(test_rows)\n    del test_rows",
]


@pytest.mark.parametrize("source", DATA)
def test_data_with_the_name_of_a_check(source: str) -> None:
    names = {
        "dataclass": dataclass,
        "dataclasses": dataclasses,
        "field": dataclasses.field,
        "full": False,
        "load": list,
        "ABC": ABC,
    }
    exec(source, names)  # noqa: S102 - pytest imports such a file
    assert list(unbound(ast.parse(source).body, SimpleNamespace(**names))) == []


def test_a_field_that_a_condition_removes() -> None:
    source = "class TestPages:\n    if full:\n        test_pages: object = make('/pages')"
    names: dict[str, object] = {"full": False}
    exec(source, names)  # noqa: S102 - pytest imports such a file
    assert list(unbound(ast.parse(source).body, SimpleNamespace(**names))) == ["TestPages::test_pages"]


CLIENT = "try:\n    from fastapi.testclient import TestClient\nexcept ImportError:\n    TestClient = None"
IMPORTED = {
    CLIENT: [],
    f"class TestHere:\n    if full:\n        from lib import TestServer\n{CLIENT}": [],
    "if full:\n    from suites.auth import TestLogin": ["TestLogin"],
    "if full:\n    from auth import TestLogin": ["TestLogin"],
    "if full:\n    from helpers import TestLogin": ["TestLogin"],
    "if full:\n    from .gone import TestLogin": ["TestLogin"],
    "if full:\n    from lib import test_login": ["test_login"],
}


@pytest.mark.parametrize("source", IMPORTED)
def test_class_that_a_file_imports(tmp_path: Path, source: str) -> None:
    """Only a class of the project may be a class of checks."""
    (tmp_path / "suites" / "auth").mkdir(parents=True)
    (tmp_path / "helpers.py").touch()
    owner = SimpleNamespace(TestClient=None, TestHere=type("TestHere", (), {}))
    assert list(unbound(ast.parse(source).body, owner, tmp_path / "suites")) == IMPORTED[source]


def tree(tmp_path: Path) -> Path:
    """Return a folder of suites whose gates ``a`` and ``b`` have links to one folder, which has a link back to the suites."""
    (tmp_path / "shared" / "deep").mkdir(parents=True)
    (tmp_path / "shared" / "deep" / "test_login.py").write_text(SHARED)
    (tmp_path / "shared" / "more.yaml").write_text("checks:\n  - name: it is ready\n    request: GET /health\n")
    (tmp_path / "shared" / "itself").symlink_to("itself")
    (tmp_path / "suites").mkdir()
    (tmp_path / "shared" / "back").symlink_to(tmp_path / "suites")
    for gate in ("a", "b"):
        (tmp_path / "suites" / gate).mkdir()
        (tmp_path / "suites" / gate / "more").symlink_to(tmp_path / "shared")
    (tmp_path / "suites" / "c").symlink_to(tmp_path / "shared")
    return tmp_path / "suites"


def test_checks_behind_links_are_declared_once_for_each_link(tmp_path: Path) -> None:
    suites = tree(tmp_path)
    assert sorted(name for name in declared(suites) if name.endswith("test_login")) == [
        f"suites/{folder}/deep/test_login.py::test_login" for folder in ("a/more", "b/more", "c")
    ]
    assert [path.relative_to(suites).as_posix() for path in files_of_checks(suites)] == [
        "a/more/more.yaml", "b/more/more.yaml", "c/more.yaml",
    ]  # fmt: skip
    assert folders(suites) == ["a", "b", "c"]
    assert len(files_below(suites)) == 9  # with the link to itself


def conftest(project: Project, source: str) -> None:
    (project.path / "suites" / "endpoints" / "conftest.py").write_text(f"import pytest\n{source}")


def refused(project: Project, *args: str) -> str:
    run = project.run(*args)
    assert (run.result, run.calls) == (REFUSED, []), run.output
    return str(run.report["reason"])


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("try:\n    from shared_checks import test_login\nexcept ImportError:\n    pass\n", "test_login"),
        pytest.param(
            f"import os\n{MAKE}if os.environ.get('FULL'):\n    test_pages = make('/pages')\n",
            "test_pages",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            f"{BASE}if not LoginChecks:\n    class TestLogin(LoginChecks): pass\n", "TestLogin", marks=pytest.mark.soak
        ),
    ],
    ids=["import", "assignment", "class"],
)
def test_condition_removes_a_check(project: Project, source: str, missing: str, workers: str) -> None:
    if "shared_checks" in source:
        (project.path / "suites" / "endpoints" / "shared_checks.py").write_text(SHARED)
    project.add("endpoints", f"{source}{ASKS}")
    assert f"test_endpoints_more.py::{missing} is in its file but was not collected" in refused(project, workers)
    assert project.run("--plan").code == 4
    chosen = project.run("suites/redis", target=None)
    assert chosen.code == 0, chosen.output


WRAPPER = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = [one for one in items if "login" not in one.nodeid]
    return (yield)
"""
REPORT = """
@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    report.result = [one for one in report.result if "login" not in one.nodeid]
    return report
"""
CHECKS = {
    "inherited": f"{BASE}class TestIt(LoginChecks): pass\n",
    "assigned": f"{MAKE}test_login = make('/health')\n",
    "a parameter": "import pytest\n@pytest.fixture(params=['a', 'login'])\ndef page(request): return request.param\n"
    "def test_it(client, page): assert client.get('/health').status_code == 200 and page != 'login'\n",
}


@pytest.mark.parametrize(
    "kind", ["inherited", *(pytest.param(kind, marks=pytest.mark.soak) for kind in list(CHECKS)[1:])]
)
def test_later_conftest_removes_a_check_before_all_others(project: Project, kind: str) -> None:
    project.add("endpoints", CHECKS[kind] + ASKS)
    conftest(project, WRAPPER)
    assert "1 checks were deselected" in refused(project)


def test_conftest_that_changes_what_a_file_holds(project: Project) -> None:
    project.add("endpoints", CHECKS["inherited"] + ASKS)
    conftest(project, REPORT)
    assert "suites/endpoints/conftest.py implements pytest_make_collect_report" in refused(project)


@pytest.mark.parametrize("kind", ["plain", "inherited"])
def test_conftest_leaves_a_link_out(project: Project, kind: str) -> None:
    shared = project.path / "more" / "shared"
    shared.mkdir(parents=True)
    (shared / "test_login.py").write_text(SHARED if kind == "plain" else CHECKS["inherited"])
    (project.path / "suites" / "endpoints" / "shared").symlink_to("../../more/shared")
    conftest(project, 'collect_ignore = ["shared"]\n')
    reason = refused(project)
    name = (
        "test_login.py::test_login is in its file but" if kind == "plain" else "test_login.py is a file of checks that"
    )
    assert f"suites/endpoints/shared/{name} was not collected" in reason


@pytest.mark.soak
@pytest.mark.parametrize("expect", ["expct: 204", "expect: 204"])
def test_file_of_checks_in_a_folder_that_pytest_skips(project: Project, expect: str) -> None:
    path = project.path / "suites" / "endpoints" / "dist" / "x.yaml"
    path.parent.mkdir()
    path.write_text(f"checks:\n  - name: a\n    request: GET /health\n    {expect}\n")
    assert "suites/endpoints/dist/x.yaml" in refused(project)


@pytest.mark.soak
def test_classes_of_data_and_of_libraries_are_accepted(project: Project) -> None:
    rows = "".join(f"class Test{base}({base}):\n    path: str\n" for base in ("NamedTuple", "TypedDict"))
    source = f"import pytest\nfrom typing import NamedTuple, TypedDict\n{rows}{CLIENT}\n"
    source += "@pytest.mark.parametrize('row', [TestNamedTuple('/health')])\n"
    project.add("endpoints", source + "def test_it(client, row): assert client.get(row.path).status_code == 200\n")
    run = project.run()
    assert run.result == PROMOTED, run.output


def test_link_that_is_collected_is_accepted(project: Project) -> None:
    shared = project.path / "more" / "shared"
    shared.mkdir(parents=True)
    base = BASE.replace("500", "200")
    (shared / "test_login.py").write_text(
        f"{base}class TestIt(LoginChecks): pass\ntry:\n    from a import b\nexcept ImportError:\n    pass\n"
    )
    (project.path / "suites" / "endpoints" / "shared").symlink_to("../../more/shared")
    conftest(project, "def pytest_collection_modifyitems(items): items.reverse()\n")
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert run.gate("endpoints")["checks"] == 2

"""Files, functions and classes that look like checks and are never collected are refused; helpers are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugins.integrity.forgotten import forgotten
from tests.plugins.project import ASKS, PROMOTED, REFUSED, Project

CHECK = "def test_x(client): assert client.get('/health').status_code == 500\n"
FILES = {
    "check_x.py": (CHECK, "test_x.py"),
    "x_test.py": (CHECK, "test_x.py"),
    "test-x.py": (CHECK, "test_x.py"),
    "Test_x.py": (CHECK, "test_x.py"),
    "tests_x.py": (CHECK, "test_x.py"),
    "testlogin.py": (CHECK, "test_login.py"),
    "TestLogin.py": (CHECK, "test_Login.py"),
    "tset_login.py": (CHECK, "test_login.py"),
    "login.py": (CHECK, "test_login.py"),
    "deep/er/check_login.py": ("def check_login(client): assert client\n", "test_login.py"),
    "x_spec.py": ("def login(client):\n    assert client.get('/health')\n", "test_x.py"),
    "x_test.py3": (CHECK, "test_x.py"),
    "test_x.py.txt": (CHECK, "test_x.py"),
    "check_login.py.md": (CHECK, "test_login.py"),
    "test_x": (CHECK, "test_x.py"),
    "TESTS": (CHECK, "test_privacy.py"),
    "test_x.ppy": (CHECK, "test_x.py"),
    "test_x,py": (CHECK, "test_x.py"),
    "test_x.py ": (CHECK, "test_x.py"),
    "test_x.pyi": (CHECK, "test_x.py"),
    "orders": (CHECK, "test_orders.py"),
    "orders.yp": (CHECK, "test_orders.py"),
    "x_test.pyx": (f"class TestX:\n    {CHECK}", "test_x.py"),
    "check_x.p": ("def x(client): client.get('/nope').raise_for_status()\n", "test_x.py"),
    "test_x.ipynb": (
        json.dumps({"cells": [{"cell_type": "code", "source": ["%time\n", CHECK]}]}),
        "test_x.py",
    ),
    "x.YAML": ("checks: []\n", "x.yaml"),
    "privacy": ("checks:\n  - name: a\n    request: GET /\n", "privacy.yaml"),
    "privacy.yaml ": ("checks:\n  - name: a\n    request: GET /\n", "privacy.yaml"),
    "orders,yaml": ("checks:\n  - name: a\n    request: GET /\n", "orders.yaml"),
    "x.Yml": ("checks: []\n", "x.yml"),
    "x.yaml.txt": ("# one\nchecks:\n  - name: a\n    steps: []\n", "x.yaml"),
    "x.ymal": ("checks:\n  - name: a\n    expect: 200\n", "x.yaml"),
    "conftest.py": (CHECK, "test_privacy.py"),
    "check_broken.py": ("def test_x(:\n", "test_broken.py"),
    "privacy.py": (CHECK, "test_privacy.py"),
    "__init__.py": (CHECK, "test_privacy.py"),
    "__main__.py": (CHECK, "test_privacy.py"),
    "__test_x.py": (CHECK, "test_x.py"),
    "login/__init__.py": (CHECK, "test_login.py"),
    "lambdas.py": ("test_x = lambda client: client.get('/health')\n", "test_lambdas.py"),
    "unit.py": (
        "import unittest\nclass LoginTest(unittest.TestCase):\n    def test_x(self): assert 0\n",
        "test_unit.py",
    ),
    "grouped.py": ("class Login:\n    def test_x(self, client): assert client\n", "test_grouped.py"),
    "check_y.py": ("class CheckLogin:\n    def check_login(self, client): assert client\n", "test_y.py"),
    "verify_login.py": ("def verify_login(client):\n    assert client.get('/health')\n", "test_verify_login.py"),
    "smoke.py": ("import httpx\ndef login():\n    assert httpx.get('http://a')\n", "test_smoke.py"),
}
# A text or an attribute of another file that is spelt as a file, a function or a class does not use it.
WORDS = (
    "NAMES = ['login', '/login', 'check_login', 'test_x', 'Login']\ndef test_it(client): assert client.login.Login\n"
)
HELPER = {"../helpers.py": "def expect_ok(answer):\n    assert answer.status_code == 200\n    return answer\n"}
OK = "from suites.helpers import expect_ok\n"
RAISES = "client.get('/nope').raise_for_status()"
# Files that assert through ``raise_for_status`` or a function of the project, and the name that was probably meant.
BY_A_HELPER = {
    "check_billing.py": (f"def check_invoice(client): {RAISES}\n", "test_billing.py"),
    "check_login.py": (OK + "def check_login(client): expect_ok(client.get('/'))\n", "test_login.py"),
    "invoices.py": (OK + "def invoice(client): expect_ok(client.get('/'))\n", "test_invoices.py"),
    "renamed.py": (
        "from suites.helpers import expect_ok as ok\ndef invoice(client): ok(client.get('/'))\n",
        "test_renamed.py",
    ),
    "whole.py": ("import suites.helpers as h\ndef invoice(client): h.expect_ok(client.get('/'))\n", "test_whole.py"),
    "billing_test.py": ("def invoice(client): somewhere.expect(client.get('/'))\n", "test_billing.py"),
    "billing_spec.py": (f"class BillingSpec:\n    def it_works(self, client): {RAISES}\n", "test_billing.py"),
    "raising.py": ("def login(client):\n    if client.get('/'): raise AssertionError('no')\n", "test_raising.py"),
}
FUNCTIONS = {
    f"def check_login(client): {RAISES}": "test_login",
    "def check_login(client, sure): sure(client.get('/'))\n@pytest.fixture\ndef sure():\n"
    "    def _sure(answer): assert answer\n    return _sure": "test_login",
    f"def login_works(client): {RAISES}": "test_login_works",
    OK + "def verify_login(client): expect_ok(client.get('/'))": "test_login",
    OK + "def it_should_login(client):\n    for one in '/', '/a': expect_ok(client.get(one))": "test_it_should_login",
    "def ok(answer): sure(answer)\ndef sure(answer): assert answer\ndef it_works(client): ok(client)": "test_it_works",
    "class TestIt:\n    def login(self, client): self._ok(client)\n"
    "    def _ok(self, client): assert client": "test_login",
    "class Base: pass\nclass TestIt(Base):\n    def login(self, client): assert client": "test_login",
    "class TestIt(Base):\n    def check_login(self, client): assert client": "test_login",
    "class It(unittest.TestCase):\n    def should_login(self): self.assertEqual(1, 2)": "test_login",
    "def tets_x(client): assert client": "test_x",
    "def tset_x(client): assert client": "test_x",
    "def tes_x(client): assert client": "test_x",
    "def Test_x(client): assert client": "test_x",
    "def text_x(client): assert client": "test_x",
    "def _test_x(client): assert client": "test_x",
    "def check_x(client): assert client": "test_x",
    "async def tets_x(client): assert client": "test_x",
    "def login(client):\n    assert client.get('/login')": "test_login",
    "@pytest.mark.parametrize('n', [1])\ndef login(n): pass": "test_login",
    "if True:\n    def tets_x(client): assert client": "test_x",
    "class TestIt:\n    def tets_x(self, client): assert client": "test_x",
    "class TestIt:\n    def login(self, client): assert client": "test_login",
    "class Login:\n    def test_x(self, client): assert client": "class TestLogin",
    "class LoginTests:\n    def test_x(self, client): assert client": "class TestLogin",
    "class CheckLogin:\n    def check_login(self, client): assert client": "class TestCheckLogin",
    "class LoginTests:\n    def logs_in(self, client): assert client": "class TestLogin",
    "class LoginTests:\n    async def opens(self, client): assert client\n    def close(self): pass": "class TestLogin",
    "class testLogin(object):\n    def test_x(self, client): assert client": "class TestLogin",
    "def test_outer(client):\n    def test_inner(client): assert client": "test_inner, outside of test_outer,",
    "class TestIt:\n    def test_outer(self, client):\n"
    "        async def test_inner(): assert client": "test_inner, outside of test_outer,",
    "@pytest.mark.usefixtures('client')\nclass Login:\n    def test_x(self): assert client": "class TestLogin",
    "class Login:\n    PATH = '/'\n    def test_x(self, client): assert client.get(Login.PATH)": "class TestLogin",
    "class TestIt:\n    class Login:\n        def test_x(self, client): assert client": "class TestLogin",
    "class Login:\n    class Bad:\n        def test_x(self, client): assert client": "class TestLogin",
    "P = pytest.mark.parametrize('n', [1])\n@P\ndef tets_x(client, n): assert client": "test_x",
    "P = pytest.mark.parametrize('n', [1])\n@P\ndef login(n): pass": "test_login",
    "@functools.cache\ndef tets_x(client): assert client": "test_x",
    "@functools.cache\ndef login(client): assert client": "test_login",
    "@again(3)\ndef tets_x(client): assert client": "test_x",
    "class TestIt:\n    @staticmethod\n    def tets_x(client): assert client": "test_x",
    "tets_x = lambda client: client.get('/health')": "test_x",
    "def login(client):\n    assert login and client.get('/')": "test_login",
    "NAME = 'tets_x'\ndef tets_x(client): assert client": "test_x",
}
HELPERS = {
    "a method of a base's": "class Base:\n    def check(self, client): pass\nclass TestIt(Base):\n"
    "    def check(self, client): assert client",
    "called by a base": "class Base:\n    def test_x(self, client): self.check(client)\nclass TestIt(Base):\n"
    "    def check(self, client): assert client",
    "a method of unittest": "class It(unittest.TestCase):\n    def run(self, request): assert request",
    "a base of a library by its own name": "class Base(lib.Base): pass\nclass TestIt(Base):\n"
    "    def answer_of(self, client): assert client",
    "a base of a library": "class TestIt(lib.Base):\n    def answer_of(self, client): assert client",
    "it returns a value": f"def token(client):\n    answer = {RAISES}\n    return answer",
    "a method of a fixture": "def token(client): client.ok()\ndef ok(answer): assert answer",
    "called": "def text_of(client): return client.text\ndef test_it(client): assert text_of(client)",
    "passed on": "def tets_x(client): assert client\ndef test_it(client): client.each(tets_x)",
    "a class that is used": "class Login:\n    def check(self, client): assert client\n"
    "def test_it(client): Login().check(client)",
    "a class without a check": "class Login:\n    def open(self, client): client.get('/')",
    "a handler": "class Handler(server.Handler):\n    def do_get(self, request): assert request",
    "called by its class": "class TestIt:\n    def check(self, client): assert client\n"
    "    def test_it(self, client): self.check(client)",
    "a fixture": "@pytest.fixture\ndef tests(client): return client",
    "a fixture one letter from test": "@pytest.fixture\ndef text(client):\n    assert client\n    return client",
    "a fixture with two letters exchanged": "@pytest.fixture(scope='session')\ndef tets(client): return client",
    "a fixture named test_": "@pytest.fixture(name='data')\ndef test_data(client): return client",
    "a fixture of pytest_asyncio": "@pytest_asyncio.fixture\nasync def tets(client): assert client",
    "not called, but no check": "def text_of(answer): return answer.text",
    "a helper without a fixture": "def check_page(answer): assert answer.ok",
    "a hook": "def pytest_generate_tests(metafunc): assert metafunc",
    "a setup": "def setup_module(request): assert request",
    "a method of a base": "class TestIt(Base):\n    def client_for(self, client): assert client",
    "a base of checks": "class Base:\n    def test_x(self, client): assert client\nclass TestIt(Base): pass",
    "registered": "@app.route('/')\ndef check_x(client): assert client",
    "called by another test": "def test_it(client):\n    def test_(x): assert x\n    test_(client)",
    "a fixture by another name": "F = pytest.fixture(scope='module')\n@F\ndef tests(client): return client",
    "a property": "class TestIt:\n    @property\n    def tests(self): return 1",
    "a step of a scenario": "@then('the page opens')\ndef check_page(client): assert client",
    "a context manager": "@contextlib.contextmanager\ndef rest(client):\n    yield\n    assert client",
    "a class within a class": "class TestIt:\n    class Base:\n        def test_x(self, client): assert client\n"
    "    class TestMore(Base): pass",
    "a called lambda": "tets_x = lambda client: client\ndef test_it(client): assert tets_x(client)",
    "by name": "def tets_x(client): assert client\n@pytest.mark.parametrize('name', ['tets_x'])\n"
    "def test_it(name): globals()[name]()",
}


def found(tmp_path: Path, files: dict[str, str], selected: str | None = None) -> list[str]:
    """Return what is forgotten in a gate with these files and one collected check; ``selected``: in a run of this check alone."""
    gate = tmp_path / "suites" / "privacy"
    for name, source in {"test_it.py": ASKS, **files}.items():
        (gate / name).parent.mkdir(parents=True, exist_ok=True)
        (gate / name).write_text(source)
    collected = [selected or "suites/privacy/test_it.py::test_asks"]
    return [str(one) for one in forgotten(tmp_path / "suites", collected, whole=selected is None)]


@pytest.mark.parametrize("name", FILES)
def test_file(tmp_path: Path, name: str) -> None:
    source, meant = FILES[name]
    assert found(tmp_path, {name: source}) == [f"suites/privacy/{name} is never collected; {meant} was probably meant"]


@pytest.mark.parametrize("name", BY_A_HELPER)
def test_file_that_asserts_through_a_helper(tmp_path: Path, name: str) -> None:
    source, meant = BY_A_HELPER[name]
    texts = found(tmp_path, {**HELPER, name: source})
    assert texts == [f"suites/privacy/{name} is never collected; {meant} was probably meant"]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("check_orders.py", "def token(client): return client.post('/login').json()\n"),
        ("check_orders.py", "def seed(client, order): client.post('/orders', json=order)\n"),
        ("check_all.py", "def run(client): client.get('/')\nif __name__ == '__main__': run(make())\n"),
        ("check_rows.py", "import pytest\n@pytest.fixture\ndef rows(client): client.get('/').raise_for_status()\n"),
        ("rest_client.py", "def clear(client): client.delete('/orders')\n"),
        ("order_page.py", "class OrderPage:\n    def open(self, client): client.get('/orders')\n"),
        ("fetch.py", "import httpx\ndef fetch(): httpx.get('http://a').raise_for_status()\n"),
        ("seeds.py", "def seed(client):\n    answer = client.post('/')\n    answer.raise_for_status()\n    return answer\n"),
    ],
)  # fmt: skip
def test_file_of_helpers(tmp_path: Path, name: str, source: str) -> None:
    assert found(tmp_path, {**HELPER, name: source}) == []


@pytest.mark.parametrize("name", ["check_x.py", "x_test.py", "x.YAML", "deeper/test-x.py", "test_x"])
def test_file_alone_in_its_folder(tmp_path: Path, name: str) -> None:
    """No collected file shows that the folder is a gate."""
    source, meant = FILES[name.removeprefix("deeper/")]
    assert found(tmp_path, {f"../billing/{name}": source}) == [
        f"suites/billing/{name} is never collected; {meant} was probably meant"
    ]


@pytest.mark.parametrize("source", FUNCTIONS)
def test_function_or_class(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, {**HELPER, "test_more.py": source + "\n"})
    assert text.startswith("suites/privacy/test_more.py::")
    assert text.endswith(f" is never collected; {FUNCTIONS[source]} was probably meant")


@pytest.mark.parametrize("name", ["check_x.py", "x_test.py"])
def test_file_that_the_command_line_names(tmp_path: Path, name: str) -> None:
    """pytest collects it then; no deployment would."""
    assert found(tmp_path, {name: CHECK, "check_y.py": CHECK}, f"suites/privacy/{name}::test_x") == [
        f"suites/privacy/{name} is never collected; test_x.py was probably meant"
    ]


@pytest.mark.parametrize("kind", HELPERS)
def test_helper_is_no_forgotten_check(tmp_path: Path, kind: str) -> None:
    assert found(tmp_path, {"test_more.py": HELPERS[kind] + "\n"}) == []


def test_files_that_are_no_checks(tmp_path: Path) -> None:
    files = {
        "helpers.py": "def status_of(answer): return answer.status_code\n",
        "check_page.py": CHECK,
        "run_all.py": "def testit(path): print(path)\ntestit('.')\n",
        "test_uses.py": "from privacy import check_page\ndef test_it(client): check_page.test_x(client)\n",
        "conftest.py": "import pytest\n@pytest.fixture\ndef test_user(client): return client\n",
        "test_it.py~": ASKS,
        "test_it.py.orig": ASKS,
        "test_it": ASKS,
        "test_notes": "what the checks do\n",
        "test_rows.json": '{"rows": [1, 2]}',
        "test_rows.csv": "name,status\nrow,200\n",
        "test_setup.sh": "echo ready\n",
        "test_values.env": "URL = 1\n",
        "test_helpers.pyi": "def status_of(answer) -> int: ...\n",
        "test_report.ipynb": '{"cells": [{"cell_type": "code", "source": "!ls\\nprint(1)"}, {}]}',
        "test_more.txt": CHECK,
        "shapes.pyi": "def check_x(client) -> None: ...\n",
        "shared.pyi": CHECK,
        "shared.py": "def status_of(answer): return answer.status_code\n",
        "Makefile": "check:\n\tpytest\n",
        "test_deep.bin": "(" * 10_000,
        "README": "checks:\n  - name: a\n    request: GET /\n",
        "README.md": "checks:\n\nwhat this gate is for\n",
        "answer.json": "{}",
        "tests.txt": "checks: none",
        "__pycache__/check_x.py": CHECK,
        "../contract/X.YAML": "checks:\n",
    }
    assert found(tmp_path, files) == []


@pytest.mark.parametrize("name", ["login.py", "check_login.py", "auth/login.py"])
def test_file_whose_name_another_file_mentions(tmp_path: Path, name: str) -> None:
    [text] = found(tmp_path, {name: CHECK, "test_words.py": WORDS})
    assert text == f"suites/privacy/{name} is never collected; test_login.py was probably meant"


def test_class_and_conftest_whose_names_a_text_mentions(tmp_path: Path) -> None:
    files = {
        "test_more.py": "class Login:\n    def test_x(self, client): assert client\n",
        "test_words.py": WORDS,
        "conftest.py": CHECK + "NAMES = ['test_x']\n",
    }
    assert [text.split()[0] for text in found(tmp_path, files)] == [
        "suites/privacy/conftest.py",
        "suites/privacy/test_more.py::Login",
    ]


@pytest.mark.parametrize("source", ["", "# def test_x(client): ...\n", '"""Sign-in."""\nimport pytest\n', "pass\n"])
def test_file_of_checks_that_defines_nothing(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, {"test_more.py": source, "__init__.py": "", "conftest.py": "# none\n"})
    assert text.startswith("suites/privacy/test_more.py has no check")


@pytest.mark.parametrize(
    "files",
    [
        {"test_rows.py": "ROWS = ['a']\n"},
        {"test_all.py": "import httpx\n", "conftest.py": "from .test_all import httpx\n"},
        {"test_plugin.py": "import httpx\n", "../../conftest.py": "pytest_plugins = ['suites.privacy.test_plugin']\n"},
        {"test_it.py": "from suites.shared import *\n"},
    ],
)
def test_file_of_data_imports_or_shared_checks(tmp_path: Path, files: dict[str, str]) -> None:
    assert found(tmp_path, files) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from suites.privacy.login import helper",
        "from .login import helper",
        "from suites.privacy import login",
        "import importlib\nlogin = importlib.import_module('suites.privacy.login')",
    ],
)
def test_checks_beside_an_imported_helper(tmp_path: Path, statement: str) -> None:
    """An import of the file is not enough: a check counts only if a file of checks binds its name."""
    helper = "def helper(client): assert client\n"
    uses = f"{statement}\ndef test_it(client): (login.helper if 'login' in globals() else helper)(client)\n"
    files = {"login.py": helper, "test_uses.py": uses}
    assert found(tmp_path, files) == []
    [text] = found(tmp_path, {**files, "login.py": helper + CHECK})
    assert text == "suites/privacy/login.py is never collected; test_login.py was probably meant"


SHARED = CHECK + "class LoginChecks:\n    def test_y(self, client): assert client\n"
IMPORTS = {
    "its names": "from suites.privacy.shared import LoginChecks, test_x\nclass TestIt(LoginChecks): pass\n",
    "all names": "from .shared import *\nclass TestIt(LoginChecks): pass\n",
    "another name": "from privacy.shared import LoginChecks as L, test_x as test_z\nclass TestIt(L): pass\n",
    "the module": "import suites.privacy.shared as s\nclass TestIt(s.LoginChecks): pass\ntest_z = s.test_x\n",
    "through a package": "from suites.privacy import LoginChecks, test_x\nclass TestIt(LoginChecks): pass\n",
}


@pytest.mark.parametrize("kind", IMPORTS)
def test_shared_checks_that_a_file_of_checks_imports(tmp_path: Path, kind: str) -> None:
    package = "from .shared import LoginChecks, test_x\n" if kind == "through a package" else ""
    assert found(tmp_path, {"shared.py": SHARED, "__init__.py": package, "test_uses.py": IMPORTS[kind]}) == []


def test_shared_checks_that_no_file_of_checks_binds(tmp_path: Path) -> None:
    files = {"shared.py": SHARED, "test_uses.py": "from suites.privacy.shared import LoginChecks\nROWS = []\n"}
    assert len(found(tmp_path, files)) == 1  # nothing derives from the class
    files = {"shared.py": SHARED, "helpers.py": "from .shared import *\ndef value(): return 1\n"}
    files["test_uses.py"] = "from .helpers import value\ndef test_it(): assert value()\n"
    assert found(tmp_path, files) == ["suites/privacy/shared.py is never collected; test_shared.py was probably meant"]


def test_helpers_that_other_files_load(tmp_path: Path) -> None:
    asserting = "def is_up(client): assert client\n"
    files = {
        "a_plugin.py": "import pytest\n@pytest.fixture\ndef up(client): is_up(client)\n" + asserting,
        "by_conftest.py": asserting,
        "script.py": asserting,
        "module.py": asserting,
        "all/__init__.py": "import importlib, pkgutil\nfor one in pkgutil.iter_modules(__path__):\n"
        "    importlib.import_module(one.name)\n",
        "all/one.py": asserting,
        "by_package.py": asserting,
        "../../helpers/api.py": "from suites.privacy.by_package import is_up\n",
        "deeper/second.py": asserting,
        "first.py": "from .deeper.second import is_up\n",
        "conftest.py": "from suites.privacy.by_conftest import is_up\nSCRIPT = 'suites/privacy/script.py'\n"
        "from helpers.api import is_up as up\nMODULE = 'suites.privacy.module'\n",
        "test_uses.py": "from .first import is_up\ndef test_it(client): is_up(client)\n",
        "../../conftest.py": "pytest_plugins = ['suites.privacy.a_plugin']\n",
    }
    assert found(tmp_path, files) == []


def test_file_behind_a_link_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "check_x.py").write_text(CHECK)
    (tmp_path / "suites" / "privacy").mkdir(parents=True)
    (tmp_path / "suites" / "privacy" / "more").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "back").symlink_to(tmp_path / "suites")
    assert found(tmp_path, {}) == ["suites/privacy/more/check_x.py is never collected; test_x.py was probably meant"]


def test_link_without_a_target(tmp_path: Path) -> None:
    (tmp_path / "suites" / "privacy").mkdir(parents=True)
    (tmp_path / "suites" / "privacy" / "test_x.py").symlink_to("gone.py")
    [text] = found(tmp_path, {})
    assert text.startswith("suites/privacy/test_x.py is never collected")


@pytest.mark.parametrize("target", ["green", pytest.param(None, marks=pytest.mark.soak)], ids=["deploy", "verify"])
def test_run_and_plan_are_refused(project: Project, target: str | None) -> None:
    (project.path / "suites" / "endpoints" / "check_more.py").write_text(CHECK)
    run = project.run(target=target)
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output
    assert "suites/endpoints/check_more.py is never collected; test_more.py was probably meant" in run.output
    if target:
        assert project.run("--plan").code == 4


@pytest.mark.soak
def test_folder_that_holds_only_such_files(project: Project) -> None:
    (project.path / "suites" / "privacy").mkdir()
    (project.path / "suites" / "privacy" / "privacy.YAML").write_text("checks: []\n")
    run = project.run()
    assert run.result == REFUSED, run.output
    assert "privacy.yaml was probably meant" in run.report["reason"]


@pytest.mark.soak
def test_selected_file_is_checked_alone(project: Project) -> None:
    """The author of one check is not bothered by another's file, but learns of a slip in this one."""
    project.add("endpoints", ASKS.replace("test_asks", "tets_asks"))
    chosen = project.run("suites/redis", target=None)
    assert chosen.code == 0, chosen.output
    project.add("redis", ASKS + ASKS.replace("test_asks", "tets_asks"))
    assert project.run("suites/redis", target=None).code == 4


@pytest.mark.soak
def test_helpers_do_not_prevent_a_promotion(project: Project) -> None:
    project.add(
        "endpoints",
        "def text_of(answer): return answer.text\ndef test_it(client): assert text_of(client.get('/health'))",
    )
    run = project.run()
    assert run.result == PROMOTED, run.output

"""Helpers that a conftest, an imported file or a computed name reaches are no forgotten checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.test_forgotten_checks import found

EXPECTS = "class TestOrders:\n    def expect_items(self, client): assert client.get('/o').json()\n"
ORDERS = "def check_orders(client): assert client.get('/orders')\n"
BY_TEXT = "import pytest\n" + ORDERS + "@pytest.mark.parametrize('name', ['check_orders'])\n"
METHOD = ORDERS.replace("(", "(self, ", 1)
CONFTEST = "import pytest\n@pytest.fixture(autouse=True)\ndef around(request, client):\n    "
REACHED = {
    "imported function": {
        "base.py": "def run_all(suite, client): suite.expect_items(client)\n",
        "test_a.py": "from suites.privacy.base import run_all\n"
        + EXPECTS
        + "    def test_all(self, client): run_all(self, client)\n",
    },
    "base class of a package": {
        "../../helpers/base.py": "class Base:\n    def run(self, client): self.expect_items(client)\n",
        "test_a.py": "from helpers.base import Base\n"
        + EXPECTS.replace(":", "(Base):", 1)
        + "    def test_all(self, client): self.run(client)\n",
    },
    "imported by an imported file": {
        "deep.py": "def run_all(suite, client): suite.expect_items(client)\n",
        "base.py": "from .deep import run_all\n",
        "test_a.py": "from .base import run_all\n" + EXPECTS,
    },
    "instance": {"conftest.py": CONFTEST + "request.instance.expect_items(client)\n", "test_a.py": EXPECTS},
    "class": {"../../conftest.py": CONFTEST + "request.cls.expect_items(client)\n", "test_a.py": EXPECTS},
    "module": {"conftest.py": CONFTEST + "request.module.check_orders(client)\n", "test_a.py": ORDERS},
    "literal name": {
        "conftest.py": CONFTEST + "getattr(request.module, 'check_orders')(client)\n",
        "test_a.py": ORDERS,
    },
    "text and conftest": {
        "conftest.py": CONFTEST + "getattr(request.module, request.node.callspec.params['name'])(client)\n",
        "test_a.py": BY_TEXT + "def test_it(name): pass\n",
    },
    "text and imported file": {
        "runner.py": "def run(module, name, client): getattr(module, name)(client)\n",
        "test_a.py": "import sys\nfrom .runner import run\n"
        + BY_TEXT
        + "def test_it(name, client): run(sys.modules[__name__], name, client)\n",
    },
    "text and plugin": {
        "../../conftest.py": "pytest_plugins = ['suites.privacy.runner']\n",
        "runner.py": CONFTEST + "getattr(request.module, request.param)(client)\n",
        "test_a.py": BY_TEXT + "def test_it(name): pass\n",
    },
    "part in a conftest": {
        "conftest.py": CONFTEST + "getattr(request.module, f'check_{request.param}')(client)\n",
        "test_a.py": ORDERS,
    },
    "listed by a conftest": {
        "conftest.py": CONFTEST + "for name in dir(request.module): print(name)\n",
        "test_a.py": ORDERS,
    },
    "part in an importing file": {
        "test_a.py": ORDERS,
        "test_b.py": "from suites.privacy import test_a as a\ndef test_it(client, what): getattr(a, 'check_' + what)(client)\n",
    },
    "listed by an importing file": {
        "test_a.py": ORDERS,
        "test_b.py": "from . import test_a\ndef test_it(client): [getattr(test_a, one)(client) for one in dir(test_a)]\n",
    },
    "text and methodcaller": {
        "test_a.py": "import operator, pytest\nclass TestA:\n    "
        + METHOD
        + "    @pytest.mark.parametrize('what', ['check_orders'])\n"
        "    def test_it(self, client, what): operator.methodcaller(what, client)(self)\n",
    },
}
for name, call in {
    "part": "getattr(self, f'check_{what}')",
    "sum": "getattr(self, 'check_' + what)",
    "percent": "getattr(self, 'check_%s' % what)",
    "format": "operator.attrgetter('check_{}'.format(what))(self)",
    "end": "getattr(self, f'{what}_orders')",
    "variable": "getattr(self, what)",
    "__getattribute__": "self.__getattribute__(what)",
    "dir": "[getattr(self, one) for one in dir(self)][0]",
    "getmembers": "dict(inspect.getmembers(self))[what]",
    "vars of the class": "vars(type(self))[what]",
    "dir of a named class": "[getattr(TestA, one) for one in dir(TestA)][0]",
    "names of a named class": "TestA.__dict__[what]",
}.items():
    source = f"class TestA:\n    {METHOD}    def test_it(self, client, what): {call}(client)\n"
    REACHED[name] = {"test_a.py": source}
for name, call in {"globals": "globals()[what]", "modules": "getattr(sys.modules[__name__], what)"}.items():
    REACHED[name] = {"test_a.py": f"{ORDERS}def test_it(client, what): {call}(client)\n"}

UNREACHED = {
    "another object": {"conftest.py": CONFTEST + "client.check_orders()\n", "test_a.py": ORDERS},
    "an imported module": {"conftest.py": "import api\n" + CONFTEST + "api.check_orders()\n", "test_a.py": ORDERS},
    "a conftest of another gate": {
        "../auth/conftest.py": CONFTEST + "request.module.check_orders(client)\n",
        "test_a.py": ORDERS,
    },
    "another name": {
        "conftest.py": CONFTEST + "getattr(request, 'param', None)\n",
        "test_a.py": BY_TEXT + "def test_it(): pass\n",
    },
    "another part": {
        "test_a.py": f"class TestA:\n    {METHOD}    def test_it(self, what): getattr(self, f'seed_{{what}}')()\n"
    },
    "a method of a fixture": {
        "test_a.py": f"class TestA:\n    {METHOD}    def test_it(self, client, what): getattr(client, what)('/')\n"
    },
    "one global name": {"test_a.py": ORDERS + "LIMIT = 1\ndef test_it(): assert globals()['LIMIT']\n"},
    "names of another object": {
        "test_a.py": f"class TestA:\n    {METHOD}    def test_it(self, answer): assert vars(answer) and answer.__dict__\n"
    },
    "a misspelt name": {"test_a.py": "def tets_x(client): assert client\ndef test_it(name): globals()[name]()\n"},
    "a text within the function": {
        "conftest.py": CONFTEST + "getattr(request.module, request.param)(client)\n",
        "test_a.py": "def login(client): assert client.post('login')\n",
    },
}


@pytest.mark.parametrize("way", REACHED)
def test_helper_that_is_reached_through_another_file_or_by_its_name(tmp_path: Path, way: str) -> None:
    assert found(tmp_path, REACHED[way]) == []


@pytest.mark.parametrize("way", UNREACHED)
def test_check_that_such_a_file_does_not_reach(tmp_path: Path, way: str) -> None:
    [text] = found(tmp_path, UNREACHED[way])
    assert text.startswith("suites/privacy/test_a.py::")

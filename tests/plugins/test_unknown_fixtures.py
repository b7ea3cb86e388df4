"""A fixture that nothing defines refuses the run (4) before anything is touched; all ways to define one are known."""

from __future__ import annotations

import pytest

from tests.plugins.project import PROMOTED, REFUSED, Project

DEFINES_NOTHING = {
    "a letter is missing": (
        "def test_it(cliet): assert cliet.get('/health').status_code == 200",
        "test_it needs the fixture cliet, which no file and no plugin defines; did you mean client?",
    ),
    "nothing is similar": (
        "def test_it(client, quux): assert client",
        "test_it needs the fixture quux, which no file and no plugin defines\n",
    ),
    "a fixture needs it": (
        "import pytest\n@pytest.fixture\ndef orders(cliet): return cliet\ndef test_it(orders): assert orders",
        "the fixture orders of suites/health/test_health_more.py::test_it needs the fixture cliet,",
    ),
    "a method": (
        "class TestIt:\n    def test_it(self, cliet): assert cliet",
        "test_health_more.py::TestIt::test_it needs the fixture cliet,",
    ),
    "usefixtures": (
        "import pytest\n@pytest.mark.usefixtures('cliet')\ndef test_it(client): assert client",
        "test_it needs the fixture cliet,",
    ),
    "two of them": (
        "def test_it(cliet, client): assert client\ndef test_other(smoke_usr): assert smoke_usr",
        "did you mean client? (the first of 2 problems)",
    ),
}
DEFINES_ALL = """
    import pytest

    @pytest.fixture(name="order")
    def an_order(client): return client.get("/health")

    @pytest.fixture
    def colour(request): return request.param

    def test_named(order): assert order.status_code == 200

    @pytest.mark.parametrize("number, other", [(1, 2), (2, 3)])
    def test_parameters(client, number, other): assert client.get("/health").status_code == 200 and number < other

    @pytest.mark.parametrize("colour", ["blue", "green"], indirect=True)
    def test_indirect(client, colour): assert client.get("/health").status_code == 200 and colour

    def test_late(request, client):
        assert request.getfixturevalue("order").status_code == 200

    class TestIt:
        @pytest.fixture(autouse=True)
        def at_once(self, client): self.answer = client.get("/health")

        def test_it(self, tmp_path, monkeypatch): assert self.answer.status_code == 200
"""


@pytest.mark.parametrize(("source", "says"), DEFINES_NOTHING.values(), ids=DEFINES_NOTHING)
def test_a_fixture_that_nothing_defines(project: Project, source: str, says: str) -> None:
    project.add("health", source)

    run = project.run()

    assert run.result == REFUSED, run.output
    assert run.calls == []
    assert says.strip() in run.report["reason"]
    assert not says.endswith("\n") or run.report["reason"].endswith(says.strip())
    assert "`pytest --fixtures suites` lists the fixtures." in run.output


def test_workers_and_the_plan_refuse_it_as_well(project: Project) -> None:
    project.add("health", "def test_it(cliet): assert cliet\n")

    for option in ("-n2", "--plan"):
        run = project.run(option)
        assert run.code == 4, run.output
        assert "needs the fixture cliet," in run.output
        assert run.calls == []


def test_defined_in_each_way(project: Project) -> None:
    project.add("health", DEFINES_ALL)

    run = project.run()

    assert run.result == PROMOTED, run.output

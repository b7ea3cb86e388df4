"""A fixture of a project does not answer for the framework's own in checks of the description, and an unasked store is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plugins.described import stores as described
from tests.plugins.project import Project
from tests.plugins.test_verify_an_address import Shopping, shopping
from tests.verification.shop_server import DESCRIPTION
from verification.stores import connections, queues
from verification.stores.connections import Before, Stores

__all__ = ["shopping"]
FIXTURE = "import pytest\n@pytest.fixture({options})\ndef {name}(): return None\n"
CONNECTIONS, ROWS, JOBS = "how many connections", "rows that are left behind", "jobs in Redis"
BOTH = Stores("postgresql://database", "redis://redis")


def with_stores(shopping: Shopping) -> None:
    """Describe a shop with a database."""
    text = DESCRIPTION.replace("dependencies: none", "dependencies: {database: {request: GET /goods}, redis: none}")
    (shopping.path / "suites" / "service.yaml").write_text(text)


@pytest.mark.parametrize(
    ("name", "options", "file"),
    [
        ("before", "autouse=True", "suites/conftest.py"),
        ("before", "", "suites/conftest.py"),
        ("limits", "", "suites/conftest.py"),
        ("player", "", "conftest.py"),
    ],
)
def test_a_fixture_that_replaces_the_frameworks_own_refuses(
    shopping: Shopping, name: str, options: str, file: str
) -> None:
    with_stores(shopping)
    with (shopping.path / file).open("a") as conftest:
        conftest.write(FIXTURE.format(name=name, options=options))
    code, output, report = shopping.run()
    assert (code, report["verdict"]) == (4, "refused"), output
    assert f"fixture {name} of {file} replaces the framework's fixture of this name" in report["reason"]
    assert "Give it another name." in output
    assert shopping.shop.seen == []


def test_a_fixture_of_one_gate_and_a_client_may_replace_the_frameworks_own(shopping: Shopping) -> None:
    """The checks of the description see only the fixtures of the whole project; requests of a client are counted."""
    with_stores(shopping)
    (shopping.path / "suites" / "pages").mkdir()
    (shopping.path / "suites" / "pages" / "conftest.py").write_text(FIXTURE.format(name="before", options=""))
    (shopping.path / "suites" / "pages" / "test_up.py").write_text(
        "def test_up(client, before):\n    assert client.get('/up').is_success and before is None\n"
    )
    (shopping.path / "suites" / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef client(client): return client\n"
    )
    code, output, _ = shopping.run("suites/pages", "suites/database", "suites/health")
    assert code == 0, output


@pytest.mark.parametrize(
    ("stores", "before", "warned"),
    [
        (BOTH, None, [CONNECTIONS, ROWS, JOBS]),
        (BOTH, Before(None, 3), [ROWS, JOBS]),
        (Stores("postgresql://database"), None, [CONNECTIONS, ROWS]),
        (Stores(None, "redis://redis"), Before(None, 0), [JOBS]),
        (Stores(), None, []),
    ],
)
def test_a_store_that_is_configured_and_was_not_asked_is_named(
    monkeypatch: pytest.MonkeyPatch, stores: Stores, before: Before | None, warned: list[str]
) -> None:
    monkeypatch.setattr(connections, "connections", lambda _: (5, 100))
    monkeypatch.setattr(queues, "takers", lambda _: (0, 0))
    said: list[str] = []
    given: dict[str, Any] = {
        "player": SimpleNamespace(probe=lambda *_: None),
        "client": None,
        "stores": stores,
        "before": before,
        "limits": {"connection_share": 0.5, "rows": "SELECT 1"},
        "measure": lambda *_, **__: None,
        "warn": said.append,
        "step": None,
    }
    described.share_of_the_connections(**given)
    described.nothing_is_left_behind(**given, smoke_users=())
    described.takes_no_jobs(**given)
    assert len(said) == len(warned), said
    assert all(word in text for word, text in zip(warned, said, strict=True)), said


REPLACES = {
    "a value": "request.node.funcargs['answer'] = 500",
    "the value of a parameter": "request.node.funcargs['path'] = '/other'",
    "the fixtures that run": "request.node.fixturenames.remove('judged')",
    "the code of a fixture": "request.node._fixtureinfo.name2fixturedefs['answer'][-1].func = lambda client: 500",
}
JUDGED = """
    import pytest

    @pytest.fixture(autouse=True)
    def helper(request, monkeypatch):
        if "test_it" in request.node.name:
            request.node.funcargs.setdefault("early", 1)
            {code}

    @pytest.fixture
    def answer(client): return client.get("/health").status_code

    @pytest.fixture
    def judged(answer): assert answer == {judged}

    @pytest.mark.usefixtures("judged")
    @pytest.mark.parametrize("path", ["/health"])
    def test_it(request, client, answer, path):
        assert answer == {expected}
        assert path == "/health"
"""


@pytest.mark.parametrize("what", REPLACES)
def test_fixture_that_replaces_those_of_a_check(project: Project, what: str) -> None:
    answer = 500 if "answer" in REPLACES[what] else 200
    source = JUDGED.format(code=REPLACES[what], expected=answer, judged=200 if "value" in what else 500)
    project.add("auth", source.replace('== "/health"', '== "/other"') if "parameter" in what else source)
    run = project.run("-n0", target=None)
    assert run.code == 1, run.output
    assert "while the check was set up" in run.report["reason"], run.report["reason"]


def test_fixtures_that_read_and_add_are_accepted(project: Project) -> None:
    code = "request.fixturenames.remove('judged'); request.node.fixturenames.append('tmp_path'); "
    code += "request.getfixturevalue('answer'); len(request.node.funcargs)"
    project.add("auth", JUDGED.format(code=code, expected=200, judged=200))
    source = """
        import pytest

        class TestCases:
            @pytest.fixture(params=["/health", "/health?again"])
            def path(self, request): return request.param

            @pytest.fixture
            def client(self, client): return client

            def test_it(self, client, path, tmp_path, request):
                assert client.get(path).status_code == 200
                request.node.funcargs["path"] = "later"
    """
    project.add("endpoints", source)
    run = project.run("-n0", target=None)
    assert run.code == 0, run.output

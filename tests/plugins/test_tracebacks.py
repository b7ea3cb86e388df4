"""The traceback of a failed check: the check's own lines and the problem, not the framework's lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from deployment.strategy import parse
from plugins.terminal.tracebacks import shorten
from tests.plugins.project import REJECTED, Project
from verification.statistics import failure_bounds

CHECK = """
import pytest

def test_listing(client, contract):
    answer = client.get("/health")
    contract.check(client.get("/nowhere"))

@pytest.fixture
def own(contract, client):
    contract.check(client.get("/nowhere"))

def test_with_own_fixture(own):
    pass
"""


def told(function: Callable[[], Any], *, full: bool = False) -> tuple[list[str], str]:
    """Return the functions in the traceback of a failed check, and its text."""
    call = pytest.CallInfo.from_call(function, "call")
    shorten(call, full=full)
    assert call.excinfo is not None
    return [entry.name for entry in call.excinfo.traceback], str(call.excinfo.value)


def nobody_listens() -> None:
    httpx.get("http://127.0.0.1:1/health", trust_env=False)


def test_lines_of_a_library_below_the_check_are_hidden() -> None:
    names, text = told(nobody_listens)
    assert names == ["nobody_listens"]
    assert "refused" in text
    call = pytest.CallInfo.from_call(nobody_listens, "call")
    shorten(call, full=False)
    assert call.excinfo is not None
    assert "direct cause" not in str(call.excinfo.getrepr())


def test_error_of_a_fixture_shows_its_text_alone() -> None:
    names, text = told(partial(httpx.get, "http://127.0.0.1:1/health", trust_env=False))
    assert "nobody_listens" not in names
    assert text.startswith("ConnectError: ")
    call = pytest.CallInfo.from_call(partial(parse, "sideways"), "setup")
    shorten(call, full=False)
    assert call.excinfo is not None
    assert isinstance(call.excinfo.value, pytest.fail.Exception)
    assert not call.excinfo.value.pytrace


def own_assertion() -> None:
    assert [1] == [2]


def test_a_defect_and_the_users_wish_keep_the_whole_traceback() -> None:
    names, _ = told(partial(failure_bounds, 2, 1))
    assert "failure_bounds" in names, "a ValueError of the framework is a defect"
    names, _ = told(nobody_listens, full=True)
    assert len(names) > 5
    names, _ = told(own_assertion)
    assert names[-1] == "own_assertion"
    assert len(names) > 1, "pytest itself hides its lines"


def test_report_of_a_rejected_release_shows_no_line_of_the_framework(project: Project) -> None:
    (project.path / "suites" / "endpoints" / "test_more.py").write_text(CHECK)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert 'contract.check(client.get("/nowhere"))' in run.output
    for package in ("plugins/", "verification/", "deployment/", "site-packages/"):
        assert f"/{package}" not in run.output, "neither a check nor a fixture of its file shows them"

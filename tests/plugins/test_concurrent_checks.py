"""Checks in YAML that only read are asked at the same time; each result, its evidence and its duration belong to one item."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.checkout import CHECKOUT
from tests.plugins.project import INI, ROOT

TOGETHER_S = 20.0
SERVICE = """
service: pairs
health: {request: GET /health, version: none}
dependencies: none
sessions: none
journeys:
  read: {steps: [{name: read, request: GET /health, expect: {status: 200, body: {status: ok}}}]}
"""
SETTINGS = """
default_environment = "here"
[gates.endpoints]
checks_in_flight = 4
[environments.here]
provider = "embedded"
"""


class Pairs:
    """A service. ``/pair/N`` answers once another such request is in flight, and with status 500 if none comes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most = self.running = 0
        self.alone_s = TOGETHER_S
        self._changed = threading.Condition()
        pairs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status = pairs.count(f"{self.command} {self.path}", pair=self.path.startswith("/pair"))
                body = json.dumps({"status": "ok", "path": self.path}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = _answer  # noqa: N815  # the name of the standard library
            do_POST = _answer  # noqa: N815  # the name of the standard library

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def count(self, request: str, *, pair: bool) -> int:
        """Note a request while it is in flight, and return the status of its answer."""
        with self._changed:
            self.asked.append(request)
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
            met = self._changed.wait_for(lambda: self.most > 1, self.alone_s) if pair else True
            self.running -= 1
        return 200 if met else 500

    def stop(self) -> None:
        """Stop the service."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Checks:
    """A project whose only gate has checks in YAML."""

    def __init__(self, pytester: pytest.Pytester, pairs: Pairs) -> None:
        self.pytester, self.pairs = pytester, pairs
        suites = pytester.mkdir("suites")
        (suites / "endpoints").mkdir()
        (suites / "service.yaml").write_text(SERVICE)
        (pytester.path / "pytest.ini").write_text(INI)
        (pytester.path / "conftest.py").write_text('pytest_plugins = ("plugins.framework",)\n')
        (pytester.path / "deployment.toml").write_text(SETTINGS)
        shutil.copy(CHECKOUT.checklist_file, pytester.path)

    def write(self, *checks: str, file: str = "many.yaml") -> None:
        """Write a file of checks."""
        text = "checks:\n" + "".join(f"  - {check}\n" for check in checks)
        (self.pytester.path / "suites" / "endpoints" / file).write_text(text)

    def run(self, *args: str) -> tuple[int, str, dict[str, Any]]:
        """Return exit code, output and the gate of the report."""
        result = self.pytester.runpytest_inprocess(f"--base-url={self.pairs.url}", "suites/endpoints/many.yaml", *args)
        latest = self.pytester.path / "reports" / "latest"
        report = json.loads((latest / "verification.json").read_text())
        (gate,) = (one for one in report["gates"] if one["name"] == "endpoints")
        return int(result.ret), result.stdout.str() + result.stderr.str(), gate

    def junit(self) -> dict[str, ElementTree.Element]:
        """Return the test cases of the last run by name."""
        found = ElementTree.parse(self.pytester.path / "reports" / "latest" / "junit.xml")  # noqa: S314  # just written
        return {str(case.get("name")): case for case in found.iter("testcase")}


@contextmanager
def service() -> Iterator[Pairs]:
    pairs = Pairs()
    try:
        yield pairs
    finally:
        pairs.stop()


@pytest.fixture
def checks(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checks]:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("EMBEDDED_STATE", str(pytester.path / "nothing"))
    with service() as pairs:
        yield Checks(pytester, pairs)


def reading(number: int, path: str = "/pair/", more: str = "") -> str:
    body = f"body: {{path: {path}{number}}}"
    return f"{{name: read {number}, request: GET {path}{number}, expect: {{status: 200, {body}}}{more}}}"


def test_checks_that_read_are_asked_together_and_each_item_has_its_own_result(checks: Checks) -> None:
    checks.write(*(reading(n) for n in range(12)))
    code, output, gate = checks.run()
    assert code == 0, output
    assert (gate["checks"], gate["failed"], gate["outcome"]) == (12, 0, "passed")
    own = [one for one in checks.pairs.asked if "/pair/" in one]
    assert sorted(own) == sorted(f"GET /pair/{n}" for n in range(12))
    assert 1 < checks.pairs.most <= 4


def test_a_failure_belongs_to_its_item(checks: Checks) -> None:
    checks.write(*(reading(n) for n in range(3)), reading(3).replace("status: 200", "status: 404"), reading(4))
    code, output, gate = checks.run()
    assert (code, gate["checks"], gate["failed"]) == (1, 5, 1), output
    cases = checks.junit()
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert "read 3" in failed
    assert not {f"read {n}" for n in (0, 1, 2, 4)} & set(failed)
    assert "many.yaml:5: GET /pair/3: status 200, expected 404" in output


def test_checks_that_write_keep_their_place_unless_they_are_independent(checks: Checks) -> None:
    write = "{name: %s, request: POST /orders/%s, expect: {status: 200}%s}"
    checks.write(
        reading(0, "/a/"), reading(1, "/a/"), write % ("first", 1, ""), reading(2, "/a/"), reading(3, "/a/"), write % ("second", 2, ""),
        write % ("third", 3, ", independent: true"), write % ("fourth", 4, ", independent: true"),
    )  # fmt: skip
    code, output, _ = checks.run()
    assert code == 0, output
    asked = [one for one in checks.pairs.asked if "/health" not in one]
    assert {*asked[:2]} == {"GET /a/0", "GET /a/1"}
    assert asked[2] == "POST /orders/1"
    assert {*asked[3:5]} == {"GET /a/2", "GET /a/3"}
    assert asked[5] == "POST /orders/2"
    assert {*asked[6:]} == {"POST /orders/3", "POST /orders/4"}


@pytest.mark.parametrize("how", ["setting", "check", "client", "fixture"])
def test_what_depends_on_its_moment_is_asked_alone(checks: Checks, how: str) -> None:
    checks.pairs.alone_s = 0.01  # /pair answers with 500 at once if it is alone
    path = checks.pytester.path
    if how == "setting":
        text = (path / "deployment.toml").read_text()
        (path / "deployment.toml").write_text(text.replace("checks_in_flight = 4", "checks_in_flight = 1"))
    elif how == "client":
        source = "import httpx, pytest\n@pytest.fixture\ndef client(base_url):\n    with httpx.Client(base_url=base_url) as one:\n        yield one\n"
        (path / "suites" / "endpoints" / "conftest.py").write_text(source)
    elif how == "fixture":
        source = "import pytest\n@pytest.fixture(autouse=True)\ndef state():\n    yield\n"
        (path / "suites" / "endpoints" / "conftest.py").write_text(source)
    checks.write(*(reading(n, more=", independent: false" if how == "check" else "") for n in range(6)))
    checks.run()
    assert checks.pairs.most == 1


def test_both_colours_get_the_same_request(checks: Checks) -> None:
    """The answer names the request's path, so that it differs with every placeholder that differs."""
    request = "GET /same/${uuid}?${uuid.hex}=${marker}"
    checks.write(f"{{name: same, on: both, request: '{request}', expect: {{status: 200}}}}")
    code, output, gate = checks.run()
    assert (code, gate["outcome"]) == (0, "passed"), output
    assert len(checks.pairs.asked) == 2
    assert len(set(checks.pairs.asked)) == 1


def test_a_session_that_the_service_does_not_have_is_refused(checks: Checks) -> None:
    """As a mistake in the file, before anything is asked."""
    checks.write("{name: mine, signed_in: true, request: GET /same, expect: {status: 200}}")
    code, output, _ = checks.run()
    assert (code, checks.pairs.asked) == (4, []), output
    assert "many.yaml:2: check 'mine' has signed_in, but suites/service.yaml describes no session" in output


def test_the_first_failure_ends_the_run(checks: Checks) -> None:
    checks.write(reading(0), reading(1).replace("status: 200", "status: 404"), *(reading(n) for n in range(2, 200)))
    code, output, gate = checks.run("-x")
    assert (code, gate["failed"]) == (1, 1), output
    assert len(checks.pairs.asked) < 100


def test_a_selection_asks_only_what_it_selects(checks: Checks) -> None:
    checks.write(*(reading(n) for n in range(12)))
    code, output, gate = checks.run("-k", "3 or 4")
    assert (code, gate["checks"]) == (0, 2), output
    assert {*checks.pairs.asked} == {"GET /pair/3", "GET /pair/4"}


def test_without_threads_each_item_plays_itself(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("checks-"):
            raise RuntimeError("can't start new thread")
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    checks.write(*(reading(n, "/a/") for n in range(6)))
    code, output, gate = checks.run()
    assert (code, gate["checks"], gate["failed"]) == (0, 6, 0), output
    assert sorted(checks.pairs.asked) == [f"GET /a/{n}" for n in range(6)]


def test_a_result_that_no_item_takes_is_an_error_also_if_other_checks_follow(checks: Checks) -> None:
    (checks.pytester.path / "conftest.py").write_text(
        'pytest_plugins = ("plugins.framework",)\n'
        "def pytest_runtest_setup(item):\n"
        "    if item.name == 'read 2':\n"
        "        raise ValueError('a broken conftest')\n"
    )
    alone = "{name: alone, request: POST /orders/1, expect: {status: 200}}"
    checks.write(*(reading(n, "/a/") for n in range(4)), alone, *(reading(n, "/a/") for n in range(4, 8)))
    code, output, _ = checks.run()
    assert code == 1, output
    page = (checks.pytester.path / "reports" / "latest" / "audit.jsonl").read_text()
    assert "no item took the result of suites/endpoints/many.yaml::read 2" in output + page


def test_durations_and_values_are_those_of_the_check(checks: Checks) -> None:
    checks.write(*(reading(n, more=", until: {within: 5s}") for n in range(4)), reading(5, "/health?"))
    code, output, _ = checks.run()
    assert code == 0, output
    html = (checks.pytester.path / "reports" / "latest" / "report.html").read_text()
    assert html.count("answered in") == 5
    assert all(0 <= float(case.get("time", -1)) < TOGETHER_S for case in checks.junit().values())


def test_events_and_websockets_are_recorded_and_reveal_no_secret(checks: Checks) -> None:
    source = """
        import pytest
        from verification.http.events import EventsMissing
        from verification.http.websocket import ConversationFailed


        def test_events(events):
            with pytest.raises(EventsMissing, match="content type application/json"):
                events("/feed?access_token=canary-stream-1", headers={"X-Auth-Token": "canary-stream-2"})


        def test_websocket(websocket):
            with pytest.raises(ConversationFailed, match="status 200, expected 101"):
                with websocket("/chat?access_token=canary-stream-1"):
                    pass
            pytest.fail("shown: canary-stream-1 canary-stream-2")
    """
    folder = checks.pytester.path / "suites" / "endpoints"
    (folder / "test_streams.py").write_text(dedent(source))
    checks.write(reading(1, "/a/"))
    code, output, gate = checks.run("suites/endpoints/test_streams.py")
    assert (code, gate["checks"], gate["failed"]) == (1, 3, 1), output
    assert checks.pairs.asked[-2:] == [
        "GET /feed?access_token=canary-stream-1",
        "GET /chat?access_token=canary-stream-1",
    ]
    shown = output + "".join(
        file.read_text() for file in (checks.pytester.path / "reports" / "latest").glob("*") if file.is_file()
    )
    assert "shown: [redacted] [redacted]" in shown
    assert "canary-stream" not in shown

"""A failing check whose traceback holds a secret: its message stays what the check said, without the secret."""

from __future__ import annotations

import json
import re
import warnings
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, cast
from xml.etree import ElementTree

import execnet
import pytest
from _pytest.subtests import SubtestContext

from plugins.integrity.outcomes import message_of
from plugins.terminal.output import WorkerOutput
from plugins.terminal.redacting import redact, redact_collection, redact_warning
from tests.plugins.project import REJECTED, Project
from tests.plugins.world import TOKEN, USERS
from verification.redaction.redactor import LearningRedactor

SECRET = USERS[0].password
ASKED = "GET /consults: status 200, expected 422"
CHECK = """
    def test_list(client, smoke_user):
        headers = {"Authorization": "Bearer " + {token!r}}
        status = client.get("/health").status_code
        assert status == 422, f"GET /consults: status {status}, expected 422{more}"
"""


def junit_messages(run: Any) -> list[str]:
    """Return the messages of the checks that failed."""
    root = ElementTree.parse(run.folder / "junit.xml")  # noqa: S314  # our own file
    return [str(one.get("message")) for one in root.findall("testsuite[@name='pytest']/testcase/failure")]


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("more", ["", pytest.param(" of {smoke_user.password}", marks=pytest.mark.soak)])
def test_message_of_a_failing_check_survives_redaction(project: Project, workers: str, more: str) -> None:
    source = CHECK.replace("{token!r}", repr(TOKEN)).replace("{more}", more)
    project.add("endpoints", source)
    run = project.run(workers, "--showlocals")
    assert run.result == REJECTED, run.output
    message = "GET /consults: status 200, expected 422" + (" of [redacted]" if more else "")
    assert run.report["reason"] == f"endpoints: test_list: {message}"
    [summary] = re.findall(r"^FAILED suites/endpoints.*", run.output, flags=re.MULTILINE)
    assert " - AssertionError: G" in summary, "the line ends where the terminal does"
    [shown] = junit_messages(run)
    assert shown.startswith(f"AssertionError: {message}")
    assert "RecordingClient object" not in shown
    written = run.output + "".join(path.read_text() for path in run.folder.iterdir() if path.is_file())
    assert TOKEN not in written
    assert SECRET not in written


@pytest.mark.soak
def test_the_reason_names_a_gate_and_a_path_with_a_secret_word(project: Project) -> None:
    project.suite("token-refresh", CHECK.replace("{token!r}", repr(TOKEN)).replace("{more}", ""))
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"] == f"token-refresh: test_list: {ASKED}"
    assert f"token-refresh: test_list: {ASKED}" in run.output
    assert junit_messages(run)[0].startswith(f"AssertionError: {ASKED}")


def failed(source: str) -> pytest.TestReport:
    """Return the report of a check in which this code fails."""
    try:
        exec(source)  # noqa: S102  # the code is a test's own
    except Exception:
        failure = pytest.ExceptionInfo.from_current().getrepr(style="long", showlocals=True)
    location = ("suites/auth/test_auth.py", 1, "test_it")
    return pytest.TestReport("suites/auth/test_auth.py::test_it", location, {}, "failed", cast("Any", failure), "call")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ValueError('canary-1234 is wrong')", "ValueError: [redacted] is wrong"),
        (
            "try:\n  raise KeyError('canary-1234')\nexcept KeyError as e:\n  raise OSError('no answer') from e",
            "OSError: no answer",
        ),
        ("raise ValueError('first\\nsecond canary-1234')", "ValueError: first"),
        ("raise ValueError('first\\n-----BEGIN PRIVATE KEY-----\\ncanary-of-a-key')", "ValueError: first"),
    ],
)
def test_redacted_report_keeps_its_message_on_the_way_from_a_worker(source: str, message: str) -> None:
    redactor = LearningRedactor({})
    redactor.learn("canary-1234")
    report = failed(source)
    redact(report, redactor)
    shown = json.dumps(report._to_json(), default=str)
    assert "canary" not in shown, "a run without workers cleans a report once"
    received = pytest.TestReport._from_json(report._to_json())
    redact(received, redactor)
    assert message_of(received) == message
    crash = getattr(received.longrepr, "reprcrash", None)
    assert crash is not None
    assert "canary" not in crash.message + str(received.longrepr) + received.longreprtext
    assert "[redacted]" in received.longreprtext


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise AssertionError('login: status 401, expected 200')", "login: status 401, expected 200"),
        (
            "from verification.journeys.sessions import NotSignedIn\nraise NotSignedIn('POST /auth/login', 'status 401')",
            "POST /auth/login: status 401",
        ),
        ("raise KeyError('token')", "KeyError: 'token'"),
        ("raise AssertionError()", "AssertionError"),
        ("raise AssertionError('no answer: OSError: x')", "no answer: OSError: x"),
    ],
)
def test_message_of_a_check_begins_with_its_words_and_not_with_a_name_of_ours(source: str, message: str) -> None:
    """A built-in error keeps its name: without it, `'token'` would say nothing."""
    assert message_of(failed(source)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"canary-1234\\n{ASKED}", ASKED),
        (f"\\n \\ncanary-1234 canary-1234:\\n\\n{ASKED}\\nmore", ASKED),
        (f"canary-1234 is wrong\\n{ASKED}", "[redacted] is wrong"),
        ("canary-1234", "[redacted]"),
        ("canary-1234\\n ", "[redacted]"),
    ],
)
def test_message_of_a_check_begins_with_the_first_line_that_says_something(text: str, message: str) -> None:
    """A first line that is blank, or a secret alone, tells the reader nothing."""
    redactor = LearningRedactor({})
    redactor.learn("canary-1234")
    for error, name in (("AssertionError", ""), ("ValueError", "ValueError: ")):
        report = failed(f"raise {error}('{text}')")
        redact(report, redactor)
        assert message_of(report) == f"{name}{message}"


def test_report_without_a_secret_is_left_as_it_is() -> None:
    report = failed("raise ValueError('plain')")
    before = report.longreprtext
    redact(report, LearningRedactor({}))
    assert report.longreprtext == before


HALF = "half \ud800"
"""A text that no encoding can write, as a service can answer it in JSON."""


class Kind(StrEnum):
    A = "canary-1234"


class Number(IntEnum):
    ONE = 1


def learned() -> LearningRedactor:
    redactor = LearningRedactor({})
    redactor.learn("canary-1234")
    return redactor


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({HALF: {HALF}}, {"half \\ud800": "{'half \\ud800'}"}),
        ({"canary-1234": 1, 2: None, ("a", HALF): 3}, {"[redacted]": 1, 2: None, "('a', 'half \\ud800')": 3}),
        ([HALF, (1.5, True)], ["half \\ud800", [1.5, True]]),
        ([Kind.A, {Kind.A: Number.ONE}], ["[redacted]", {"[redacted]": 1}]),
        ([date(2026, 1, 2), Decimal("1.5"), b"canary-1234"], ["2026-01-02", "1.5", "b'[redacted]'"]),
    ],
)
def test_values_of_a_check_reach_the_coordinator(value: Any, shown: Any) -> None:
    report = failed("pass; 1 / 0")
    report.user_properties = [(HALF, value)]
    redact(report, learned())
    sent = execnet.loads(execnet.dumps(report._to_json()["user_properties"]))
    assert sent == [("half \\ud800", shown)]


def test_message_of_a_subtest_reaches_the_coordinator(pytestconfig: pytest.Config) -> None:
    report = pytest.SubtestReport._new(failed("1 / 0"), SubtestContext(msg=HALF, kwargs={HALF: HALF}), None, None)
    WorkerOutput(pytestconfig, learned()).pytest_runtest_logreport(report)
    assert report.context.msg == "half \\ud800"
    execnet.dumps(report._to_json()["_subtest.context"])


def test_errors_and_warnings_of_a_file_reach_the_coordinator() -> None:
    report = pytest.CollectReport("suites/x.py", "failed", longrepr=HALF, result=[], sections=[(HALF, HALF)])
    redact_collection(report, learned())
    skipped = pytest.CollectReport("suites/x.py", "skipped", longrepr=("x.py", 1, HALF), result=[])
    redact_collection(skipped, learned())
    execnet.dumps([report.longrepr, report.sections, skipped.longrepr])
    shown = warnings.WarningMessage(UserWarning(HALF), UserWarning, "x.py", 1)
    redact_warning(shown, learned())
    assert str(shown.message) == "half \\ud800"


@pytest.mark.soak
def test_half_characters_of_a_check_with_workers(project: Project) -> None:
    project.add(
        "endpoints",
        """
        import json, warnings, pytest
        half = json.loads('"half \\\\ud800"')
        @pytest.mark.filterwarnings("default")
        def test_x(client, record_property, subtests):
            record_property("a", {half: 1})
            warnings.warn(half)
            with subtests.test(msg=half):
                assert client.get("/health").status_code == 500
        """,
    )
    run = project.run("-n2")
    assert run.result == REJECTED, run.output
    assert "assert 200 == 500" in run.report["reason"]

"""The reports of a run, without secrets, and its terminal output."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.plugins.on_a_terminal import pytest_on_a_terminal
from tests.plugins.project import PROMOTED, REJECTED, Project


class Page(HTMLParser):
    """A parsed page: the resources that a browser would load, and the texts in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self._quiet = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record resources that a browser loads without a click."""
        self.tags.append(tag)
        self._quiet += tag in ("style", "script", "template", "title")
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "link", "source", "embed", "object"):
            self.loads += [value for name in ("src", "href", "data") if (value := given.get(name))]

    def handle_endtag(self, tag: str) -> None:
        """Leave an element whose text is not shown."""
        self._quiet -= tag in ("style", "script", "template", "title")

    def handle_data(self, data: str) -> None:
        """Record text that is shown."""
        if not self._quiet and data.strip():
            self.texts.append(" ".join(data.split()))


WARNS = """
    def test_{n}(client, warn):
        warn("the setting <x> fits nothing; seen: canary-password-1")
        assert client.get("/health").status_code == 200
"""


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_a_warning_of_a_check(project: Project, workers: str) -> None:
    """The warning is shown once beside the verdict and in the report, without secrets, and does not change the verdict."""
    project.add("endpoints", "".join(WARNS.replace("{n}", str(number)) for number in range(2)))
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    warnings = re.findall(r"^ *WARNING  (.*)", run.output, flags=re.MULTILINE)
    # The world names no token_secret.
    assert warnings.pop(0).startswith("auth: not tried: an expired token of session user")
    assert warnings == ["endpoints: the setting <x> fits nothing; seen: [redacted]"]
    assert [line["gate"] for line in run.journal if line["kind"] == "warning"] == ["auth", "endpoints"]
    page = Page((run.folder / "report.html").read_text())
    assert "Warning of endpoints: the setting <x> fits nothing; seen: [redacted]" in page.texts


def test_report_page(project: Project) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    project.suite(
        "zebra",
        """
        def test_it(client, measure):
            measure("p95 <of> all", 12.5, limit=1000, unit="ms", samples=200)
            measure("version", "1.1.0", limit="1.1.0")
            assert client.get("/health").text == "<script>alert('canary')</script><img src=x onerror=alert(1)>"
    """,
    )
    run = project.run()
    assert run.result == PROMOTED, run.output
    html = (run.folder / "report.html").read_text()
    index = (run.folder.parent / "index.html").read_text()
    assert f'<a href="{run.report["deployment_id"]}/report.html">' in index, "the run is in the history at once"
    page = Page(html)
    assert [load for load in page.loads if not load.startswith("data:")] == []
    assert not re.search(r"@import|url\(\s*['\"]?https?:", html)
    assert "<script>alert(" not in html
    assert "onerror=alert" not in "".join(re.findall(r"<[^>]*>", re.sub(r'data-jsonblob="[^"]*"', "", html)))
    sentence = (
        "PROMOTED: telehealth-api:1.1.0 is live on green in test; every required gate passed and the bake saw no harm."
    )
    assert page.texts.index(sentence) < page.texts.index("The facts") < page.texts.index("Gates")
    shown = " | ".join(page.texts)
    assert "bake passed in" in html, "the page must show the state after the bake"
    assert "p95 <of> all: 12.5 ms, limit 1000 ms, 200 samples" in shown
    assert "version: 1.1.0, limit 1.1.0" in shown
    for fact in (run.report["digest"], run.report["deployment_id"], "arn:aws:iam::123456789012:user/tester"):
        assert fact in shown, fact


def test_an_index_that_cannot_be_written_changes_no_exit_code(project: Project) -> None:
    (project.path / "reports" / "index.html").mkdir(parents=True)
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert "index.html was not written: Is a directory" in run.output


def test_reports_have_every_check(project: Project) -> None:
    project.add("load", "def test_fails(client): assert False")
    run = project.run()
    assert run.result == REJECTED, run.output
    checks = ElementTree.parse(run.folder / "junit.xml").findall("testsuite[@name='pytest']/testcase")  # noqa: S314  # our own file
    assert sorted(str(case.get("name")) for case in checks) == ["test_asks"] * 7 + ["test_fails"]
    assert list(run.report) == [
        *("schema_version", "framework_version", "deployment_id", "environment", "target"),
        *("image", "digest", "version", "actor"),
        *("started_at", "finished_at", "exit_code", "recovered", "partial", "verdict", "reason", "live_harmed"),
        *("gates", "steps", "promotion", "rollback", "preflight", "checklist", "compared_with"),
    ]
    assert (run.report["promotion"], run.report["rollback"], run.report["live_harmed"]) == (None, None, False)
    assert run.report["reason"].startswith("load: test_fails: ")
    assert os.readlink(project.path / "reports" / "latest") == run.report["deployment_id"]
    assert not (run.folder / "state.json").exists()


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_a_log_has_one_line_for_each_step(project: Project, workers: str) -> None:
    project.add("live", "def test_fails(client, promoted): assert client.get('/health').status_code == 500")
    run = project.run(workers)
    found = re.findall(r"^(lease|provision|verify|promote|live|bake|rollback|retire) +(.*)$", run.output, re.M)
    assert [name for name, _ in found] == [
        *("lease", "provision", "verify", "promote", "live", "rollback", "rollback", "retire")
    ]
    assert found[4][1].startswith("FAILED: test_fails")
    assert found[5][1].startswith("because of live: test_fails")
    assert "\r" not in run.output
    assert "\x1b" not in run.output
    assert f"report: {run.folder.parent / run.report['deployment_id']}/report.html" in run.output
    assert run.output.rstrip().endswith("exit code 10")


def test_a_terminal_of_80_columns(project: Project) -> None:
    project.add("zebra", "def test_it(client): assert False, 'a long \\x1b[41mstory\\x07 ' * 20")
    project.settings("[gates.zebra]\nrequired = false")
    seen = pytest_on_a_terminal(project.path, "--target=green")
    assert seen.code == 0, seen.last
    assert b"\x07" not in seen.raw, "only this framework's and pytest's own markup may reach the terminal"
    assert b"\x1b[41m" not in seen.raw, "only this framework's and pytest's own markup may reach the terminal"
    text = seen.everything
    ends = [line for line in text if re.match(r"(lease|provision|verify|promote|live|bake) .*\(\d+\.\d s\)$", line)]
    steps = [line.split()[0] for line in ends if line.split()[1] != "gate"]
    assert any(line.startswith("provision  telehealth-api:1.1.0 runs on green") for line in text)
    assert steps == ["lease", "verify", "promote", "live", "bake"]
    assert sum(" gate passed: " in line for line in text) == 8
    zebra = text.index(
        next(line for line in text if line.startswith("zebra      gate FAILED: 1 of 1 checks did not pass"))
    )
    assert "not required: test_it: a long story a" in " ".join(" ".join(text[zebra : zebra + 3]).split())
    assert [line for line in text if line.startswith("suites/") and not line.endswith("AssertionError")] == [], (
        "the gates' lines replace pytest's letters"
    )
    verdict = text.index(next(line for line in text if line.startswith("PROMOTED: ")))
    assert "FAILED zebra: test_it" in "\n".join(text[verdict:])
    assert any("AssertionError: a long story a long story" in line for line in text)


def shown(line: str, columns: int) -> str:
    """Return what a line shows after its carriage returns; a part that is rewritten must fit the terminal's width."""
    screen = ""
    parts = line.split("\r")
    for number, part in enumerate(parts):
        assert number == len(parts) - 1 or len(part) <= columns, f"rewritten, and wider than the terminal: {part!r}"
        screen = part + screen[len(part) :]
    return screen.rstrip()

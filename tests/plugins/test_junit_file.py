"""``junit.xml`` for CI servers: it fails where the run did, and it is valid for the schema that Jenkins uses.

The tables below are the rules of junit-10.xsd of Jenkins' xunit plugin (MIT licence), in our own words:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from deployment.clock import SystemClock
from deployment.evidence import archive, junit
from deployment.evidence.journal import Journal
from deployment.evidence.opening import written_by
from deployment.evidence.sentence import SENTENCES
from deployment.files import replace_file
from tests.plugins.project import PROMOTED, ROLLED_BACK, Project
from verification.redaction.redactor import LearningRedactor

PROBLEM: tuple[set[str], set[str], set[str]] = (set(), {"type", "message"}, set())
TIME = re.compile(r"[0-9,]*(\.[0-9]{0,3})?")
RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": PROBLEM,
    "error": PROBLEM,
    "skipped": PROBLEM,
    "system-out": (set(), set(), set()),
    "system-err": (set(), set(), set()),
}
"""Element -> its required attributes, its further attributes, and the elements in it."""


def problems(element: Element) -> Iterator[str]:
    """Yield what the schema does not allow in this element."""
    required, allowed, children = RULES[element.tag]
    yield from (f"{element.tag} without {name}" for name in required - set(element.attrib))
    yield from (f"{element.tag} with {name}" for name in set(element.attrib) - required - allowed)
    if element.tag.startswith("testsuite") and not TIME.fullmatch(element.get("time", "")):
        yield f"time {element.get('time')}"
    for child in element:
        if child.tag not in children:
            yield f"{child.tag} in {element.tag}"
        else:
            yield from problems(child)


def read(folder: Path) -> Element:
    """Return the file's root; it is valid, and its counts are right."""
    root = ElementTree.parse(folder / "junit.xml").getroot()  # noqa: S314  # our own file
    assert root.tag == "testsuites"
    assert list(problems(root)) == []
    assert [case.attrib for case in root.iter("testcase") if not case.get("name")] == []
    for suite in root.iter("testsuite"):
        for attribute, tag in {"tests": ".", "failures": "failure", "errors": "error", "skipped": "skipped"}.items():
            count = sum(case.find(tag) is not None for case in suite.findall("testcase"))
            assert suite.get(attribute) == str(count), attribute
    return root


def of_the_run(root: Element) -> dict[str, str | None]:
    """Return each step and the verdict with the message of its failure, None if it passed."""
    found = {}
    for case in root.findall("testsuite[@name='deployment']/testcase"):
        failure = case.find("failure")
        found[str(case.get("name"))] = None if failure is None else failure.get("message")
    return found


def test_promotion_passes_in_every_testcase(project: Project) -> None:
    run = project.run()
    assert run.result == PROMOTED, run.output
    root = read(run.folder)
    steps = ("lease", "provision", "verify", "promote", "live", "bake")
    assert of_the_run(root) == {**{f"step {name}": None for name in steps}, "verdict": None}
    assert {suite.get("failures") for suite in root} == {"0"}
    found = {one.get("name"): one.get("value") for one in root.iter("property")}
    named = ("deployment_id", "environment", "target", "image", "digest", "version", "verdict")
    assert {name: found[name] for name in named} == {name: run.report[name] for name in named}


def test_rolled_back_run_fails(project: Project) -> None:
    project.add("live", "def test_it(client, promoted): assert client.get('/health').status_code == 500")
    run = project.run()
    assert run.result == ROLLED_BACK, run.output
    found = of_the_run(read(run.folder))
    assert found["verdict"] == run.report["reason"]
    assert (found["step promote"], found["step rollback"]) == (None, None)
    assert found["step live"] is not None


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_interrupted_run_fails_and_has_no_nameless_testcase(project: Project, workers: str) -> None:
    project.add("auth", "def test_it(client): raise KeyboardInterrupt")
    run = project.run(workers)
    assert run.code == 2, run.output
    root = read(run.folder)
    assert of_the_run(root)["verdict"] == run.report["reason"]
    checks = root.find("testsuite[@name='pytest']")
    assert checks is not None
    assert (checks.get("failures"), checks.get("errors")) == ("0", "0"), "no check has failed"


def test_refused_run_fails(project: Project) -> None:
    run = project.run("--image-tag=9.9.9")
    assert run.code == 4, run.output
    root = read(run.folder)
    assert of_the_run(root) == {"verdict": run.report["reason"]}
    assert {one.get("name"): one.get("value") for one in root.iter("property")}["verdict"] == "refused"


def test_verification_fails_and_its_file_has_no_other_attributes(project: Project) -> None:
    """pytest's older family has ``file`` and ``line``, which the schema does not know."""
    project.add(
        "auth",
        """
        import pytest

        @pytest.fixture
        def breaks():
            yield
            raise ValueError("the teardown")

        def test_it(client, breaks, record_property):
            record_property("seen", "a <b> & c")
            assert False, "the call"

        def test_skips(): pytest.skip("no")
    """,
    )
    run = project.run("-o", "junit_family=xunit1", target=None)
    assert run.code == 1, run.output
    root = read(run.folder)
    assert of_the_run(root) == {"verdict": run.report["reason"]}
    shown = {case.get("name"): case.findtext("system-out") for case in root.iter("testcase")}
    assert "seen: a <b> & c" in str(shown["test_it"])


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_recording_fixtures_of_pytest_change_no_outcome(project: Project, workers: str) -> None:
    project.add(
        "auth",
        """
        import pytest

        def test_it(client, record_property, record_xml_attribute, record_testsuite_property):
            record_property("seen", "a property")
            record_xml_attribute("owner", "an attribute")
            record_testsuite_property("suite", "x")
            assert client.get("/health").status_code == 200

        @pytest.mark.filterwarnings("error")
        def test_strict(client, record_property): test_it(client, record_property, record_property, record_property)
    """,
    )
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    assert "warning" not in run.output
    cases = {case.get("name"): case for case in read(run.folder).iter("testcase")}
    assert "seen: a property" in str(cases["test_it"].findtext("system-out"))
    assert cases["test_it"].get("owner") is None


RECORDED = {
    "an empty name": 'record_xml_attribute("name", "")',
    "another name": 'record_xml_attribute("name", "test_other")',
    "an empty classname": 'record_xml_attribute("classname", "")',
    "a time": 'record_xml_attribute("time", "soon")',
    "no name of XML": 'record_xml_attribute("my own <", None)',
    "control characters": 'record_property("\\0\\x1b[31m", "\\0\\x08")',
    "nothing": 'record_property("", None); record_property(None, "")',
    "half a character": 'record_property("\\ud800", "\\udfff")',
    "a long number": 'record_property("n", 10**5000)',
    "a list that holds itself": 'rows = []; rows.append(rows); record_property("rows", rows)',
    "no text": 'record_property("broken", type("B", (), {"__str__": lambda self: 1 / 0})())',
    "control characters of the suite": 'record_testsuite_property("a\\0b", "\\0")',
    "half a character of the suite": 'record_testsuite_property("\\ud800", "\\udfff")',
}


@pytest.mark.parametrize("family", ["xunit1", pytest.param("xunit2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("recorded", RECORDED)
def test_check_that_records_has_a_testcase(project: Project, recorded: str, family: str) -> None:
    fixtures = "client, record_xml_attribute, record_property, record_testsuite_property"
    body = f'{RECORDED[recorded]}; assert client.get("/health").status_code == 200'
    project.add("auth", f"def test_it({fixtures}): {body}\n")
    run = project.run("-n0", "-o", f"junit_family={family}", target=None)
    assert run.code == 0, run.output
    found = [(case.get("classname"), case.get("name")) for case in read(run.folder).iter("testcase")]
    assert ("suites.auth.test_auth_more", "test_it") in found
    assert len({*found}) == len(found) == 10, found


def test_check_that_is_interrupted_does_not_pass_by_a_name_of_its_own(project: Project) -> None:
    source = 'def test_it(client, record_xml_attribute): record_xml_attribute("name", "own"); raise KeyboardInterrupt\n'
    project.add("auth", source)
    run = project.run("-n0", target=None)
    assert run.code == 2, run.output
    assert "own" not in [case.get("name") for case in read(run.folder).iter("testcase")]


@pytest.mark.parametrize("written", [None, "", "<testsuites><testsuite", "<testsuites/>"], ids=str)
def test_recovered_run_has_steps_and_verdict(tmp_path: Path, written: str | None) -> None:
    """A killed run leaves no file or a torn one; control characters, markup and secrets do not spoil it."""
    journal = Journal(
        tmp_path / "audit.jsonl", "tester", SystemClock(), lambda text: text.replace("canary<&", "[redacted]")
    )
    journal.append("opened", deployment_id="one", mode="deploy", started_at="2026-11-22T12:00:00+00:00", **written_by())
    journal.append("intent", step="provision")
    if written is not None:
        (tmp_path / "junit.xml").write_text(written)
    closed = {"verdict": "rejected", "exit_code": None, "finished_at": "2026-11-22T12:00:01.5+00:00"}
    said: list[str] = []
    for _ in range(2):  # a halted deployment can be closed twice
        archive.close(
            journal,
            tmp_path,
            [("closed", closed | {"reason": "provision: \x1b[41m<died> & canary<&"})],
            say=said.append,
        )
    assert of_the_run(read(tmp_path)) == {
        "step provision": "it did not complete",
        "verdict": "provision: �[41m<died> & [redacted]",
    }
    assert said == []


def closed_with(folder: Path, verdict: str, written: str | None = None) -> Element:
    """Close a run with this verdict, in whose folder pytest wrote this file; return the root of the finished file."""
    clean = LearningRedactor({})
    clean.learn("canary<&1234")
    journal = Journal(folder / "audit.jsonl", "tester", SystemClock(), clean.clean)
    journal.append("opened", deployment_id="one", mode="deploy", started_at="2026-11-22T12:00:00+00:00", **written_by())
    if written is not None:
        (folder / "junit.xml").write_text(written)
    closing = {"verdict": verdict, "exit_code": 1, "reason": "load: slow", "finished_at": "2026-11-22T12:00:01+00:00"}
    archive.close(journal, folder, [("closed", closing)])
    return read(folder)


@pytest.mark.parametrize("verdict", SENTENCES)
def test_only_a_verdict_that_is_good_passes(tmp_path: Path, verdict: str) -> None:
    root = closed_with(tmp_path, verdict)
    assert of_the_run(root) == {"verdict": None if verdict in ("promoted", "verified") else "load: slow"}
    found = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert found["verdict"] == verdict


def test_failed_check_without_a_name_is_kept(tmp_path: Path) -> None:
    """A check can give its testcase any name by ``record_xml_attribute``."""
    case = '<testcase classname="suites.auth" name="" time="0.1"><failure message="no">no</failure></testcase>'
    root = closed_with(tmp_path, "rejected", f'<testsuite name="pytest" tests="1">{case}</testsuite>')
    [kept] = [one for one in root.iter("testcase") if one.get("classname") == "suites.auth"]
    assert kept.get("name") == "a check without a name"


def test_suite_of_pytest_may_have_the_name_of_the_runs(tmp_path: Path) -> None:
    """``junit_suite_name`` in pytest.ini decides the name; a file that is completed twice has the run's suite once."""
    written = '<testsuite name="deployment" tests="1"><testcase classname="suites.auth" name="test_a" time="0.1"/></testsuite>'
    for _ in range(2):
        folder = tmp_path / "run"
        root = closed_with(folder, "rejected", written)
        written = (folder / "junit.xml").read_text()
        assert [one.get("name") for one in root.iter("testcase")].count("test_a") == 1
        assert [one.get("name") for one in root.iter("testcase")].count("verdict") == 1
        shutil.rmtree(folder)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("broken")])
def test_file_that_cannot_be_completed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What pytest wrote is green, also after a rollback; neither it nor a copy of it is left."""
    mine = tmp_path / "mine.xml"

    def full(path: Path, text: str) -> None:
        if path.name == "junit.xml":
            raise error
        replace_file(path, text)

    monkeypatch.setattr(archive, "replace_file", full)
    mine.write_text("<testsuites/>")
    written = '<testsuite name="pytest" tests="1"><testcase classname="a" name="test_a" time="1"/></testsuite>'
    with pytest.raises(FileNotFoundError):
        closed_with(tmp_path / "run", "rolled_back", written)
    assert junit.copy_file(tmp_path / "run", mine) is not None
    assert not mine.exists()


BY_PYTEST = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="3" failures="3" skipped="3" tests="9" time="1.000" xdist="2">
<testcase classname="suites.auth" name="test_a" time="0.1" file="a.py"><failure message="canary&lt;&amp;1234 is wrong">no</failure></testcase>
<testcase {name}time="0.1" />
<testcase classname="suites.auth" name="test_b" time="0.1"><properties><property name="seen" value="x"/></properties></testcase>
</testsuite></testsuites>
"""


@pytest.mark.parametrize("name", ["", 'name="" ', 'classname="suites.auth" '])
def test_file_of_pytest_becomes_valid_and_loses_its_testcases_without_a_name(tmp_path: Path, name: str) -> None:
    """No secret stays, although XML escapes its characters."""
    root = closed_with(tmp_path, "rejected", BY_PYTEST.replace("{name}", name))
    suite = root.find("testsuite[@name='pytest']")
    assert suite is not None
    assert [case.get("name") for case in suite.iter("testcase")] == ["test_a", "test_b"]
    assert [one.get("message") for one in suite.iter("failure")] == ["[redacted] is wrong"]
    assert suite.findtext("testcase[@name='test_b']/system-out") == "seen: x"


def test_error_of_the_file_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("what")

    monkeypatch.setattr(junit, "build", broken)
    journal = Journal(tmp_path / "audit.jsonl", "tester", SystemClock())
    journal.append("opened", deployment_id="one", mode="deploy", **written_by())
    said: list[str] = []
    archive.close(journal, tmp_path, [("closed", {"verdict": "rejected"})], say=said.append)
    assert said == ["junit.xml was not completed: KeyError: 'what'"]
    assert (tmp_path / "verification.json").exists()


@pytest.mark.parametrize(
    ("option", "place", "image", "code"),
    [("--junitxml=mine.xml", "mine.xml", "1.1.0", 0), ("--junit-xml=$OUT/ci/mine.xml", "out/ci/mine.xml", "9.9.9", 4)],
)
def test_finished_file_is_also_where_junitxml_asks(
    project: Project, monkeypatch: pytest.MonkeyPatch, option: str, place: str, image: str, code: int
) -> None:
    """CI shows the file that it named: with the verdict, also of a refused run, and never an older one."""
    monkeypatch.setenv("OUT", str(project.path / "out"))
    (project.path / "mine.xml").write_text("<testsuites><testsuite name='old'/></testsuites>")
    run = project.run(option, f"--image-tag={image}")
    assert run.code == code, run.output
    assert (project.path / place).read_bytes() == (run.folder / "junit.xml").read_bytes()
    assert "verdict" in of_the_run(read(run.folder))


@pytest.fixture
def closed_run(tmp_path: Path) -> Path:
    """The folder of a run that is closed, beside one of an earlier run."""
    folder = tmp_path / "reports" / "new"
    folder.mkdir(parents=True)
    (folder / "junit.xml").write_text("<testsuites/>")
    (folder / "verification.json").write_text("{}")
    (tmp_path / "reports" / "old").mkdir()
    (tmp_path / "reports" / "old" / "junit.xml").write_text("<old/>")
    (tmp_path / "reports" / "old" / "audit.jsonl").touch()
    (tmp_path / "reports" / "latest").symlink_to("new")
    return folder


def test_copy_changes_no_other_report_and_no_device(closed_run: Path) -> None:
    reports = closed_run.parent
    assert "takes no other files" in str(junit.copy_file(closed_run, reports / "old" / "junit.xml"))
    assert (reports / "old" / "junit.xml").read_text() == "<old/>"
    assert junit.copy_file(closed_run, reports / "latest" / "junit.xml") is None
    assert (closed_run / "junit.xml").read_text() == "<testsuites/>"
    assert junit.copy_file(closed_run, reports / "ci.xml") is None, "a CI server may collect this folder"
    assert junit.copy_file(closed_run, Path(os.devnull)) == "it is not a regular file"


@pytest.mark.parametrize("missing", ["junit.xml", "verification.json"])
def test_without_a_copy_an_older_file_does_not_stay(closed_run: Path, tmp_path: Path, missing: str) -> None:
    """Without the report the file may still contain secrets, so it is not copied either."""
    (closed_run / missing).unlink()
    mine = tmp_path / "mine.xml"
    mine.write_text("<old/>")
    assert junit.copy_file(closed_run, mine)
    assert not mine.exists()


def test_place_that_cannot_be_written_changes_no_exit_code(project: Project) -> None:
    (project.path / "taken").write_text("a file, not a folder")
    run = project.run("--junitxml=taken/mine.xml")
    assert run.result == PROMOTED, run.output
    assert "taken/mine.xml was not written (" in run.output
    assert "--junitxml=" in run.output


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        (["--target=green", "-p", "no:terminal"], False),
        pytest.param(["--target=green", "--reports=pytest.ini"], False, marks=pytest.mark.soak),
        (["--target=green", "-p", "no:deployment-run"], False),
        (["-p", "no:deployment-run", "--collect-only"], True),
    ],
    ids=["no terminal", "no folder", "no plugin", "no run"],
)
def test_older_copy_is_removed_if_the_command_line_is_refused(project: Project, given: list[str], stays: bool) -> None:
    """A CI system would read it as the result of the run that was refused."""
    older = project.path / "older.xml"
    older.write_text("<testsuites/>")
    run = project.run(*given, "--junitxml=older.xml", target=None)
    assert run.code == (0 if stays else 4), run.output
    assert older.exists() == stays


def test_evidence_of_another_run_is_never_removed(project: Project) -> None:
    kept = project.path / "reports" / "earlier" / "junit.xml"
    kept.parent.mkdir(parents=True)
    kept.write_text("<testsuites/>")
    (kept.parent / "audit.jsonl").write_text("")
    run = project.run("-p", "no:terminal", f"--junitxml={kept}")
    assert run.code == 4, run.output
    assert kept.read_text() == "<testsuites/>"

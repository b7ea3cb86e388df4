"""``junit.xml``: the checks as pytest wrote them, then a testcase for each step and one for the verdict.

The file is valid for the schema of Jenkins' xunit plugin (junit-10.xsd), which knows fewer attributes than pytest writes:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, parse, tostring

from deployment.evidence import report
from deployment.evidence.journal import JOURNAL_FILE, Record, last_data
from deployment.evidence.sentence import live_after, live_before, sentence
from deployment.files import problem_of, replace_file

JUNIT_FILE = "junit.xml"
MODES = ("deploy", "verify", None)
"""The modes of runs that have such a file; a journal that was begun from the lease item names no mode."""

SUITE = "deployment"
PROPERTIES = ("deployment_id", "environment", "target", "image", "digest", "version", "verdict", "reason", "exit_code")
CASE_ATTRIBUTES = ("classname", "name", "time")
SUITE_ATTRIBUTES = ("name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname")
NOT_PASSED = {"failure": "failures", "error": "errors", "skipped": "skipped"}
"""The elements of a testcase that did not pass, and the attributes of a suite that count them."""
UNNAMED = "a check without a name"
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def build(records: Sequence[Record], checks: Path, clean: Callable[[str], str] = str) -> str:
    """Return the file's text, from a closed journal and the file that pytest wrote, if there is one and it is whole.

    ``clean`` removes secrets from each text before it is escaped.
    """
    root = Element("testsuites", name="deployment")
    root.extend(_of_pytest(checks))
    root.append(_of_the_run(records))
    for element in root.iter():
        element.text = element.text and in_xml(clean(element.text))
        element.attrib.update({name: in_xml(clean(value)) for name, value in element.attrib.items()})
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def copy_file(folder: Path, target: Path) -> str | None:
    """Copy the finished file of the run in ``folder`` to ``target``, an absolute path; return why it was not copied, or None.

    The evidence of other runs is never changed. If there is no copy, an older file at ``target``
    is removed: a CI server would read it as the result of this run.
    """
    try:
        target = target.resolve()
        if target == (folder / JUNIT_FILE).resolve():
            return None
        if (target.parent / JOURNAL_FILE).exists():
            return "the folder of a run takes no other files"
        if target.exists() and not target.is_file():
            return "it is not a regular file"
        if not (folder / report.REPORT_FILE).exists():  # secrets are removed before the report is written
            target.unlink(missing_ok=True)
            return "the report was not written"
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, (folder / JUNIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        with suppress(OSError, ValueError, RuntimeError):
            target.unlink(missing_ok=True)
        return problem_of(error)
    return None


def in_xml(text: str) -> str:
    """Return the text without the characters that XML cannot contain."""
    return NOT_IN_XML.sub("�", text)


# -- the checks --------------------------------------------------------------------------------------------------------


def _of_pytest(path: Path) -> list[Element]:
    """Return the suites that pytest wrote, as the schema wants them; none if the file is missing or incomplete."""
    try:
        written = parse(path).getroot()  # noqa: S314  # pytest wrote this file, in this run
    except (OSError, ParseError):
        return []
    suites = [suite for suite in written.iter("testsuite") if not _is_of_the_run(suite)]
    for suite in suites:
        for case in suite.findall("testcase"):
            if case.get("name") or any(case.find(tag) is not None for tag in NOT_PASSED):
                case.set("name", case.get("name") or UNNAMED)  # a check can give its testcase any name
                _adapt(case)
            else:
                suite.remove(case)  # pytest opens a testcase for a check that was interrupted before it had run
        for name in [name for name in suite.attrib if name not in SUITE_ATTRIBUTES]:
            del suite.attrib[name]
        _count(suite)
    return suites


def _is_of_the_run(suite: Element) -> bool:
    """Return whether this suite is that of the run, from an earlier time: the file is completed again after a recovery."""
    return any(one.get("name") == PROPERTIES[0] for one in suite.iterfind("properties/property"))


def _adapt(case: Element) -> None:
    """Keep the attributes that the schema knows, and write the properties, which it does not allow here, as output."""
    for name in [name for name in case.attrib if name not in CASE_ATTRIBUTES]:
        del case.attrib[name]
    for properties in case.findall("properties"):
        case.remove(properties)
        lines = [f"{one.get('name')}: {one.get('value')}" for one in properties]
        SubElement(case, "system-out").text = "\n".join(lines)


def _count(suite: Element) -> None:
    """Write how many testcases a suite has, and how many failed."""
    cases = suite.findall("testcase")
    counts = {name: sum(case.find(tag) is not None for case in cases) for tag, name in NOT_PASSED.items()}
    suite.attrib.update({"tests": str(len(cases))} | {name: str(count) for name, count in counts.items()})


# -- the run -----------------------------------------------------------------------------------------------------------


def _of_the_run(records: Sequence[Record]) -> Element:
    """Return the suite of the run: its properties, its steps and its verdict."""
    built = report.build(records)
    seconds = _between(str(built["started_at"]), str(built["finished_at"]))
    suite = Element("testsuite", name=SUITE, time=f"{seconds:.3f}")
    opened = last_data(records, "opened")
    for name, value in {"timestamp": built["started_at"], "hostname": opened.get("host")}.items():
        if value:
            suite.set(name, str(value))
    properties = SubElement(suite, "properties")
    for name in PROPERTIES:
        SubElement(properties, "property", name=name, value="" if built[name] is None else str(built[name]))
    details = {record.data.get("step"): record.data.get("detail") for record in records if record.kind == "outcome"}
    for step in built["steps"]:
        problem = str(details.get(step["name"]) or "it did not complete")
        failed = None if step["outcome"] == "passed" else (step["outcome"], problem)
        _case(suite, f"step {step['name']}", step["duration_s"], failed)
    _case(suite, "verdict", seconds, None if built["verdict"] in report.GOOD else _verdict(built, records))
    _count(suite)
    return suite


def _verdict(built: Mapping[str, Any], records: Sequence[Record]) -> tuple[str, str]:
    """Return the verdict that fails the testcase, and the sentence about it with its reason."""
    live = live_after(built, live_before(records), None, records)
    parts: Iterable[str | None] = (sentence(built, live, records), built["reason"])
    return str(built["verdict"]), "\n".join(part for part in parts if part)


def _case(suite: Element, name: str, seconds: float, problem: tuple[str, str] | None) -> None:
    case = SubElement(suite, "testcase", classname=SUITE, name=name, time=f"{seconds:.3f}")
    if problem is not None:
        kind, text = problem
        failure = SubElement(case, "failure", type=kind, message=text.splitlines()[-1])
        failure.text = text


def _between(start: str, end: str) -> float:
    """Return the seconds between two ISO times, 0 if one of them is missing."""
    try:
        return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    except ValueError:
        return 0.0

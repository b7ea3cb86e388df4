"""The history of checks comes from the reports alone; a report that cannot be read is left out and named."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from verification import history

SUITE = '<testsuites><testsuite><testcase classname="suites.a.test_x" name="test_y" time="{time}">{more}</testcase></testsuite></testsuites>'
NODE = "suites/a/test_x.py::test_y"


def report(reports: Path, name: str, digest: str | None = "sha256:one", *, failed: bool = False) -> Path:
    folder = reports / name
    folder.mkdir(parents=True)
    (folder / "verification.json").write_text(json.dumps({"digest": digest, "started_at": name}))
    (folder / "junit.xml").write_text(SUITE.format(time=1, more="<failure/>" if failed else ""))
    return folder


def of(reports: Path) -> history.History:
    found = history.read(reports).of(NODE)
    assert found is not None
    return found


def test_a_failure_that_a_pass_of_the_same_release_follows_is_chance(tmp_path: Path) -> None:
    for number, (digest, failed) in enumerate(
        [("one", False), ("one", True), ("one", False), ("two", True), ("two", False), ("bad", False), ("bad", True)]
    ):
        report(tmp_path, f"run-{number}", f"sha256:{digest}", failed=failed)
    report(tmp_path, "run-8", None, failed=True)  # an address without a digest
    found = of(tmp_path)
    assert (found.runs, found.passed, found.flaky) == (8, 4, 3)
    assert (found.chance_failures, found.chance_runs) == (2, 5)
    assert found.chance_data() == {"failed": 2, "runs": 5, "low": 0.0527, "high": 0.8534}  # R: binom.test(2, 5)
    assert found.odds == "by chance 40.0% (5.3% to 85.3%)"


CASES = '<testcase classname="suites.a.test_x" name="{name}" time="1">{more}</testcase>'


def several(reports: Path, name: str, digest: str, failed: str) -> None:
    """Write a report of the checks ``test_a`` to ``test_d``, of which those in ``failed`` failed."""
    folder = report(reports, name, digest)
    cases = (CASES.format(name=f"test_{one}", more="<failure/>" if one in failed else "") for one in "abcd")
    (folder / "junit.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")


def test_flakiest_checks_are_those_that_fail_by_chance_most_often(tmp_path: Path) -> None:
    """``test_c`` failed for a release and never passed for it: that is no chance. ``test_d`` has never failed."""
    for number, failed in enumerate(("b", "ab", "b", "")):
        several(tmp_path, f"run-{number}", "sha256:one", failed)
    several(tmp_path, "run-5", "sha256:two", "c")
    found = history.flakiest(history.read(tmp_path, flaky=True), 10)
    assert [(name, one.chance_failures, one.chance_runs) for name, one in found] == [
        ("suites.a.test_x::test_b", 3, 5),
        ("suites.a.test_x::test_a", 1, 5),
    ]
    everything = history.read(tmp_path)
    assert found == history.flakiest(everything, 10)
    assert history.flakiest(everything, 1) == found[:1]
    assert len(everything.checks) == 4


def test_without_a_pass_nothing_is_known_of_chance(tmp_path: Path) -> None:
    report(tmp_path, "run-1", failed=True)
    found = of(tmp_path)
    assert (found.chance_data(), found.odds, found.flaky) == (None, "by chance: unknown", 0)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("verification.json", b"{", "verification.json is not JSON"),
        ("verification.json", b"[" * 100_000, "verification.json is not JSON"),
        ("verification.json", b"\xff\xfe\x00", "verification.json is not JSON"),
        ("verification.json", b"[]", "verification.json is not an object"),
        ("verification.json", b"{}", "verification.json: started_at is missing"),
        ("verification.json", b'{"started_at": 7}', "verification.json: started_at is not a text"),
        ("verification.json", b'{"started_at": "a", "digest": {"a": 1}}', "verification.json: digest is not a text"),
        ("verification.json", b'{"started_at": "a", "digest": "\\ud800"}', "verification.json: digest is not a text"),
        ("junit.xml", b"<testsuites>", "junit.xml is not XML"),
        ("junit.xml", b'<?xml version="1.0" encoding="no-such"?><a/>', "junit.xml is not XML"),
        (
            "junit.xml",
            SUITE.format(time="nan", more="").encode(),
            "junit.xml: the time of suites.a.test_x::test_y is not",
        ),
        (
            "junit.xml",
            SUITE.format(time="soon", more="").encode(),
            "junit.xml: the time of suites.a.test_x::test_y is not",
        ),
        ("junit.xml", None, "junit.xml is not a file"),
    ],
)
def test_a_broken_report_is_left_out_and_named(tmp_path: Path, file: str, content: bytes | None, why: str) -> None:
    report(tmp_path, "run-1")
    path = report(tmp_path, "run-2", failed=True) / file
    path.unlink()
    if content is None:
        os.mkfifo(path)  # opening it would wait forever
    else:
        path.write_bytes(content)
    for _ in range(2):  # read, then from the cache
        found = history.read(tmp_path)
        assert list(found.broken) == ["run-2"]
        assert found.broken["run-2"].startswith(why)
        assert (of(tmp_path).runs, of(tmp_path).passed) == (1, 1)


def test_a_run_that_has_not_ended_is_not_broken(tmp_path: Path) -> None:
    report(tmp_path, "run-1")
    (tmp_path / "run-2").mkdir()
    (report(tmp_path, "run-3") / "junit.xml").unlink()  # a rollback has no checks
    assert history.read(tmp_path).broken == {}
    assert of(tmp_path).runs == 1


def test_a_cache_that_is_in_use_is_not_deleted(tmp_path: Path) -> None:
    report(tmp_path, "run-1")
    history.read(tmp_path)
    report(tmp_path, "run-2")
    other = sqlite3.connect(tmp_path / history.FILE)
    other.execute("BEGIN EXCLUSIVE")
    assert of(tmp_path).runs == 2
    other.rollback()
    other.close()
    assert (tmp_path / history.FILE).is_file()
    assert of(tmp_path).runs == 2


def test_only_new_and_changed_reports_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        report(tmp_path, f"run-{number}")
    history.read(tmp_path)
    seen: list[str] = []
    real = history._report

    def noted(folder: Path, head: Mapping[str, Any] | None) -> Any:
        seen.append(folder.name)
        return real(folder, head)

    monkeypatch.setattr(history, "_report", noted)
    report(tmp_path, "run-3")
    (tmp_path / "run-1" / "junit.xml").write_text(SUITE.format(time=2, more="<error/>"))
    assert (of(tmp_path).runs, of(tmp_path).passed) == (4, 3)
    assert sorted(seen) == ["run-1", "run-3"]


def test_a_report_that_the_caller_has_read_is_read_again_only_if_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [report(tmp_path, f"run-{number}", "sha256:one") / "verification.json" for number in range(3)]
    seen = {file.parent.name: (file.stat(), json.loads(file.read_bytes())) for file in files}
    files[1].write_text(json.dumps({"digest": "sha256:another", "started_at": "run-1"}))
    report(tmp_path, "run-3", "sha256:three")
    read: list[str] = []
    real = history._content

    def noted(file: Path) -> bytes:
        read.append(f"{file.parent.name}/{file.name}")
        return real(file)

    monkeypatch.setattr(history, "_content", noted)
    found = history.read(tmp_path, seen=seen).of(NODE)
    assert found is not None
    assert found.releases == {"sha256:one": (2, 2), "sha256:another": (1, 1), "sha256:three": (1, 1)}
    reread = {name for name in read if name.endswith("verification.json")}
    assert reread == {"run-1/verification.json", "run-3/verification.json"}


@pytest.mark.parametrize("head", [{"digest": 7, "started_at": "a"}, {"digest": None, "started_at": None}])
def test_a_wrong_field_of_a_report_that_the_caller_has_read_is_named(tmp_path: Path, head: dict[str, Any]) -> None:
    file = report(tmp_path, "run-1") / "verification.json"
    assert list(history.read(tmp_path, seen={"run-1": (file.stat(), head)}).broken) == ["run-1"]


@pytest.mark.parametrize("flaky", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        "numbers = x'0000'",
        "seconds = x''",
        "numbers = 'text'",
        "failed = x'FFFFFFFF'",
    ],
)
def test_a_cache_with_a_damaged_row_is_made_anew(tmp_path: Path, damage: str, flaky: bool) -> None:
    report(tmp_path, "run-1", failed=True)
    report(tmp_path, "run-2")
    whole = history.read(tmp_path, flaky=flaky)
    database = sqlite3.connect(tmp_path / history.FILE)
    database.execute(f"UPDATE runs SET {damage} WHERE id = 'run-1'")  # noqa: S608 - a text of this test
    database.commit()
    database.close()
    for _ in range(2):
        assert history.read(tmp_path, flaky=flaky) == whole


def test_a_check_that_a_run_has_twice_counts_twice(tmp_path: Path) -> None:
    folder = report(tmp_path, "run-1")
    cases = CASES.format(name="test_y", more="<failure/>") + CASES.format(name="test_y", more="")
    (folder / "junit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    for flaky in (False, True):
        found = history.read(tmp_path, flaky=flaky).of(NODE)
        assert found is not None
        assert (found.runs, found.passed, found.flaky) == (2, 1, 1)


def test_the_first_run_writes_no_cache(tmp_path: Path) -> None:
    report(tmp_path, "run-1")
    assert history.read(tmp_path, besides="run-1") == history.Histories()
    assert not (tmp_path / history.FILE).exists()
    assert history.read(tmp_path / "none") == history.Histories()

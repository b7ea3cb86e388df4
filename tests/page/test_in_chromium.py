"""The page of every outcome in a real browser: readable for everybody, on a phone, in the dark and on paper, and correct."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deployment.evidence.data import content
from plugins.page.view import duration
from tests.page import browser, runs

pytestmark = pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing()))

CHECKS = 10_000
MOST_BYTES, MOST_ELEMENTS = 8_000_000, 15_000
MOST_PAGES = 6
"""The most pages of a usual deployment's PDF before its list of checks."""
SCREEN = 800
FULL = ("promoted", "rolled_back", "refused")
"""The pages whose elements axe-core examines in each `make test`; the others have the same kinds of elements."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Build every run once."""
    base = tmp_path_factory.mktemp("reports")
    return {name: build(base / f"{number:06x}") for number, (name, build) in enumerate(runs.RUNS.items())}


@pytest.fixture(scope="module")
def seen(folders: Mapping[str, Path], request: pytest.FixtureRequest) -> Mapping[str, dict[str, Any]]:
    """Open every page in one browser."""
    soak = request.config.getoption("--soak")
    looks = [
        browser.Look(
            name,
            (folder / "report.html").as_uri(),
            axe=bool(soak) or name in FULL,
            pdf=str(folder / "page.pdf") if name == "promoted" or (soak and name == "many") else None,
            search="case 9867 " if name == "many" else None,
        )
        for name, folder in folders.items()
    ]
    return browser.look(*looks)


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "verification.json").read_text())
    return report


every_page = pytest.mark.parametrize("name", runs.RUNS)


@every_page
def test_nothing_is_loaded_and_nothing_goes_wrong(
    name: str, seen: Mapping[str, dict[str, Any]], folders: Mapping[str, Path]
) -> None:
    assert seen[name]["requests"] == [(folders[name] / "report.html").as_uri()]
    assert seen[name]["messages"] == []


@every_page
def test_nothing_is_wider_than_a_phone(name: str, seen: Mapping[str, dict[str, Any]]) -> None:
    assert seen[name]["wider"] == {"page": 360, "elements": []}


@every_page
def test_everybody_can_read_it(name: str, seen: Mapping[str, dict[str, Any]]) -> None:
    page = seen[name]
    if "light" not in page:
        pytest.skip("only `make soak` examines this page")
    assert page["light"] == []
    assert page["dark_paper"] == "rgb(20, 24, 28)"
    assert page["dark"] == []


@every_page
def test_headings_and_links_are_in_order(name: str, seen: Mapping[str, dict[str, Any]]) -> None:
    page = seen[name]
    levels = page["headings"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert len(page["ids"]) == len(set(page["ids"]))
    assert [link for link in page["links"] if link.removeprefix("#") not in page["ids"]] == []


@every_page
def test_the_first_screen_has_the_answers(
    name: str, seen: Mapping[str, dict[str, Any]], folders: Mapping[str, Path]
) -> None:
    page, report, data = seen[name], report_of(folders[name]), content.read(folders[name])
    facts = page["facts"]
    assert page["first_screen"] <= SCREEN
    assert page["open"] == 0
    cut_short = name in ("interrupted", "recovered")  # nothing was wrong with their release
    word = "INTERRUPTED" if cut_short else report["verdict"].upper().replace("_", " ")
    assert page["title"].startswith(f"{word}: ")
    assert page["title"].endswith(("No check had failed.", "No failed check was recorded.")) == cut_short
    for text in (report["reason"], *data["remedies"]):
        assert (text or "").replace("`", "") in page["header"]
    assert facts["Digest"] == (report["digest"] or "none: no release was chosen")
    assert report["deployment_id"] in facts["Deployment"]
    assert report["exit_code"] is None or f"exit code {report['exit_code']}" in facts["Deployment"]
    assert facts["Who"].startswith(report["actor"])
    assert facts["Began"].startswith(report["started_at"][:19].replace("T", " "))
    assert facts["Where"].startswith(report["environment"])
    unknown = {
        "refused": "the same release as before; the run did not ask, and touched nothing",
        "rollback_failed": "unknown; last switched to green",
    }
    assert facts["Live now"] == (data["live"] or unknown[report["verdict"]])
    assert bool(page["steps"]) == bool(report["steps"])
    for step in report["steps"]:
        outcome = "interrupted" if cut_short and step["outcome"] == "failed" else step["outcome"]
        assert f"{step['name']} {outcome} in {duration(step['duration_s'])}" in page["steps"]


@every_page
def test_numbers_are_those_of_the_report(
    name: str, seen: Mapping[str, dict[str, Any]], folders: Mapping[str, Path]
) -> None:
    page, report, data = seen[name], report_of(folders[name]), content.read(folders[name])
    ran = [gate for gate in data["gates"] if gate["outcome"] != "not_run"]
    assert len(page["gates"]) == (len(data["gates"]) if ran else 0)
    for gate, text in zip(report["gates"] if ran else (), page["gates"], strict=False):
        numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+(?= of)|(?<=of )[\d,]+", text)]
        count = gate["failed"] or gate["ran"]
        assert text.startswith(gate["name"])
        assert numbers == ([count, gate["checks"]] if gate["checks"] else [])
    outcomes = dict(Counter(check["outcome"] for check in data["checks"]))
    assert page["outcomes"] == outcomes
    bad = sum(outcomes.get(word, 0) for word in ("failed", "error", "inconclusive"))
    assert bad == sum(gate["failed"] for gate in ran)
    same = {(check["gate"], check["message"]) for check in data["checks"] if check["outcome"] == "failed"}
    assert len(page["failures"]) == min(len(same), 50)
    moves = [(word, report[word]) for word in ("promotion", "rollback") if report[word]]
    assert [row[:4] for row in page["moves"]] == [
        [word.capitalize(), str(move["requests"]), str(move["failed"]), str(move["switch_s"])] for word, move in moves
    ]
    assert page["pictures"] == (len(data["series"].keys() - {"failed_requests"}) + 1 if data["series"] else 0)
    listed = data["series"].get("failed_requests", {"first": []})["first"]
    assert [row[1:] for row in page["failed_requests"]] == [
        [one["operation"], one["connection"], one["colour"], one["problem"]] for one in listed
    ]
    if watched := data["series"].get("availability"):
        failed = sum(second[2] for second in watched["seconds"])
        assert page["facts"]["Users"].startswith(f"{failed:,} of ")


def test_waived_absent_and_advisory_gates_are_on_the_first_screen(seen: Mapping[str, dict[str, Any]]) -> None:
    notes = seen["promoted"]["notes"]
    assert notes[:2] == [f"Gate load was waived: {runs.WAIVER}", f"Gate redis is absent: {runs.NO_REDIS}"]
    assert notes[2].startswith("Advisory: gate rehearsal is not required and did not pass (1 of 8 checks)")
    assert {"load 1 of 8 failed, waived", "rehearsal 1 of 8 failed, advisory", "redis absent"} <= set(
        seen["promoted"]["gates"]
    )


def test_the_difference_to_the_last_time(seen: Mapping[str, dict[str, Any]]) -> None:
    assert seen["promoted"]["facts"]["Live before"] == "blue, version 1.0.0"
    assert seen["promoted"]["facts"]["Comparison"] == (
        "with the 214 checks of 20261122-081500-blue-77aa01: 1 of them is gone"
    )
    assert seen["undone"]["facts"]["Live now"] == "telehealth-api:1.0.0 on blue"
    assert seen["undone"]["facts"]["Live before"] == "green, telehealth-api:1.1.0"
    assert seen["verified"]["facts"]["Live now"] == "telehealth-api:1.1.0 on green"
    assert "Live before" not in seen["refused"]["facts"]


def test_a_failure_shows_what_was_asked_and_how_to_see_it_again(seen: Mapping[str, dict[str, Any]]) -> None:
    failure = seen["rejected"]["failures"][0]
    assert failure["message"].startswith("latency: budgets (listConsults): GET /consults: p95 612.4 ms, limit 500 ms")
    assert failure["message"].endswith(" …")
    assert failure["values"] == ["p95: 612.4 ms, limit 500 ms, 60 samples"]
    assert failure["exchanges"] == [
        ["GET /consults?limit=500", "500", "12.3 ms"],
        ["GET /health", "ReadTimeout: no answer within 5 s", "5000.0 ms"],
    ]
    name = "suites/service.yaml::latency::case 0 of GET /consults answers as the contract says"
    assert failure["commands"] == [runs.CURL, f"pytest --base-url=URL '{name}'"]


def test_failures_with_one_message_are_one_entry(seen: Mapping[str, dict[str, Any]]) -> None:
    (failure,) = seen["many"]["failures"]
    assert failure["message"] == "GET /consults?limit=500: status 500, expected 422"
    assert "119 more checks failed with the same message" in failure["text"]


def test_what_a_reader_wants_to_know_is_on_the_first_screen(seen: Mapping[str, dict[str, Any]]) -> None:
    promoted, recovered = seen["promoted"]["facts"], seen["recovered"]["facts"]
    assert promoted["Left out"] == "waived: load; absent: redis; advisory: rehearsal; preflight could not check: scan"
    assert promoted["Began"].endswith("took 3 min 37 s, live 2 min 29 s after its start")
    assert "audit verify 20261129-040000-green-" in promoted["Signature"]
    assert "nobody counted in the last 6 min 45 s" in recovered["Users"]


def test_a_refused_run_shows_what_was_asked_for(seen: Mapping[str, dict[str, Any]]) -> None:
    page = seen["refused"]
    assert page["facts"]["Asked for"] == "pytest --target=auto --image-tag 1.1.0"
    assert "Push the image, or choose one of 1.0.0" in page["header"]
    assert page["gates"] == []


def test_ten_thousand_checks(seen: Mapping[str, dict[str, Any]], folders: Mapping[str, Path]) -> None:
    page = seen["many"]
    assert sum(page["outcomes"].values()) == CHECKS
    assert (folders["many"] / "report.html").stat().st_size <= MOST_BYTES
    assert (folders["many"] / "data.json").stat().st_size <= MOST_BYTES
    assert page["elements"] <= MOST_ELEMENTS
    assert page["searched"]["shown"] == 1
    assert page["searched"]["says"] == "1 check"
    assert page["opened"] == ["gate-health"], "a click on a gate of the strip opens its checks"


def pages_of(file: Path) -> list[str]:
    """Return the text of each page of a PDF without white space: a name may be on two lines."""
    pypdf = pytest.importorskip("pypdf")
    pages = pypdf.PdfReader(file).pages
    return ["".join(unicodedata.normalize("NFKC", page.extract_text()).split()) for page in pages]


@pytest.mark.parametrize("name", ["promoted", pytest.param("many", marks=pytest.mark.soak)])
def test_the_pdf_is_complete(name: str, seen: Mapping[str, dict[str, Any]], folders: Mapping[str, Path]) -> None:
    data, pages = content.read(folders[name]), pages_of(folders[name] / "page.pdf")
    text = "".join(pages)
    begin = next(number for number, page in enumerate(pages) if f"Checks({len(data['checks']):,})" in page)
    wanted = [check["id"].rpartition("/")[2].rpartition("::")[2] for check in data["checks"]]
    assert [one for one in wanted if "".join(one.split()) not in text] == []
    for closed in ("runopenedby", "pullrequest812", "GET/health503", runs.CURL.replace(" ", "")):
        assert closed in text, closed
    if name == "promoted":
        assert begin <= MOST_PAGES

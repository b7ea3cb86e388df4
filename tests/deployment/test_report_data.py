"""``data.json``: complete, derived from the journal and the details, and the same after a recovery."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from deployment.clock import SystemClock
from deployment.evidence import archive
from deployment.evidence.data import content, details
from deployment.evidence.journal import Journal
from deployment.evidence.opening import plan_release
from deployment.evidence.past.runs import parse
from deployment.evidence.sentence import headline
from deployment.model import Colour, Image
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, LiveSnapshot, Owner, Plan, Promotion
from verification.redaction.redactor import LearningRedactor

SECRET = "canary-in-a-detail"
CHECKS = (
    "suites/health/test_health.py::test_ok",
    "suites/service.yaml::latency::budgets (login)",
    "suites/auth/a.yaml::late",
)


def clean(text: str) -> str:
    return text.replace(SECRET, "[redacted]")


def opened(folder: Path) -> Journal:
    """Return the journal of a run that expects CHECKS, with the results of the first two."""
    journal = Journal(folder / "audit.jsonl", "arn:operator", SystemClock(), clean)
    journal.append(
        "opened", deployment_id="run-1", started_at="2026-11-29T04:00:00+00:00", mode="deploy", image_tag=None
    )
    journal.append("checks", names=list(CHECKS))
    kept = details.Details(folder / details.DETAILS_FILE, clean)
    kept.add(details.CHECK, id=CHECKS[0], gate="health", outcome="passed", duration_s=0.1)
    kept.add(details.CHECK, id=CHECKS[1], gate="latency", outcome="failed", message=f"too slow {SECRET}")
    kept.add(details.SERIES, name="latency", data={"operations": []})
    kept.add(details.SERIES, name="latency", data={"operations": [1]})
    return journal


def closed(journal: Journal, folder: Path) -> dict[str, object]:
    said: list[str] = []
    archive.close(journal, folder, [("closed", {"verdict": "rejected"})], say=said.append)
    assert said == []
    return content.read(folder)


def test_data_has_every_check(tmp_path: Path) -> None:
    data = closed(opened(tmp_path), tmp_path)
    assert [(one["id"], one["gate"], one["outcome"]) for one in data["checks"]] == [  # type: ignore[attr-defined]
        (CHECKS[0], "health", "passed"),
        (CHECKS[1], "latency", "failed"),
        (CHECKS[2], "auth", "not_run"),
    ]
    assert data["series"] == {"latency": {"operations": [1]}}, "the last one of a name counts"
    assert not (tmp_path / details.DETAILS_FILE).exists()
    assert SECRET not in (tmp_path / content.DATA_FILE).read_text()


def test_reason_of_a_gate_stays_readable_whatever_the_gate_is_called(tmp_path: Path) -> None:
    """Redaction removes the values of keys such as `auth`, so a gate's name must not be a key."""
    reasons = {"health": None, "auth": "27 of 33 failed", "sign-in-token": "no check ran"}
    kept = details.Details(tmp_path / details.DETAILS_FILE, LearningRedactor().clean)
    kept.add(details.REASONS, **details.reasons_line(reasons))
    (line,) = details.read(tmp_path / details.DETAILS_FILE)
    assert details.reasons_of(line) == reasons
    assert details.reasons_of({"kind": details.REASONS, "gates": {"health": "slow"}}) == {"health": "slow"}, "as before"


def test_torn_details_of_a_killed_run(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with (tmp_path / details.DETAILS_FILE).open("a") as file:
        file.write(
            '[]\n{"kind": 3}\n'
            + "[" * 100_000
            + '\n{"kind":"check","id":"suites/auth/a.yaml::late","gate":"auth","outc'
        )
    assert [one["outcome"] for one in closed(journal, tmp_path)["checks"]] == ["passed", "failed", "not_run"]  # type: ignore[attr-defined]


GATES = [
    {"name": name, "required": True, "outcome": outcome, "checks": 2, "ran": ran, "failed": failed, "duration_s": 1.0, "waived": None}
    for name, outcome, ran, failed in (("health", "passed", 2, 0), ("latency", "incomplete", 1, 0))
]  # fmt: skip


def died(journal: Journal, folder: Path, verdict: str = "rejected") -> dict[str, Any]:
    """Close the journal of a run that died, as `recover` does; return the data."""
    reason = "verify: the run died in phase VERIFYING"
    closing = {"verdict": verdict, "exit_code": None, "reason": reason, "recovered": True}
    archive.close(journal, folder, [("closed", closing)], say=lambda _: None)
    return content.read(folder)


def test_run_that_died_reports_the_gates_that_it_noted(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append("verified", gates=[GATES[0] | {"reason": None}])
    journal.append("tally", gates=GATES)
    shown = died(journal, tmp_path, "promoted")["report"]["gates"]
    found = {gate["name"]: (gate["outcome"], gate["checks"]) for gate in shown}
    assert (found["health"], found["latency"], found["live"]) == (("passed", 2), ("incomplete", 2), ("not_run", 0))


def test_headline_of_a_run_that_died_knows_the_checks_that_had_failed(tmp_path: Path) -> None:
    """The process died before it noted its gates; the results of its checks are known."""
    assert headline(died(opened(tmp_path), tmp_path)).endswith(
        "live traffic never moved. Checks had failed before, in latency (1)."
    )


def test_headline_of_a_run_that_died_does_not_claim_that_all_checks_passed(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    (tmp_path / details.DETAILS_FILE).unlink()  # as on another machine
    assert headline(died(journal, tmp_path)).endswith("live traffic never moved. No failed check was recorded.")


def test_headline_does_not_count_advisory_checks(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append("exempt", checks=[{"check": CHECKS[1], "severity": "advisory", "reason": "new", "until": None}])
    assert headline(died(journal, tmp_path)).endswith("No failed check was recorded.")


def test_a_second_close_keeps_the_details_of_the_first(tmp_path: Path) -> None:
    """A halted run is closed, and closed again when it was recovered."""
    first = closed(opened(tmp_path), tmp_path)
    again = closed(Journal(tmp_path / "audit.jsonl", "arn:operator", SystemClock(), clean), tmp_path)
    assert again["checks"] == first["checks"]
    assert again["series"] == first["series"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"report": {}}', '{"report": {}, "schema_version": 99}', "[" * 100_000, "\xff"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / content.DATA_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"data\.json|Expecting"):
        content.read(tmp_path)


def test_one_line_for_each_entry(tmp_path: Path) -> None:
    data = closed(opened(tmp_path), tmp_path)
    text = (tmp_path / content.DATA_FILE).read_text()
    assert json.loads(text) == data
    assert sum(line.startswith('{"id":') for line in text.splitlines()) == len(CHECKS)


@pytest.mark.parametrize(
    ("check", "gate"),
    [
        (CHECKS[0], "health"),
        (CHECKS[1], "latency"),
        (CHECKS[2], "auth"),
        ("suites/auth/deep/test_x.py::C::test_y", "auth"),
    ],
)
def test_gate_of_a_check(check: str, gate: str) -> None:
    assert content.gate_of(check) == gate


def test_the_sentence_of_a_rollback_names_the_live_release(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append("planned", target="green", image="api:1.1.0")
    journal.append(
        "outcome",
        step="lease",
        outcome="passed",
        started_at="",
        duration_s=1,
        detail="blue is live and healthy on 1.0.0",
    )
    archive.close(journal, tmp_path, [("closed", {"verdict": "rolled_back"})])
    assert content.read(tmp_path)["sentence"] == (
        "ROLLED BACK: api:1.1.0 had been promoted to green; blue, version 1.0.0, is live again and verified."
    )


@pytest.mark.parametrize(
    ("live", "before", "after"),
    [
        ({"colour": "blue", "version": "1.0.0", "digest": "sha256:aa", "problem": None}, "blue, version 1.0.0", None),
        ({"colour": "blue", "version": None, "digest": "sha256:aa"}, "blue, sha256:aa", None),
        ({"colour": "blue", "version": None, "digest": None}, "blue, a release of unknown version", None),
        ({"colour": "blue"}, "blue (the run did not read its version)", None),
        (
            {"colour": "green", "image": "api:1.1.0", "version": "1.1.0", "digest": "sha256:bb"},
            "green, api:1.1.0",
            None,
        ),
        (
            {"colour": "blue", "version": "1.0.0", "digest": None, "problem": "health: 503, which was allowed: INC-1"},
            "blue, version 1.0.0, unhealthy: health: 503, which was allowed: INC-1",
            "blue, version 1.0.0",
        ),
    ],
)
def test_live_release_before_the_run_comes_from_the_journal_and_not_from_a_sentence(
    tmp_path: Path, live: dict[str, str | None], before: str, after: str | None
) -> None:
    journal = opened(tmp_path)
    journal.append("planned", target="green", image="api:1.2.0")
    lease = {"step": "lease", "outcome": "passed", "started_at": "", "duration_s": 1}
    journal.append("outcome", **lease, detail="in words that may change", live=live)
    archive.close(journal, tmp_path, [("closed", {"verdict": "rolled_back", "reason": "bake: harm"})])
    data = content.read(tmp_path)
    assert (data["before"], data["live"]) == (before, after or before)
    named = after or before
    comma = "," if "," in named else ""
    sentence = f"ROLLED BACK: api:1.2.0 had been promoted to green; {named}{comma} is live again and verified."
    assert data["sentence"] == sentence
    verdict = ElementTree.parse(tmp_path / "junit.xml").find(".//testcase[@name='verdict']/failure")  # noqa: S314  # our own file
    assert verdict is not None
    assert verdict.text == f"{sentence}\nbake: harm"


HALT = {"verdict": "rollback_failed", "exit_code": 11, "reason": "bake: harm; frozen: the migration is irreversible"}
RECOVERED = ("settled", {"deployment_id": "run-0", "verdict": "rolled_back"})
FROZE = {"image": "api:1.2.0", "colour": "green"}


@pytest.mark.parametrize(
    ("line", "closing", "sentence", "live"),
    [
        (RECOVERED, {"verdict": "refused"}, "REFUSED: no deployment was begun, but before that the run recovered run-0: rolled back.", None),
        (
            RECOVERED, {"verdict": "rejected", "reason": "auth: wrong"},
            "REJECTED: api:1.2.0 was not promoted and moved no traffic; before that, the run recovered run-0: rolled back.", None,
        ),
        (
            ("settled", {"deployment_id": "run-0", "verdict": "rollback_failed"}), {"verdict": "rejected", "reason": "lease: a person must act"},
            "REJECTED: api:1.2.0 was not promoted and moved no traffic; before that, the run recovered run-0: its rollback failed, and a person must act now.",
            None,
        ),
        (
            ("moved_elsewhere", {"weights": {"green": 100}}), {"verdict": "rejected", "reason": "verify: routes"},
            "REJECTED: api:1.2.0 was not promoted; this run moved no traffic, but somebody else did: it goes to green now.",
            "green, moved by somebody else",
        ),
        (
            ("moved_elsewhere", {"weights": {"blue": 90, "green": 10}}), {"verdict": "rejected", "reason": "verify: routes"},
            "REJECTED: api:1.2.0 was not promoted; this run moved no traffic, but somebody else did: it goes to blue (90 %) and green (10 %) now.",
            "blue (90 %) and green (10 %), moved by somebody else",
        ),
        (
            ("frozen", {**FROZE, "weights": {"green": 100}}), HALT,
            "FROZEN: api:1.2.0 failed after the switch and its migration is irreversible; traffic was left on green. A person must act now.", "green",
        ),
        (
            ("frozen", {**FROZE, "weights": {"blue": 100}}), HALT,
            "FROZEN: api:1.2.0 failed and its migration is irreversible; traffic goes to blue, and users may have met the release. A person must act now.",
            "blue",
        ),
        (
            ("frozen", {**FROZE, "weights": None}), HALT,
            "FROZEN: api:1.2.0 failed and its migration is irreversible; traffic goes to an unknown colour, and users may have met the release. "
            "A person must act now.",
            None,
        ),
        (
            ("frozen", FROZE), HALT,  # as earlier versions wrote it
            "FROZEN: api:1.2.0 failed after the switch and its migration is irreversible; traffic was left on green. A person must act now.", None,
        ),
        (
            ("kept", {"live": "green", "reason": "1.2.1 follows", "by": "sam"}), HALT,
            "KEPT: api:1.2.0 was not rolled back: a person left traffic on green (1.2.1 follows). The lock is free.", "green",
        ),
    ],
)  # fmt: skip
def test_sentence_says_what_the_journal_knows_besides_the_verdict(
    tmp_path: Path, line: tuple[str, dict[str, Any]], closing: dict[str, Any], sentence: str, live: str | None
) -> None:
    journal = opened(tmp_path)
    journal.append("planned", target="green", image="api:1.2.0")
    journal.append(line[0], **line[1])
    archive.close(journal, tmp_path, [("closed", closing)])
    data = content.read(tmp_path)
    assert (data["sentence"], data["live"]) == (sentence, live)
    assert bool(data["remedies"]) == (line[0] == "frozen")


def test_sentence_of_a_release_that_failed_in_a_share_does_not_call_it_promoted(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append("planned", target="green", image="api:1.2.0")
    journal.append("intent", step="promote", what="5 %")
    journal.append("outcome", step="promote", outcome="failed", started_at="", duration_s=1, detail="harm")
    archive.close(journal, tmp_path, [("closed", {"verdict": "rolled_back", "reason": "promote: harm"})])
    said = content.read(tmp_path)["sentence"]
    assert said.startswith("ROLLED BACK: api:1.2.0 had received traffic on green and was not promoted; ")


@pytest.mark.parametrize(
    ("verdict", "live"), [("rolled_back", "api:1.0.0 on blue"), ("rejected", None), ("refused", None)]
)
def test_what_is_live_after_a_rollback_by_hand(tmp_path: Path, verdict: str, live: str | None) -> None:
    """The release that was live when the command began is not live any more if it succeeded."""
    journal = opened(tmp_path)
    journal.append("planned", target="blue", image="api:1.0.0", undoes="run-0")
    journal.append(
        "outcome",
        step="lease",
        outcome="passed",
        started_at="",
        duration_s=1,
        detail=None,
    )
    archive.close(journal, tmp_path, [("closed", {"verdict": verdict})])
    assert content.read(tmp_path)["live"] == live


@pytest.mark.parametrize("committed_at", ["2026-11-28T10:00:00+00:00", None])
def test_time_of_the_commit_goes_from_the_image_to_the_report_and_the_history(
    tmp_path: Path, committed_at: str | None
) -> None:
    journal = opened(tmp_path)
    image = Image("api", "1.1.0", "sha256:" + "b" * 64, "1.1.0", "uri", committed_at=committed_at)
    plan_release(journal, Colour.GREEN, image, "arn:operator")
    archive.close(journal, tmp_path, [("closed", {"verdict": "promoted", "exit_code": 0})])
    content_of = (tmp_path / "verification.json").read_bytes()
    assert json.loads(content_of).get("committed_at") == committed_at
    assert ("committed_at" in json.loads(content_of)) is (committed_at is not None)
    found = parse("run-1", content_of).committed_at
    assert (found and found.isoformat()) == committed_at


def test_time_of_the_commit_survives_the_lock_and_leaves_promotions_as_they_were() -> None:
    """Versions that do not know it can still read both."""
    image = Image(
        "api", "1.1.0", "sha256:b", "1.1.0", "uri", committed_at="2026-11-28T10:00:00+00:00", migration="reversible"
    )
    plan = Plan("run-1", "test", Colour.GREEN, image, "arn:operator", datetime(2026, 11, 29, tzinfo=UTC))
    record = DeploymentRecord(plan, Owner("host", 1, 0.0), Phase.BAKING, "2026-11-29T00:00:00+00:00", None, None)
    text = record.dump()
    assert not {"committed_at", "migration"} & json.loads(text)["image"].keys()
    loaded = DeploymentRecord.load(text).plan.image
    assert (loaded.committed_at, loaded.migration) == (image.committed_at, "reversible")
    live = LiveSnapshot(Colour.BLUE, None, None, None, None, 1)
    promotion = Promotion("run-1", Colour.GREEN, image, 2, live, "2026-11-29T00:00:00+00:00")
    assert "committed_at" not in promotion.dump()
    assert "migration" not in promotion.dump()
    assert Promotion.load(promotion.dump()) == promotion


@pytest.mark.parametrize(
    ("planned", "live"),
    [
        ({"target": "green", "image": "api:1.1.0", "digest": "sha256:bb"}, "api:1.1.0 on green"),
        ({"target": "green", "image": None, "digest": "sha256:bb"}, "sha256:bb on green"),
        (None, None),
    ],
)
@pytest.mark.parametrize("verdict", ["verified", "failed"])
def test_verification_of_the_live_release_says_what_is_live(
    tmp_path: Path, planned: dict[str, str | None] | None, live: str | None, verdict: str
) -> None:
    """An address has no colour, so nothing is known about it."""
    journal = opened(tmp_path)
    if planned is not None:
        journal.append("planned", **planned)
    archive.close(journal, tmp_path, [("closed", {"verdict": verdict})])
    assert content.read(tmp_path)["live"] == live

"""The checklist: the journal proves items, people attest items without a proof, all others are open or failed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused, SettingsError
from deployment.evidence.checklist import evaluate
from deployment.evidence.journal import Record
from deployment.evidence.opening import plan_release, written_by
from deployment.preflight.checklist import PHASES, Entry, as_data, demand, load, parse
from deployment.preflight.preflight import PreflightPorts, Proposal, run_preflight
from deployment.settings import DeploymentLimits
from plugins.described.checks import checks_of
from tests.checkout import CHECKOUT
from tests.deployment.fakes import GREEN, NEW
from tests.deployment.harness import Deployment
from verification.declarative.service import load_service

FILE = CHECKOUT.checklist_file
CHECKLISTS = [FILE, *sorted(FILE.parent.glob("examples/*/checklist.toml"))]

SEED = {
    "pre": "Code review completed|Tests passing (unit, integration, E2E)|Security scan completed|Configuration verified"
    "|Monitoring configured|Rollback plan ready",
    "during": "Docker image built and pushed|New environment deployed|Health checks passing|Database migrations tested"
    "|Smoke tests passing|Performance tests passed|Traffic switched|Monitoring active|Team notified",
    "post": "Monitor for 30 minutes|Performance metrics reviewed|Error rates reviewed|User feedback collected"
    "|Documentation updated|Lessons learned documented",
}
"""The seed's items. An item that a run proves is listed in the phase that proves it."""


def records(*lines: tuple[str, dict[str, Any]]) -> list[Record]:
    return [Record(0, "", "", kind, data, "", "") for kind, data in lines]


def only(
    entry: Entry, *lines: tuple[str, dict[str, Any]], attest: Sequence[str] = (), mode: str = "required"
) -> list[Record]:
    entries = [entry]
    return records(("opened", written_by()), ("checklist", as_data(entries, parse(attest, entries), mode)), *lines)


def outcome(entry: Entry, *lines: tuple[str, dict[str, Any]], attest: Sequence[str] = ()) -> tuple[str, str]:
    [found] = evaluate(only(entry, *lines, attest=attest))
    return found["outcome"], found["evidence"]


def item(name: str, outcome: str) -> tuple[str, dict[str, Any]]:
    return "preflight", {"items": [{"name": name, "outcome": outcome, "found": "the finding", "expected": ""}]}


def gate(name: str, outcome: str, failed: int = 0) -> tuple[str, dict[str, Any]]:
    return "gates", {"gates": [{"name": name, "outcome": outcome, "checks": 5, "ran": 4, "failed": failed}]}


def step(name: str, outcome: str, **more: float) -> tuple[str, dict[str, Any]]:
    return "outcome", {"step": name, "outcome": outcome, "detail": "the detail", **more}


def test_checklist_contains_every_item_of_the_seed() -> None:
    entries = load(FILE)
    for phase in PHASES:
        words = [entry.item.partition(":")[0] for entry in entries if entry.phase == phase]
        assert words == SEED[phase].split("|")


@pytest.mark.parametrize(
    ("proof", "line", "expected"),
    [
        ("preflight scan", item("scan", "ok"), "proven"),
        ("preflight scan", item("scan", "not_checked"), "open"),
        ("preflight scan", item("scan", "refused"), "failed"),
        ("preflight scan", item("drift", "ok"), "open"),
        ("gate load", gate("load", "passed"), "proven"),
        ("gate load", gate("load", "failed", 1), "failed"),
        ("gate load", gate("load", "error"), "failed"),
        ("gate load", gate("load", "not_run"), "open"),
        ("gate load", gate("load", "incomplete"), "open"),
        ("gate load", gate("load", "absent"), "open"),
        ("watched 30m", step("bake", "passed", watched_s=1800.01), "proven"),
        ("watched 30m", step("bake", "passed", watched_s=1799.99), "open"),
        ("watched 30m", step("bake", "passed"), "open"),
        ("watched 30m", step("bake", "failed"), "failed"),
        ("watched 30m", step("live", "passed"), "open"),
        ("gate load", gate("health", "passed"), "open"),
        ("step promote", step("promote", "passed"), "proven"),
        ("step promote", step("promote", "failed"), "failed"),
        ("step promote", ("intent", {"step": "promote"}), "open"),
        ("notified", ("notified", {"event": "started"}), "proven"),
        ("notified", ("not_notified", {"event": "started", "error": "gone"}), "failed"),
        ("notified", ("opened", {}), "open"),
    ],
)
def test_proof_of_an_item(proof: str, line: tuple[str, dict[str, Any]], expected: str) -> None:
    entry = Entry("during", "one", "One", (proof,))
    found, evidence = outcome(entry, line)
    assert found == expected
    assert evidence
    attested, _ = outcome(entry, line, attest=["one=jane/I looked"])
    assert attested == ("attested" if expected == "open" else expected), "an attestation overrides no outcome"


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((), "the run ended before its first message"),
        (("LEASED", "REFUSED"), "the run ended before its first message"),
        (("LEASED", "PROVISIONING"), "the environment has no notifications_topic"),
        (("LEASED", "REJECTED"), "the environment has no notifications_topic"),
    ],
)
def test_why_the_team_was_not_notified(after: Sequence[str], why: str) -> None:
    """A run that was refused says nothing about the environment's topic, which it did not use."""
    lines = [("phase", {"before": "PENDING", "after": one, "reason": None}) for one in after]
    entry = Entry("during", "team", "Team", ("notified",))
    assert outcome(entry, ("opened", written_by()), *lines) == ("open", f"the team was not notified: {why}")
    # Journals of earlier versions say what they said then, so that their reports still follow from them.
    old = ("opened", {"schema_version": 2, "statement_version": 2})
    assert outcome(entry, old, *lines)[1] == "the team was not notified: the environment has no notifications_topic"


def test_all_proofs_of_an_item_must_hold() -> None:
    entry = Entry("during", "one", "One", ("step provision", "gate database"))
    both = (step("provision", "passed"), gate("database", "failed", 2))
    assert outcome(entry, *both) == ("failed", "gate database: failed, 2 of 5 checks did not pass")
    harmed = (step("provision", "passed"), gate("database", "failed", 0))
    assert outcome(entry, *harmed) == ("failed", "gate database: failed, although none of its checks failed")
    assert outcome(entry, step("provision", "passed"))[0] == "open"


@pytest.mark.parametrize(("shown", "name"), [("Health checks passing", "health"), ("Performance tests passed", "load")])
def test_item_whose_gate_was_cut_short_is_open_and_says_how_many_checks_ran(shown: str, name: str) -> None:
    """The checks that ran have passed, so nothing has failed."""
    [entry] = [one for one in load(FILE) if one.item == shown]
    others = [proof.removeprefix("gate ") for proof in entry.proof if proof != f"gate {name}"]
    found = [{"name": one, "outcome": "passed", "checks": 5, "ran": 5, "failed": 0} for one in others]
    found.append({"name": name, "outcome": "incomplete", "checks": 54, "ran": 7, "failed": 0})
    assert outcome(entry, ("gates", {"gates": found})) == (
        "open",
        f"gate {name} is incomplete: 7 of 54 checks ran, and passed; the others did not run",
    )


def test_item_without_proof_needs_an_attestation() -> None:
    entry = Entry("pre", "code-review", "Code review completed")
    assert outcome(entry) == ("open", "no person has attested it")
    assert outcome(entry, attest=["code-review=jane/pull request 4711"]) == ("attested", "jane: pull request 4711")


BAKED_10_S = step("bake", "passed", watched_s=10.004)


def test_time_that_was_asked_for_is_compared_with_the_time_that_was_watched() -> None:
    [entry] = [one for one in load(FILE) if one.item == "Monitor for 30 minutes"]
    short = "30 min were asked for; the bake watched 10 s without harm"
    assert outcome(entry, BAKED_10_S) == ("open", short)
    found = outcome(entry, BAKED_10_S, attest=["monitored=jane/the dashboard, from 12:00 to 12:30"])
    assert found == (
        "attested",
        f"jane: the dashboard, from 12:00 to 12:30 (stated before the deployment); not proven by the run: {short}",
    )
    long = step("bake", "passed", watched_s=1805.2)
    assert outcome(entry, long) == ("proven", "30 min were asked for; the bake watched 30 min 5 s without harm")


@pytest.mark.parametrize(("asked", "shown"), [("90s", "1 min 30 s"), ("2h", "120 min"), ("9s", "9 s")])
def test_time_is_shown_in_minutes_and_seconds(asked: str, shown: str) -> None:
    found = outcome(Entry("post", "one", "One", (f"watched {asked}",)), step("bake", "passed", watched_s=0.9))
    assert found == ("open", f"{shown} were asked for; the bake watched 0 s without harm")


@pytest.mark.parametrize("name", ["performance-metrics", "error-rates"])
def test_review_needs_a_person_and_shows_what_the_run_measured(name: str) -> None:
    [entry] = [one for one in load(FILE) if one.name == name]
    assert entry.item.endswith(" reviewed")
    state, evidence = outcome(entry, gate("live", "passed"), BAKED_10_S)
    assert state == "open"
    assert evidence.startswith("no person has attested it; measured by the run: gate ")
    assert "gate live: 5 checks passed" in evidence
    state, evidence = outcome(entry, gate("live", "failed", 1), attest=[f"{name}=jane/the dashboard"])
    assert state == "attested"
    assert evidence.startswith("jane: the dashboard (stated before the deployment); measured by the run: gate ")
    assert "gate live: failed, 1 of 5 checks did not pass" in evidence


@pytest.mark.parametrize("file", CHECKLISTS, ids=lambda file: str(file.relative_to(FILE.parent)))
def test_no_item_that_a_person_reviews_is_proven_by_a_machine(file: Path) -> None:
    """Nor is a time that was asked for proven by a bake of any length."""
    reviews = [entry for entry in load(file) if re.search("review|feedback|documented|updated", entry.item.lower())]
    assert len(reviews) >= 5
    assert [entry.name for entry in reviews if entry.proof] == []
    assert [entry.proof for entry in load(file) if entry.item == "Monitor for 30 minutes"] == [("watched 30m",)]


def test_old_journals_keep_their_texts() -> None:
    old = Entry("post", "monitored", "Monitor for 30 minutes", ("step bake", "gate live"))
    lines = only(old, step("bake", "passed"), gate("live", "passed"))[1:]
    [found] = evaluate(lines)
    assert (found["outcome"], found["evidence"]) == ("proven", "step bake: the detail; gate live: 5 checks, 0 failed")


def test_open_pre_item_refuses_if_the_checklist_is_required() -> None:
    entry = Entry("pre", "code-review", "Code review completed")
    with pytest.raises(Refused, match="checklist: code-review: no person has attested it") as caught:
        demand(only(entry))
    assert "--attest code-review=WHO/WHAT" in (caught.value.hint or "")
    demand(only(entry, attest=["code-review=jane/4711"]))
    demand(only(entry, mode="recorded"))
    demand(only(Entry("pre", "code-review", "Code review completed", required=False)))
    demand(only(Entry("post", "feedback", "User feedback collected")))
    demand([])


@pytest.mark.parametrize("text", ["one", "one=", "one=jane", "one=/what", "one=jane/", "=jane/what", "one= / "])
def test_attestation_without_who_or_what_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="does not say who attests what"):
        parse([text], [Entry("pre", "one", "One")])


def test_attestation_of_an_unknown_item_or_given_twice_is_refused() -> None:
    entries = [Entry("pre", "one", "One")]
    with pytest.raises(Refused, match="no such item") as caught:
        parse(["two=jane/what"], entries)
    assert caught.value.hint == "Choose one of its items: one."
    with pytest.raises(Refused, match="twice"):
        parse(["one=jane/what", "one=jane/what"], entries)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[pre]", "not TOML"),
        ("[[before]]\nname='x'\nitem='X'", "before"),
        ("[[pre]]\nname='x'", "item"),
        ("[[pre]]\nname='x'\nitem='X'\nproof=['luck']", "luck"),
        ("[[pre]]\nname='x'\nitem='X'\nproof=['watched 30']", "watched 30"),
        ("[[pre]]\nname='x'\nitem='X'\nmeasured=['watched 30m']", "watched 30m"),
        ("[[pre]]\nname='x'\nitem='X'\nproof=['gate live']\nmeasured=['gate live']", "proof"),
        ("[[pre]]\nname='x'\nitem='X'\n[[post]]\nname='x'\nitem='X'", "twice"),
    ],
)
def test_invalid_checklist_file_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "checklist.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=word):
        load(path)


def test_journal_of_a_deployment_proves_its_steps(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.journal.append("checklist", **as_data(load(FILE), {}, "recorded"))
    deployment.run()
    found = {one["name"]: one["outcome"] for one in evaluate(deployment.records())}
    assert (found["deployed"], found["switched"], found["monitoring-active"]) == ("proven",) * 3
    assert (found["code-review"], found["team"], found["monitored"]) == ("open", "open", "open")


def test_every_proof_names_something_that_exists(tmp_path: Path) -> None:
    """A gate has checks from the description of the service, a step is a step of a deployment, an item is an item of preflight."""
    one = Deployment(tmp_path)
    items = {item.name for item in run_preflight(one.ports, PreflightPorts(), DeploymentLimits(), Proposal(NEW, GREEN))}
    known = {
        "gate": {one.gate for one in checks_of(load_service(FILE.parent / "suites" / "service.yaml", "service.yaml"))},
        "step": {"lease", "provision", "verify", "promote", "live", "bake", "rollback", "retire"},
        "preflight": items,
        "notified": {""},
        "watched": {"30m"},
        "reversible": {""},
        "migration": {""},
    }
    proofs = [proof.partition(" ") for entry in load(FILE) for proof in (*entry.proof, *entry.measured)]
    assert [f"{kind} {name}" for kind, _, name in proofs if name not in known[kind]] == []


def test_a_file_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checklist.toml"
    file.write_text("a = " + "[" * 3000 + "]" * 3000)
    with pytest.raises(SettingsError, match=r"checklist\.toml is not TOML: its values are nested too deep"):
        load(file)


def test_a_pipe_or_a_long_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checklist.toml"
    path.write_text(".".join("a" * 50_000) + " = 1")
    with pytest.raises(SettingsError, match="line 1 has 100,003 characters"):
        load(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SettingsError, match="it is a pipe or a device"):
        load(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "checklist.toml"
    file.write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load(file) == load(FILE)


SENT = ("notified", {"event": "started"})
UNSENT = ("not_notified", {"event": "rolled_back", "error": "the topic is gone"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([SENT], ("proven", "the team was notified: started")),
        ([SENT, UNSENT], ("failed", "the team was not notified: rolled_back: the topic is gone")),
        ([UNSENT, SENT], ("failed", "the team was not notified: rolled_back: the topic is gone")),
        (
            [SENT, UNSENT, ("notified", {"event": "rolled_back"})],
            ("proven", "the team was notified: started, rolled_back"),
        ),
        (
            [SENT, ("notifying", {"event": "promoted"})],
            ("open", "the run does not know whether the team was notified: promoted"),
        ),
        (
            [("not_notified", {"event": "started", "error": "slow"}), UNSENT],
            ("failed", "the team was not notified: started: slow; rolled_back: the topic is gone"),
        ),
    ],
)
def test_team_was_notified_only_if_it_got_every_message(
    lines: list[tuple[str, dict[str, Any]]], expected: tuple[str, str]
) -> None:
    [entry] = [one for one in load(FILE) if one.item == "Team notified"]
    notifying = [("notifying", {"event": data["event"]}) for kind, data in lines if kind != "notifying"]
    assert outcome(entry, *notifying, *lines) == expected
    # Journals of earlier versions say what they said then.
    old = ("opened", {"schema_version": 2, "checklist_texts": 2})
    if SENT in lines:
        assert outcome(entry, old, *lines)[0] == "proven"


LIVE_AND_ROUTES = ("preflight", {"items": [{"name": one, "outcome": "ok", "found": "f"} for one in ("routes", "live")]})


def test_irreversible_release_has_no_rollback_plan_that_the_run_proves() -> None:
    [entry] = [one for one in load(FILE) if one.item == "Rollback plan ready"]
    assert outcome(entry, LIVE_AND_ROUTES)[0] == "proven"
    one_way = ("irreversible", {"reason": "the backup is of 14:00", "by": "jane"})
    state, evidence = outcome(entry, LIVE_AND_ROUTES, one_way)
    why = "no rollback is possible after the switch: the migration is irreversible (allowed: the backup is of 14:00)"
    assert (state, evidence) == ("open", why)
    with pytest.raises(Refused, match="the migration is irreversible"):
        demand(only(entry, LIVE_AND_ROUTES, one_way))
    demand(only(entry, LIVE_AND_ROUTES, one_way, attest=["rollback-plan=jane/restore the backup, runbook 7"]))


MIGRATED = ("planned", {"migration": "reversible"})
GATES = ("database", "bystander", "continuity")


def gates(**other: str) -> tuple[str, dict[str, Any]]:
    found = dict.fromkeys(GATES, "passed") | other
    return "gates", {"gates": [{"name": name, "outcome": one, "checks": 5, "failed": 0} for name, one in found.items()]}


@pytest.mark.parametrize(
    ("lines", "expected", "word"),
    [
        ([MIGRATED, step("provision", "passed"), gates()], "proven", "the image declares its migration reversible"),
        ([step("provision", "passed"), gates()], "open", "the image does not declare a migration"),
        ([("planned", {}), step("provision", "passed"), gates()], "open", "the image does not declare a migration"),
        ([MIGRATED, step("provision", "passed"), gates(database="absent")], "open", "gate database is absent"),
        ([MIGRATED, step("provision", "passed"), gates(database="not_run")], "open", "gate database did not run"),
        ([MIGRATED, step("provision", "failed"), gates()], "failed", "step provision"),
        ([MIGRATED, step("provision", "passed"), gates(continuity="failed")], "failed", "gate continuity"),
    ],
)
def test_migration_is_tested_only_if_there_is_one(
    lines: list[tuple[str, dict[str, Any]]], expected: str, word: str
) -> None:
    [entry] = [one for one in load(FILE) if one.item == "Database migrations tested"]
    state, evidence = outcome(entry, *lines)
    assert state == expected
    assert word in evidence


@pytest.mark.parametrize("migration", ["reversible", "irreversible", None])
def test_journal_names_the_migration_that_the_image_declares(tmp_path: Path, migration: str | None) -> None:
    journal = Deployment(tmp_path).journal
    plan_release(journal, GREEN, replace(NEW, migration=migration), "jane")
    assert journal.records()[-1].data.get("migration") == migration

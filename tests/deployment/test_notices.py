"""Notices to the team. A slow, missing or broken channel changes only a line of the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable
from deployment.events import PhaseChanged
from deployment.flow.lease import open_deployment
from deployment.flow.machine import Machine
from deployment.flow.notices import BY_PHASE, Audience, Notices, about, place_of
from deployment.model import Notice, NoticeKind, Reason
from deployment.phases import TERMINAL, Phase
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.recover import UNDECIDED, Decision
from tests.deployment.harness import Deployment

PASSWORD = "canary-password-1"


class FakeNotifier:
    """Keeps the notices. A cleared ``blocked`` makes ``send`` wait; ``error`` makes it raise."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.blocked = threading.Event()
        self.blocked.set()
        self.error: Exception | None = None

    def send(self, notice: Notice) -> None:
        assert self.blocked.wait(30)
        if self.error is not None:
            raise self.error
        self.sent.append(notice)


@pytest.fixture
def notifier() -> Iterator[FakeNotifier]:
    made = FakeNotifier()
    yield made
    made.blocked.set()


def drive(
    deployment: Deployment, notifier: FakeNotifier | None, *, patience_s: float = 10.0, harm: str | None = None
) -> Phase:
    """Run the whole deployment with notices, and wait up to ``patience_s`` for them."""
    machine = deployment.machine
    deployment.journal.clean = lambda text: text.replace(PASSWORD, "***")
    notices = Notices(notifier, deployment.journal, about(machine.plan, deployment.folder), deployment.events.append)
    machine.steps._listener = notices
    phase = deployment.run(lambda: harm)
    notices.flush(patience_s)
    return phase


def kinds(deployment: Deployment, kind: str) -> list[str]:
    return [record.data["event"] for record in deployment.records() if record.kind == kind]


def test_promotion_notice_names_the_digest(tmp_path: Path, notifier: FakeNotifier) -> None:
    deployment = Deployment(tmp_path)
    assert drive(deployment, notifier) is Phase.SUCCEEDED
    assert [notice.kind for notice in notifier.sent] == [NoticeKind.STARTED, NoticeKind.PROMOTED]
    last, plan = notifier.sent[-1], deployment.machine.plan
    assert (last.environment, last.digest, last.target, last.deployment_id) == (
        "test",
        plan.image.digest,
        "green",
        "one",
    )
    assert (last.reason, last.gate, last.report) == (None, None, str(deployment.folder))
    assert kinds(deployment, "notified") == ["started", "promoted"]


def test_rollback_notice_has_the_reason_and_no_secrets(tmp_path: Path, notifier: FakeNotifier) -> None:
    deployment = Deployment(tmp_path)
    assert drive(deployment, notifier, harm=f"users see\n {PASSWORD}") is Phase.ROLLED_BACK
    assert [notice.kind for notice in notifier.sent] == [NoticeKind.STARTED, NoticeKind.ROLLED_BACK]
    assert str(notifier.sent[-1].reason) == "verify: users see ***"
    assert notifier.sent[-1].gate == "verify"


def test_notices_of_a_rejection_and_a_failed_rollback(tmp_path: Path, notifier: FakeNotifier) -> None:
    rejected = Deployment(tmp_path / "rejected")
    rejected.platform.stuck = "it does not come up"
    assert drive(rejected, notifier) is Phase.REJECTED
    halted = Deployment(tmp_path / "halted", deployment_id="two")
    writes: list[int] = []

    def fail_after_the_first() -> None:
        writes.append(1)
        if len(writes) > 1:
            raise CloudUnreachable("the store does not answer")

    halted.cloud.hooks["set"] = fail_after_the_first
    assert drive(halted, FakeNotifier(), harm="users see errors") is Phase.HALTED
    assert kinds(halted, "notified") == ["started", "rollback failed"]
    assert str(notifier.sent[1].reason) == "verify: it does not come up"


@pytest.mark.parametrize("error", [CloudUnreachable("sns Publish: no answer"), RuntimeError(PASSWORD)])
def test_failing_topic_is_journalled_and_changes_no_result(
    tmp_path: Path, notifier: FakeNotifier, error: Exception
) -> None:
    deployment = Deployment(tmp_path)
    notifier.error = error
    assert drive(deployment, notifier) is Phase.SUCCEEDED
    assert kinds(deployment, "not_notified") == ["started", "promoted"]
    text = (deployment.folder / "audit.jsonl").read_text()
    assert type(error).__name__ in text or str(error) in text
    assert PASSWORD not in text


def test_slow_topic_does_not_delay_the_deployment(tmp_path: Path, notifier: FakeNotifier) -> None:
    """The topic answers only after the end of the deployment, which does not wait for it."""
    deployment = Deployment(tmp_path)
    notifier.blocked.clear()
    assert drive(deployment, notifier, patience_s=0.05) is Phase.SUCCEEDED
    assert kinds(deployment, "not_notified") == ["started", "promoted"]
    before = deployment.journal.path.read_bytes()
    notifier.blocked.set()
    assert deployment.journal.path.read_bytes() == before, "a closed journal does not grow"


def test_no_notice_without_a_topic(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    assert drive(deployment, None) is Phase.SUCCEEDED
    assert kinds(deployment, "notified") == kinds(deployment, "not_notified") == []


def die_at_the_end(
    deployment: Deployment, notifier: FakeNotifier | None, monkeypatch: pytest.MonkeyPatch, harm: str | None = None
) -> Phase:
    """Run the whole deployment, but die before it releases the lock and closes its note."""
    monkeypatch.setattr(Machine, "let_go", lambda *_: None)
    phase = drive(deployment, notifier, harm=harm)
    deployment.mark_dead()
    return phase


def recovered(deployment: Deployment, reports: Path, notifier: FakeNotifier, decision: Decision = UNDECIDED) -> Phase:
    """Recover a dead run as `recover` or the next run does."""
    found = open_deployment(deployment.ports)
    assert found is not None
    audience = Audience(notifier=notifier)
    return recover_run(found, deployment.operation("recoverer"), reports, audience, decision=decision)


def test_recover_sends_the_result_of_a_dead_run(tmp_path: Path, notifier: FakeNotifier) -> None:
    deployment = Deployment(tmp_path)
    deployment.to_verified()
    deployment.mark_dead()
    assert recovered(deployment, tmp_path, notifier) is Phase.REJECTED
    assert [(notice.kind, notice.actor) for notice in notifier.sent] == [(NoticeKind.REJECTED, "recoverer")]
    assert "died in phase VERIFYING" in str(notifier.sent[0].reason)


@pytest.mark.parametrize(("harm", "kind"), [(None, NoticeKind.PROMOTED), ("users see errors", NoticeKind.ROLLED_BACK)])
def test_recover_sends_a_missing_final_notice(
    tmp_path: Path, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch, harm: str | None, kind: NoticeKind
) -> None:
    """The run died after its last phase and before its notice: the note beside the lock still has the last phase."""
    deployment = Deployment(tmp_path)
    phase = die_at_the_end(deployment, None, monkeypatch, harm)
    assert recovered(deployment, tmp_path, notifier) is phase
    assert [notice.kind for notice in notifier.sent] == [kind]
    lines = [
        record.kind for record in deployment.records() if record.kind.startswith(("notif", "recovering", "closed"))
    ]
    assert lines == ["recovering", "notifying", "notified", "closed"], (
        "intent, then outcome, before the journal is closed"
    )


def test_final_notice_is_repeated_only_without_the_journal(
    tmp_path: Path, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, which lacks the journal of the dead run, the notice is sent twice rather than never."""
    for reports, expected in ((tmp_path, 1), (tmp_path / "a fresh clone", 2)):
        deployment = Deployment(tmp_path, deployment_id=f"id-{expected}")
        die_at_the_end(deployment, notifier, monkeypatch)
        assert recovered(deployment, reports, notifier) is Phase.SUCCEEDED
        ends = [notice for notice in notifier.sent if notice.kind is NoticeKind.PROMOTED]
        assert len([notice for notice in ends if notice.deployment_id == f"id-{expected}"]) == expected


@pytest.mark.parametrize("decision", [UNDECIDED, Decision(keep="it is well, and fixed forward")])
def test_missing_notice_of_a_failed_rollback_is_sent_once(
    tmp_path: Path, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch, decision: Decision
) -> None:
    """Both if the rollback is retried and fails again, and if the release is kept."""
    deployment = Deployment(tmp_path)
    writes: list[int] = []

    def fail_after_the_first() -> None:
        writes.append(1)
        if len(writes) > 1:
            raise CloudUnreachable("the store does not answer")

    deployment.cloud.hooks["set"] = fail_after_the_first
    assert die_at_the_end(deployment, None, monkeypatch, "users see errors") is Phase.HALTED
    assert recovered(deployment, tmp_path, notifier, decision) is Phase.HALTED
    assert [notice.kind for notice in notifier.sent] == [NoticeKind.ROLLBACK_FAILED]


def test_notice_without_an_outcome_is_sent_again(
    tmp_path: Path, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run died while it sent the notice, so the notice may or may not have been sent."""
    deployment = Deployment(tmp_path)
    die_at_the_end(deployment, None, monkeypatch)
    deployment.journal.append("notifying", event=NoticeKind.PROMOTED.value)
    recovered(deployment, tmp_path, notifier)
    assert [notice.kind for notice in notifier.sent] == [NoticeKind.PROMOTED]


def test_every_end_except_a_refusal_sends_a_notice(tmp_path: Path, notifier: FakeNotifier) -> None:
    assert TERMINAL - set(BY_PHASE) == {Phase.REFUSED}
    deployment = Deployment(tmp_path)
    notices = Notices(notifier, deployment.journal, about(deployment.machine.plan, "there"))
    for after in Phase:
        notices(PhaseChanged(Phase.PENDING, after, Reason("gate", "why")))
    notices.flush(10)
    assert {notice.kind for notice in notifier.sent} == set(NoticeKind)


def test_report_place_is_the_ci_run_if_there_is_one() -> None:
    ci = {"GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"}
    assert place_of("reports/one", ci) == "https://github.example/a/b/actions/runs/7"
    assert place_of("reports/one", {}) == "reports/one"

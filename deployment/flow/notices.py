"""Messages to the team about a deployment. A channel that is slow or unreachable is recorded and changes nothing else.

A thread sends the messages in order. The intent and the result of each message are journalled by the run's own thread,
never by the sender: a journal that is signed and closed must not grow any more. The process that recovers a dead run
sends its final message unless the journal says that it was sent: at least once, and twice if the run died in between.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from deployment.errors import DeploymentError, first_line
from deployment.events import Event, Listener, PhaseChanged
from deployment.evidence.journal import Journal
from deployment.model import Notice, NoticeKind, Reason
from deployment.phases import Phase
from deployment.plan import Plan
from deployment.ports import Notifier

BY_PHASE: Mapping[Phase, NoticeKind] = {
    Phase.PROVISIONING: NoticeKind.STARTED,
    Phase.AWAITING_APPROVAL: NoticeKind.AWAITING_APPROVAL,
    Phase.REJECTED: NoticeKind.REJECTED,
    Phase.SUCCEEDED: NoticeKind.PROMOTED,
    Phase.ROLLED_BACK: NoticeKind.ROLLED_BACK,
    Phase.HALTED: NoticeKind.ROLLBACK_FAILED,
}
PATIENCE_S = 3.0
"""The longest time that a run waits at its end for its last messages to be delivered."""


@dataclass(frozen=True)
class _Sent:
    """The result of sending a message; ``problem`` is None if it was delivered."""

    notice: Notice
    problem: str | None


@dataclass(frozen=True)
class Audience:
    """Who follows a run: a ``listener`` in this process, and a channel to the team, if the environment has one."""

    listener: Listener = lambda _: None
    notifier: Notifier | None = None


class Notices:
    """A listener that sends the team a message about certain phases, and passes every event on to ``then``."""

    def __init__(
        self,
        notifier: Notifier | None,
        journal: Journal,
        about: Notice,
        then: Listener = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``about`` is a message without event and reason. Without a ``notifier`` no message is sent."""
        self._notifier = notifier
        self._journal = journal
        self._about = about
        self._then = then
        self._say = say
        self._waiting: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._sent: queue.SimpleQueue[_Sent] = queue.SimpleQueue()
        self._open: list[Notice] = []
        self._sent_kinds: set[NoticeKind] = set()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Handle one event of the deployment."""
        self._then(event)
        if isinstance(event, PhaseChanged) and event.after in BY_PHASE:
            self.send(BY_PHASE[event.after], event.reason)

    def send(self, kind: NoticeKind, reason: Reason | None = None) -> None:
        """Queue a message and return at once."""
        if self._notifier is None:
            return
        shown = None if kind in (NoticeKind.STARTED, NoticeKind.PROMOTED) else reason
        notice = _cleaned(replace(self._about, kind=kind, reason=shown), self._journal.clean)
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, args=(self._notifier,), daemon=True)
            self._thread.start()
        self._journal.append("notifying", event=kind.value)
        self._sent_kinds.add(kind)
        self._open.append(notice)
        self._waiting.put(notice)
        self._record()

    def send_end(self, phase: Phase, reason: Reason | None) -> None:
        """Send the message about a run's end in ``phase``, unless its journal says that this message was sent."""
        kind = BY_PHASE.get(phase)
        if kind is None or kind in self._sent_kinds:
            return
        notified = {record.data["event"] for record in self._journal.records() if record.kind == "notified"}
        if kind.value not in notified:
            self.send(kind, reason)

    def flush(self, patience_s: float = PATIENCE_S) -> None:
        """Wait at most ``patience_s`` for queued messages, and journal every result; no more messages are sent afterwards."""
        thread, self._thread, self._notifier = self._thread, None, None
        if thread is None:
            return
        self._waiting.put(None)
        thread.join(patience_s)
        self._record()
        for notice in self._open:
            self._failed(notice, f"no answer within {patience_s:g} s")
        self._open.clear()

    def _deliver(self, notifier: Notifier) -> None:
        while (notice := self._waiting.get()) is not None:
            problem = None
            try:
                notifier.send(notice)
            except DeploymentError as error:
                problem = first_line(error)
            except (
                Exception
            ) as error:  # no channel's error may end the run; its text may contain secrets, so only the type is kept
                problem = type(error).__name__
            self._sent.put(_Sent(notice, problem))

    def _record(self) -> None:
        """Journal the results of the messages since the last call."""
        while True:
            try:
                sent = self._sent.get_nowait()
            except queue.Empty:
                return
            self._open.remove(sent.notice)
            if sent.problem is None:
                self._journal.append("notified", event=sent.notice.kind.value)
            else:
                self._failed(sent.notice, sent.problem)

    def _failed(self, notice: Notice, problem: str) -> None:
        self._journal.append("not_notified", event=notice.kind.value, error=problem)
        self._say(f"the team was not notified ({notice.kind.value}): {problem}")


def _cleaned(notice: Notice, clean: Callable[[str], str]) -> Notice:
    """Return the notice without secrets, each field on one line."""

    def line(text: str) -> str:
        return " ".join(clean(text).split())

    return replace(
        notice,
        image=line(notice.image),
        actor=line(notice.actor),
        report=line(notice.report),
        reason=notice.reason.cleaned(line) if notice.reason else None,
    )


def about(plan: Plan, report: object) -> Notice:
    """Return the fields that all messages about one deployment share; ``report`` is the folder of its report."""
    image = plan.image
    return Notice(
        NoticeKind.STARTED,
        plan.deployment_id,
        plan.environment,
        plan.target,
        image.name,
        image.digest,
        plan.actor,
        place_of(report),
    )


def place_of(report: object, environ: Mapping[str, str] = os.environ) -> str:
    """Return where readers find a report: the run's page on the CI server, if there is one, else the folder."""
    server, repository, run = (environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else str(report)

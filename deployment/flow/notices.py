"""The team is told what a deployment came to; a channel that is slow or gone is recorded, and changes nothing.

Messages go out in order, in a thread of their own. That one is about to, and what came of it, is journalled by whoever listens,
never by that thread: a journal that is signed and closed does not grow any more. Whoever settles a dead run tells its end unless
the journal says that it was told: at least once, and twice where the run died in between.
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
from deployment.model import Happening, Notice, Reason
from deployment.phases import Phase
from deployment.plan import Plan
from deployment.ports import Notifier

BY_PHASE: Mapping[Phase, Happening] = {
    Phase.PROVISIONING: Happening.STARTED,
    Phase.AWAITING_APPROVAL: Happening.AWAITING_APPROVAL,
    Phase.REJECTED: Happening.REJECTED,
    Phase.SUCCEEDED: Happening.PROMOTED,
    Phase.ROLLED_BACK: Happening.ROLLED_BACK,
    Phase.HALTED: Happening.ROLLBACK_FAILED,
}
PATIENCE_S = 3.0
"""How long a run that is done waits for its last messages to be taken."""


@dataclass(frozen=True)
class _Sent:
    """What came of a message; ``problem`` is None where it was taken."""

    notice: Notice
    problem: str | None


@dataclass(frozen=True)
class Audience:
    """Who follows a run: a ``listener`` in this process, and a channel to the team, if the environment has one."""

    listener: Listener = lambda _: None
    notifier: Notifier | None = None


class Notices:
    """A listener: tells the team of the phases that concern it, and hands every event on to ``then``."""

    def __init__(
        self,
        notifier: Notifier | None,
        journal: Journal,
        about: Notice,
        then: Listener = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``about`` has all that a message says but what happened and why; without a ``notifier`` nobody is told."""
        self._notifier = notifier
        self._journal = journal
        self._about = about
        self._then = then
        self._say = say
        self._waiting: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._sent: queue.SimpleQueue[_Sent] = queue.SimpleQueue()
        self._open: list[Notice] = []
        self._said: set[Happening] = set()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Hears of one event of the deployment."""
        self._then(event)
        if isinstance(event, PhaseChanged) and event.after in BY_PHASE:
            self.send(BY_PHASE[event.after], event.reason)

    def send(self, happening: Happening, reason: Reason | None = None) -> None:
        """Puts a message on its way and returns at once."""
        if self._notifier is None:
            return
        told = None if happening in (Happening.STARTED, Happening.PROMOTED) else reason
        notice = _cleaned(replace(self._about, happening=happening, reason=told), self._journal.clean)
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, args=(self._notifier,), daemon=True)
            self._thread.start()
        self._journal.append("notifying", event=happening.value)
        self._said.add(happening)
        self._open.append(notice)
        self._waiting.put(notice)
        self._record()

    def send_end(self, phase: Phase, reason: Reason | None) -> None:
        """Sends what a run that ended in ``phase`` died without having told, as far as its journal knows."""
        happening = BY_PHASE.get(phase)
        if happening is None or happening in self._said:
            return
        told = {record.data["event"] for record in self._journal.records() if record.kind == "notified"}
        if happening.value not in told:
            self.send(happening, reason)

    def flush(self, patience_s: float = PATIENCE_S) -> None:
        """Waits a little for what is still on its way, and records what came of all messages; no more are sent after it."""
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
            except Exception as error:  # whatever a channel raises is its own affair, and its text may hold anything
                problem = type(error).__name__
            self._sent.put(_Sent(notice, problem))

    def _record(self) -> None:
        """Journals what came of the messages since the last time."""
        while True:
            try:
                sent = self._sent.get_nowait()
            except queue.Empty:
                return
            self._open.remove(sent.notice)
            if sent.problem is None:
                self._journal.append("notified", event=sent.notice.happening.value)
            else:
                self._failed(sent.notice, sent.problem)

    def _failed(self, notice: Notice, problem: str) -> None:
        self._journal.append("not_notified", event=notice.happening.value, error=problem)
        self._say(f"the team was not told ({notice.happening.value}): {problem}")


def _cleaned(notice: Notice, clean: Callable[[str], str]) -> Notice:
    """Without secrets, in one line each."""

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
    """What every message about one deployment says; ``report`` is the folder of its report."""
    image = plan.image
    return Notice(
        Happening.STARTED,
        plan.deployment_id,
        plan.environment,
        plan.target,
        image.name,
        image.digest,
        plan.actor,
        place_of(report),
    )


def place_of(report: object, environ: Mapping[str, str] = os.environ) -> str:
    """Where readers find a report: the run's page where a CI server keeps it, else the folder itself."""
    server, repository, run = (environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else str(report)

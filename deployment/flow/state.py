"""The state of one deployment: its phase, what it knows, and its record in the lease item.

Only the methods of this class and of ``Machine`` change it: every attribute is read-only from outside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from deployment.errors import CloudError, LeaseLost, SettingsError, StepFailed, first_line
from deployment.events import Listener, PhaseChanged, Waiting
from deployment.evidence.journal import Journal, last_data
from deployment.flow.alarms import AlarmWatch
from deployment.flow.lease import UNANSWERED, LeaseKeeper, release_lock
from deployment.flow.lost_reports import lost_report, note_of
from deployment.flow.steps import Steps
from deployment.model import Colour, Holder, Reason, Service
from deployment.phases import TERMINAL, Outcome, Phase, advance
from deployment.plan import (
    CHECKS,
    CHECKS_OF,
    LIVE_SINCE,
    LOST_WAY_BACK,
    ApprovalRequest,
    DeploymentRecord,
    LiveSince,
    LiveSnapshot,
    LostWayBack,
    Owner,
    Plan,
    Ports,
    Promotion,
)
from deployment.polling import poll
from deployment.settings import NEVER, DeploymentLimits


def _with_problems(previous: LiveSnapshot, journal: Journal) -> LiveSnapshot:
    """Return the snapshot with the problems of the line ``sick``: earlier versions did not store them in the record."""
    sick = last_data(journal.records(), "sick")
    if previous.problems or sick.get("colour") != previous.colour:
        return previous
    problems = tuple(sick.get("problems") or [str(sick["problem"])])
    return replace(previous, problems=problems, passed=tuple(sick.get("passed") or ()))


LIVE_IS_KNOWN = frozenset(Phase) - {Phase.PENDING, Phase.LEASED, Phase.REJECTED, Phase.REFUSED}
"""The phases that a deployment reaches only after it has checked the live colour."""


class DeploymentState:
    """What one deployment knows, from PENDING to one of the terminal phases."""

    __slots__ = (
        "_alarms",
        "_back_allowed",
        "_baked",
        "_baking_since",
        "_candidate",
        "_closed",
        "_holder",
        "_journal",
        "_keeper",
        "_kept",
        "_limits",
        "_live_problem",
        "_manifest",
        "_phase",
        "_phase_since",
        "_plan",
        "_ports",
        "_previous",
        "_promoted_generation",
        "_reason",
        "_request",
        "_steps",
        "_touched",
        "_verifying_since",
        "_watched_s",
        "_write_may_arrive",
    )

    def __init__(
        self, plan: Plan, limits: DeploymentLimits, ports: Ports, journal: Journal, listener: Listener
    ) -> None:
        self._plan = plan
        self._limits = limits
        self._ports = ports
        self._journal = journal
        self._steps = Steps(journal, ports.clock, listener, self._publish)
        self._phase = Phase.PENDING
        self._phase_since = ports.clock.now()
        self._reason: Reason | None = None
        self._previous: LiveSnapshot | None = None
        self._candidate: Service | None = None
        self._request: ApprovalRequest | None = None
        self._holder: Holder | None = None
        self._keeper: LeaseKeeper | None = None
        self._alarms: AlarmWatch | None = None
        self._live_problem: str | None = None
        self._promoted_generation: int | None = None
        self._manifest: tuple[str, ...] = ()
        self._touched = False
        self._baked = False
        self._kept: Colour | None = None
        self._back_allowed = False
        self._write_may_arrive = False
        self._closed = False
        self._verifying_since = 0.0
        self._baking_since = 0.0
        self._watched_s = 0.0

    @classmethod
    def resume(
        cls,
        record: DeploymentRecord,
        limits: DeploymentLimits,
        ports: Ports,
        journal: Journal,
        listener: Listener,
        holder: Holder,
    ) -> Self:
        """Return the machine of a deployment whose process died, as its record describes it.

        ``holder`` is this process, which has taken the lease over. A HALTED deployment resumes in ROLLING_BACK: its rollback
        failed and is tried again. Raises StepFailed if the record cannot be one of a deployment.
        """
        if record.phase is Phase.PENDING or (record.previous is None and record.phase in LIVE_IS_KNOWN):
            raise StepFailed(
                f"the record of {record.deployment_id} beside the lock is damaged: phase {record.phase} "
                f"{'cannot be stored' if record.phase is Phase.PENDING else 'without a previous colour'}",
                hint="Look at `python scripts/deploy.py status` and at docs/roll-back-by-hand.md.",
            )
        machine = cls(record.plan, limits, ports, journal, listener)
        machine._phase = Phase.ROLLING_BACK if record.phase is Phase.HALTED else record.phase
        machine._reason = record.reason
        machine._previous = record.previous and _with_problems(record.previous, journal)
        machine._touched = record.touched
        machine._back_allowed = record.back_allowed
        machine._write_may_arrive = True  # the dead process may have been writing the routes
        machine._hold(replace(holder, doing=f"recover {record.deployment_id}"))
        return machine

    # -- the state, read-only ----------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The release, the target colour and who deploys."""
        return self._plan

    @property
    def limits(self) -> DeploymentLimits:
        """The settings of ``[deployment]``."""
        return self._limits

    @property
    def ports(self) -> Ports:
        """The environment."""
        return self._ports

    @property
    def journal(self) -> Journal:
        """The journal of this run."""
        return self._journal

    @property
    def steps(self) -> Steps:
        """The steps so far, with the times at which routes were written."""
        return self._steps

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self._phase

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self._phase in TERMINAL

    @property
    def reason(self) -> Reason | None:
        """Why the deployment did not succeed; None while nothing failed."""
        return self._reason

    @property
    def previous(self) -> LiveSnapshot | None:
        """The live colour at the beginning; None before ``lease``."""
        return self._previous

    @property
    def candidate(self) -> Service | None:
        """The target colour as it was when verification began; None before ``provision`` succeeded."""
        return self._candidate

    @property
    def request(self) -> ApprovalRequest | None:
        """The request that an approval must match; None unless an approval is awaited."""
        return self._request

    @property
    def holder(self) -> Holder | None:
        """This process as the holder of the lease; None before ``lease``."""
        return self._holder

    @property
    def promoted_generation(self) -> int | None:
        """The newest generation of the routes that this deployment wrote for the candidate; None before any switch."""
        return self._promoted_generation

    @property
    def touched(self) -> bool:
        """Whether the target colour was changed, or may have been."""
        return self._touched

    @property
    def baked(self) -> bool:
        """Whether the bake ended without harm."""
        return self._baked

    @property
    def live_problem(self) -> str | None:
        """The problem of the live colour at the beginning, if that was allowed; None if the colour was healthy."""
        return self._live_problem

    # -- changes -----------------------------------------------------------------------------------------------------

    def expect_manifest(self, checks: Sequence[str]) -> None:
        """Store the node ids of the checks that must pass; they are kept beside the lease after a promotion."""
        self._manifest = tuple(checks)

    def _hold(self, holder: Holder) -> None:
        """Adopt this lease and start renewing it."""
        self._holder = holder
        self._keeper = LeaseKeeper(self._ports.lease, holder, self._limits.lease_ttl)
        self._keeper.start()

    def still_ours(self) -> None:
        """Raise LeaseLost if this run may not act any more, JournalUnwritable if it could not prove what it does."""
        if self._keeper and self._keeper.lost:
            raise LeaseLost(self._keeper.lost)
        self._journal.require_written()

    def _held(self) -> Holder:
        if self._holder is None:
            raise LeaseLost("this run does not hold the lease")
        return self._holder

    def _live_before(self) -> LiveSnapshot:
        if self._previous is None:
            raise AssertionError("the live colour was never checked")
        return self._previous

    def _move(self, outcome: Outcome, *, publish: bool = True) -> None:
        """Enter the next phase. ``publish``: write the record beside the lease as well."""
        before, self._phase = self._phase, advance(self._phase, outcome)
        self._phase_since = self._ports.clock.now()
        self._journal.append("phase", before=before, after=self._phase, reason=self._reason)
        self._journal.require_written()
        if publish:
            self._publish()
        self._steps.notify(PhaseChanged(before, self._phase, self._reason))

    def record(self) -> DeploymentRecord:
        """Return this deployment as the lease item stores it. Raises LeaseLost before ``lease``."""
        return DeploymentRecord(
            plan=self._plan,
            owner=Owner.of(self._held()),
            phase=self._phase,
            phase_since=self._phase_since.isoformat(),
            step=self._steps.current,
            previous=self._previous,
            reason=self._reason,
            touched=self._touched,
            request=self._request,
            back_allowed=self._back_allowed,
        )

    def _publish(self) -> None:
        """Write the record beside the lease. If that fails, only the steps towards safety go on."""
        if self._holder is None:
            return
        try:
            notes = {"deployment": self.record().dump(), "head": self._journal.head}
            self._ports.lease.note(self._holder, notes)
        except UNANSWERED as error:
            if not self.ended and self._phase is not Phase.ROLLING_BACK:
                raise
            self._journal.append("note_failed", error=first_line(error))

    def _record_promotion(self) -> None:
        """Write the record of a promotion beside the lease, with retries for ``rollback_timeout`` seconds.

        Until it is written, a run on another machine rolls the promotion back. Raises LeaseLost, and DeadlinePassed if
        the lock's table did not take the record.
        """
        lease, holder, failed = self._ports.lease, self._held(), ""

        def attempt() -> bool | None:
            nonlocal failed
            now = self._ports.clock.now().isoformat()
            record = replace(self.record(), phase=Phase.SUCCEEDED, phase_since=now)
            try:
                lease.renew(holder)  # it may have expired in an outage, although no other run took it
                lease.note(holder, {"deployment": record.dump(), "head": self._journal.head})
            except (CloudError, SettingsError) as error:
                if not failed:
                    self._journal.append("note_failed", error=first_line(error))
                failed = first_line(error)
                return None
            return True

        poll(
            self._ports.clock,
            attempt,
            timeout_s=self._limits.rollback_timeout,
            waiting_for=lambda: f"the lock's table did not take the result; last: {failed}",
            tick=lambda elapsed: self._steps.notify(Waiting("bake", f"recording the promotion: {failed}", elapsed)),
        )

    def let_go(self, unreported: str | None = None) -> str | None:
        """Close the record and release the lease, after the report was written; does nothing when called again.

        ``unreported``: why the report could not be written; the result is then kept beside the lease, for ``recover``. A
        halted deployment keeps record and lease, so that nothing is deployed on it. Returns what went wrong, or None.
        """
        if self._keeper:
            self._keeper.stop()
        if self._holder is None or self._closed or (self._phase is Phase.HALTED and self._kept is None):
            return None
        notes: dict[str, str | None] = {"deployment": None, "head": self._journal.head}
        if self._phase is Phase.SUCCEEDED:
            notes |= {"promotion": self._promotion().dump(), CHECKS: json.dumps(self._manifest)}
            notes |= {CHECKS_OF: self._plan.deployment_id}
            notes |= {LOST_WAY_BACK: None, LIVE_SINCE: self._live_since("promotion").dump()}
        elif self._phase is Phase.ROLLED_BACK or self._touched:
            notes |= self._way_back_lost()
            if self._phase is Phase.ROLLED_BACK:
                notes[LIVE_SINCE] = self._live_since("rollback").dump()
        if self._kept is not None:
            notes |= self._kept_since(self._kept)
        if unreported is not None:
            result = lost_report(self._journal, self._phase, self._reason, unreported)
            notes |= note_of(self._ports.lease, self._plan.deployment_id, result)
        problem = release_lock(self._ports.lease, self._holder, notes)
        self._closed = problem is None
        return problem

    def _way_back_lost(self) -> dict[str, str | None]:
        """Return the notes that end the last promotion's way back: its previous colour was deployed to, and stopped."""
        notes: dict[str, str | None] = {"promotion": None}
        try:
            text = self._ports.lease.notes().get("promotion")
            last = Promotion.load(text) if text is not None else None
        except CloudError:  # only the explanation is lost
            return notes
        if last is not None and last.previous.colour is self._plan.target:
            notes[LOST_WAY_BACK] = LostWayBack(last, self._plan.deployment_id, "overwritten").dump()
        return notes

    def _kept_since(self, live: Colour) -> dict[str, str | None]:
        """Return the note about the colour that an operator left live: since this run's last write of the routes.

        If that write was for the other colour, or the journal is on another disk, an earlier note stays if it names this
        release, and otherwise the target is live since now at the latest.
        """
        target = live is self._plan.target
        writes = [record for record in self._journal.records() if record.kind == "writing"]
        at = writes[-1].time if writes and writes[-1].data.get("colour") == live else None
        since = self._live_since("promotion" if target else "rollback", at)
        return {LIVE_SINCE: since.dump()} if at or (target and not self._noted(since)) else {}

    def _noted(self, since: LiveSince) -> bool:
        """Return whether the lease item knows since when this release is live; a note that cannot be read does not."""
        try:
            text = self._ports.lease.notes().get(LIVE_SINCE)
            known = LiveSince.load(text) if text else None
        except CloudError:  # the lock must be released all the same
            return False
        return known is not None and (known.colour, known.digest) == (since.colour, since.digest)

    def _live_since(self, how: str, at: str | None = None) -> LiveSince:
        """Return since when the target (by ``promotion``) or the previous colour is live; ``at``: ISO 8601, default: now."""
        plan, back = self._plan, self._live_before()
        colour, digest = (plan.target, plan.image.digest) if how == "promotion" else (back.colour, back.digest)
        at = at or self._ports.clock.now().isoformat()
        return LiveSince(plan.deployment_id, colour, digest, at, plan.actor, how)

    def _promotion(self) -> Promotion:
        return Promotion(
            self._plan.deployment_id,
            self._plan.target,
            self._plan.image,
            self._promoted_generation or 0,
            self._live_before(),
            self._ports.clock.now().isoformat(),
            None if self._limits.retire_after == NEVER else float(self._limits.retire_after),
        )

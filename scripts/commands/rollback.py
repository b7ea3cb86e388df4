"""``rollback``: undoes the last promotion, and writes its own report."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import Admission, Duty, admit, demand
from deployment.errors import CloudError, DeploymentError, JournalUnwritable, Refused, first_line
from deployment.evidence import archive
from deployment.evidence.journal import JOURNAL_FILE, Journal
from deployment.evidence.opening import Opening, open_journal, plan_release
from deployment.evidence.report import VERDICTS
from deployment.files import problem_of
from deployment.flow.notices import Notices, place_of
from deployment.flow.read_back import report_read_back
from deployment.model import Notice, NoticeKind, Reason
from deployment.phases import ROLLBACK_EXIT_CODES, Phase
from deployment.plan import LostWayBack, Promotion
from deployment.ports import NothingWritten, WrittenData
from deployment.recovery.leftovers import LEDGER_FILE, remove_own
from deployment.recovery.lock_wait import Queue, refuse_while_held
from deployment.recovery.undo import Asker, Undo, last_promotion, lost_way_back, refuse_irreversible, undoable
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.page import render
from plugins.traffic import TrafficMonitor, prober_config
from scripts.commands import console
from verification.prober.prober import ProberFailed
from verification.watch.watch import WatchLimits

INTERNAL_ERROR = 3
WARM_UP_S = 5.0
"""The longest wait for the prober's first answers before traffic moves."""
HAPPENINGS = {
    Phase.ROLLED_BACK: NoticeKind.ROLLED_BACK,
    Phase.REJECTED: NoticeKind.REJECTED,
    Phase.HALTED: NoticeKind.ROLLBACK_FAILED,
}


@dataclass(frozen=True)
class Request:
    """What the caller asks for: how long to wait for the lock (seconds), and why.

    ``irreversible``: why to go back although the release's migration is irreversible; None: refuse that.
    """

    wait_for_lock: float = 0.0
    irreversible: str | None = None
    reason: str | None = None


def rollback(settings: Settings, environment: Environment, reports: Path, asked: Request | None = None) -> int:
    """Return 0 if traffic moved and was verified, 1 if the previous colour is unhealthy and nothing moved, 11 if unknown.

    Raises Refused if the caller may not roll back, or if no promotion can be undone.
    """
    asked = asked or Request()
    asker = Asker(settings.access, environment.caller)
    promotion = Queue(environment.ports.clock, asked.wait_for_lock, console.waiting()).retry(
        lambda: undoable(environment.ports, asker, lambda lost: _again(environment, lost))
    )
    refuse_irreversible(promotion, asked.irreversible)
    # The promoted colour needs the rights, since it is stopped afterwards; the previous colour is not changed.
    admission = admit(settings.access, [Duty.ROLLBACK], environment.caller, environment.permissions, promotion.target)
    for unchecked in filter(None, (admission.unchecked, environment.unread)):
        console.say(f"not checked: {unchecked}")
    with console.uninterrupted():
        return _carry_out(settings, environment, reports, admission, promotion, asked)


def release_to_redeploy(
    settings: Settings, environment: Environment, irreversible: str | None, wait_for_lock: float = 0.0
) -> tuple[str, str]:
    """Return tag and colour of the release that was live before the last promotion and that cannot take traffic any more.

    Waits up to ``wait_for_lock`` seconds for a running deployment. Raises Refused if there is no such release, or if
    ``rollback`` without a deployment is possible.
    """
    demand(settings.access, [Duty.ROLLBACK], environment.caller)
    Queue(environment.ports.clock, wait_for_lock, console.waiting()).retry(lambda: refuse_while_held(environment.ports))
    lost = lost_way_back(environment.ports)
    if lost is None:
        promotion = last_promotion(environment.ports)
        raise Refused(
            f"{promotion.previous.colour} still has {promotion.previous.release}: nothing has to be deployed again",
            hint="Run `python scripts/deploy.py rollback`, which only moves traffic.",
        )
    refuse_irreversible(lost.promotion, irreversible)
    return _tag(environment, lost), lost.promotion.previous.colour.value


def _tag(environment: Environment, lost: LostWayBack) -> str:
    digest = lost.promotion.previous.digest
    if digest is None:
        raise Refused(
            "it is not known which image the previous release had",
            hint="Deploy the release that you want with `python scripts/deploy.py deploy --image-tag TAG`.",
        )
    image = environment.registry.find(digest)
    if image is None:
        raise Refused(
            f"the registry does not have {digest} any more, the image of {lost.promotion.previous.release}",
            hint="Build that release again and deploy it with `python scripts/deploy.py deploy --image-tag TAG`.",
        )
    return image.tag


def _again(environment: Environment, lost: LostWayBack) -> str:
    try:
        tag = _tag(environment, lost)
    except (Refused, CloudError) as error:
        return first_line(error)
    named = f"--environment {environment.name}"
    return (
        f"Deploy it again: `python scripts/deploy.py rollback --redeploy {named}`, "
        f"which is `python scripts/deploy.py deploy --image-tag {tag} --target {lost.promotion.previous.colour} {named}`."
    )


def _carry_out(
    settings: Settings,
    environment: Environment,
    reports: Path,
    admission: Admission,
    promotion: Promotion,
    asked: Request,
) -> int:
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-rollback-{secrets.token_hex(3)}"
    folder = reports / run_id
    front = environment.ports.data.record(folder / LEDGER_FILE, environment.ports.front)
    environment = replace(environment, ports=replace(environment.ports, front=front))
    journal = Journal(
        folder / JOURNAL_FILE, environment.caller.arn, environment.ports.clock, console.redactor_of(environment).clean
    )
    _open(journal, run_id, environment, promotion, asked.reason)
    if promotion.image.irreversible:
        journal.append("irreversible", reason=asked.irreversible, by=environment.caller.arn)
    journal.append("admitted", by=environment.caller.arn, duties=list(admission.duties), unchecked=admission.unchecked)
    notices = Notices(environment.notifier, journal, _about(run_id, environment, promotion, folder), say=console.say)
    traffic = _start_counting(settings, environment, folder, journal)
    data = _write(environment, promotion, folder)
    undo = Undo(run_id, environment.operation(settings.limits), journal, console.event)
    refusal: Refused | None = None
    requested = Reason("rollback", f"a rollback of {promotion.deployment_id} was requested")
    began = time.time()
    try:
        _warm_up(traffic, journal)
        try:
            undo.run(promotion)
        except Refused as error:  # another run was faster
            refusal = error
        else:
            written = undo.written[-1] if undo.written else None
            why, version = str(undo.reason or requested), promotion.previous.version
            seen = None if traffic is None else traffic.rollback(began, written, why, version)
            journal.append("traffic", promotion=None, rollback=seen)
            if undo.phase is Phase.ROLLED_BACK:
                report_read_back(data, journal, console.say)
    finally:
        data.remove()
        if traffic is not None:
            traffic.stop()
    code = ROLLBACK_EXIT_CODES[undo.phase]
    if refusal is None:
        notices.send(HAPPENINGS[undo.phase], undo.reason or requested)
        notices.flush()
    unreported = _close(journal, folder, environment, undo, leased=refusal is None)
    if problem := undo.let_go(unreported):
        console.say(problem)
    remove_own(environment.ports.data, folder, console.say)
    if refusal is not None:
        raise refusal
    click.echo(_sentence(undo, promotion))
    if unreported is not None:
        click.echo(f"the report in {folder} cannot be written: {unreported}", err=True)
        return code if undo.phase is Phase.HALTED else INTERNAL_ERROR
    click.echo(f"report: {folder / 'report.html'}")
    return code


def _start_counting(
    settings: Settings, environment: Environment, folder: Path, journal: Journal
) -> TrafficMonitor | None:
    """Start to count users' requests; None if that is not possible, because the way back must not depend on it."""
    try:
        config = prober_config(settings, environment.live_url, environment.smoke_users, folder)
        return TrafficMonitor(config, WatchLimits())
    except Exception as error:  # no error of the prober, of any kind, may stop the way back
        _not_counted(journal, f"the prober did not start: {problem_of(error)}")
        return None


def _warm_up(traffic: TrafficMonitor | None, journal: Journal) -> None:
    """Wait for the first answers on the live domain, but not long: users are waiting, and it may not answer at all."""
    if traffic is None:
        return
    try:
        traffic.warm_up(WARM_UP_S)
    except ProberFailed as error:
        _not_counted(journal, str(error))


def _not_counted(journal: Journal, problem: str) -> None:
    journal.append("check_failed", error=f"users' requests before the rollback: {problem}")
    console.say(f"users' requests are not counted from the start, and the rollback goes on: {problem}")


def _write(environment: Environment, promotion: Promotion, folder: Path) -> WrittenData:
    """Begin to write data to the promoted colour, which is read again once traffic is back on the other one."""
    try:
        url = environment.ports.platform.describe(promotion.target).url
    except DeploymentError:
        url = None
    return NothingWritten() if url is None else environment.ports.data.write(url, folder / LEDGER_FILE)


def _close(journal: Journal, folder: Path, environment: Environment, undo: Undo, *, leased: bool) -> str | None:
    """Write the report and archive it; return why the report could not be written, None if it was."""
    closing = {
        "verdict": VERDICTS[undo.phase],
        "exit_code": ROLLBACK_EXIT_CODES[undo.phase],
        "reason": str(undo.reason) if undo.reason else None,
        "finished_at": environment.ports.clock.now().isoformat(timespec="milliseconds"),
    }
    try:
        store = environment.archive(leased=leased)
        archive.close(journal, folder, [("closed", closing)], store, console.say, render)
    except (OSError, JournalUnwritable) as error:
        return journal.problem or problem_of(error)
    return None


def _open(journal: Journal, run_id: str, environment: Environment, promotion: Promotion, reason: str | None) -> None:
    previous, by = promotion.previous, environment.caller.arn
    opening = Opening(run_id, environment.name, "rollback", by, previous.colour)
    given = {} if reason is None else {"reason": reason}
    open_journal(journal, opening, environment.ports.clock.now().isoformat(timespec="milliseconds"), **given)
    known = {"digest": previous.digest, "version": previous.version}
    image = environment.image_of(previous.digest)
    plan_release(journal, previous.colour, image, by, known=known, undoes=promotion.deployment_id)


def _about(run_id: str, environment: Environment, promotion: Promotion, folder: Path) -> Notice:
    """Return the notice to the team, without its outcome."""
    back = promotion.previous
    image = environment.image_of(back.digest)
    return Notice(
        NoticeKind.STARTED,
        run_id,
        environment.name,
        back.colour,
        image.name if image else "the previous release",
        back.digest or "unknown",
        environment.caller.arn,
        place_of(folder),
    )


def _sentence(undo: Undo, promotion: Promotion) -> str:
    back, away, reason = promotion.previous.colour, promotion.target, undo.reason
    still = f" ({reason.text})" if reason else ""
    end = f"{away} is stopped" if undo.stopped else f"{away} could not be stopped; it takes no traffic"
    return {
        Phase.ROLLED_BACK: f"rolled back: {back} is live again and verified{still}; {end}",
        Phase.REJECTED: f"not rolled back, traffic stays on {away}: {reason}",
    }.get(undo.phase, f"ROLLBACK FAILED, a person must act: {reason}. See docs/roll-back-by-hand.md.")

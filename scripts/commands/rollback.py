"""``rollback``: undoes the last promotion, and writes a report of its own."""

from __future__ import annotations

import os
import secrets
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.access import Admission, Duty, admit, demand
from deployment.errors import Refused, first_line
from deployment.evidence import archive
from deployment.evidence.journal import Journal
from deployment.evidence.report import VERDICTS
from deployment.flow.notices import Notices, place_of
from deployment.model import Happening, Notice
from deployment.phases import Phase
from deployment.plan import Promotion
from deployment.recovery.interrupted_run import JOURNAL_FILE
from deployment.recovery.lock_wait import Queue, refuse_while_held
from deployment.recovery.undo import Undo, last_promotion, refuse_irreversible
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.page import standalone
from plugins.traffic import TrafficMonitor
from scripts.commands import console
from verification.prober_config import ProberConfig
from verification.watch import WatchLimits

EXIT_CODES = {Phase.ROLLED_BACK: 0, Phase.REJECTED: 1, Phase.REFUSED: 4, Phase.HALTED: 11}
HAPPENINGS = {
    Phase.ROLLED_BACK: Happening.ROLLED_BACK,
    Phase.REJECTED: Happening.REJECTED,
    Phase.HALTED: Happening.ROLLBACK_FAILED,
}


def rollback(
    settings: Settings,
    environment: Environment,
    reports: Path,
    wait_for_lock: float = 0.0,
    irreversible: str | None = None,
) -> int:
    """0: moved and verified; 1: the previous colour is unhealthy, nothing moved; 11: unknown. Raises Refused."""
    demand(settings.access, [Duty.ROLLBACK], environment.caller)
    Queue(environment.ports.clock, wait_for_lock, console.waiting()).through(
        lambda: refuse_while_held(environment.ports)
    )
    promotion = last_promotion(environment.ports)
    refuse_irreversible(promotion, irreversible)
    # It is stopped afterwards; the colour that traffic goes back to is not changed.
    admission = admit(settings.access, [Duty.ROLLBACK], environment.caller, environment.permissions, promotion.target)
    if admission.unchecked:
        console.say(f"not checked: {admission.unchecked}")
    with console.uninterrupted():
        return _carry_out(settings, environment, reports, admission, promotion, irreversible)


def _carry_out(
    settings: Settings,
    environment: Environment,
    reports: Path,
    admission: Admission,
    promotion: Promotion,
    irreversible: str | None,
) -> int:
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-rollback-{secrets.token_hex(3)}"
    folder = reports / run_id
    journal = Journal(
        folder / JOURNAL_FILE, environment.caller.arn, environment.ports.clock, console.redactor_of(environment).clean
    )
    _open(journal, run_id, environment, promotion)
    if promotion.image.irreversible:
        journal.append("irreversible", reason=irreversible, by=environment.caller.arn)
    journal.append("admitted", by=environment.caller.arn, duties=list(admission.duties), unchecked=admission.unchecked)
    notices = Notices(environment.notifier, journal, _about(run_id, environment, promotion, folder), say=console.say)
    traffic = TrafficMonitor(_prober(settings, environment, folder), WatchLimits())
    undo = Undo(
        run_id, environment.name, environment.caller.arn, settings.limits, environment.ports, journal, console.event
    )
    refusal: Refused | None = None
    asked_for = f"rollback of {promotion.deployment_id} was asked for"
    began = time.time()
    try:
        traffic.warm_up()
        try:
            undo.run(promotion)
        except Refused as error:  # somebody else was faster
            refusal, undo.phase, undo.reason = error, Phase.REFUSED, f"lease: {first_line(error)}"
        else:
            written = undo.written[-1] if undo.written else None
            seen = traffic.rollback(began, written, undo.reason or asked_for, promotion.previous.version)
            journal.append("traffic", promotion=None, rollback=seen)
    finally:
        traffic.stop()
    code = EXIT_CODES[undo.phase]
    if refusal is None:
        notices.send(HAPPENINGS[undo.phase], undo.reason or asked_for)
        notices.flush()
    closing = {
        "verdict": VERDICTS[undo.phase],
        "exit_code": code,
        "reason": undo.reason,
        "finished_at": environment.ports.clock.now().isoformat(timespec="milliseconds"),
    }
    leased = refusal is None
    archive.close(journal, folder, [("closed", closing)], environment.archive(leased=leased), console.say, standalone)
    if problem := undo.let_go():
        console.say(problem)
    if refusal is not None:
        raise refusal
    click.echo(_sentence(undo.phase, promotion, undo.reason))
    click.echo(f"report: {folder / 'report.html'}")
    return code


def _open(journal: Journal, run_id: str, environment: Environment, promotion: Promotion) -> None:
    journal.append(
        "opened",
        deployment_id=run_id,
        environment=environment.name,
        target=promotion.previous.colour,
        by=environment.caller.arn,
        started_at=environment.ports.clock.now().isoformat(timespec="milliseconds"),
        mode="rollback",
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    image = environment.image_of(promotion.previous.digest)
    journal.append(
        "planned",
        target=promotion.previous.colour,
        image=image.name if image else None,
        digest=promotion.previous.digest,
        version=promotion.previous.version,
        undoes=promotion.deployment_id,
        by=environment.caller.arn,
    )


def _about(run_id: str, environment: Environment, promotion: Promotion, folder: Path) -> Notice:
    """What the team is told, whatever comes of it."""
    back = promotion.previous
    image = environment.image_of(back.digest)
    return Notice(
        Happening.STARTED,
        run_id,
        environment.name,
        back.colour,
        image.name if image else "the previous release",
        back.digest or "unknown",
        environment.caller.arn,
        place_of(folder),
    )


def _prober(settings: Settings, environment: Environment, folder: Path) -> ProberConfig:
    return ProberConfig(
        environment.live_url,
        environment.smoke_users[-1],
        rate=settings.limits.prober_rate,
        timeout_s=settings.limits.prober_timeout,
        stderr_log=str(folder / "prober.log"),
    )


def _sentence(phase: Phase, promotion: Promotion, reason: str | None) -> str:
    back, away = promotion.previous.colour, promotion.target
    return {
        Phase.ROLLED_BACK: f"rolled back: {back} is live again and verified; {away} is stopped",
        Phase.REJECTED: f"not rolled back, traffic stays on {away}: {reason}",
    }.get(phase, f"ROLLBACK FAILED, a person must act: {reason}. See docs/roll-back-by-hand.md.")

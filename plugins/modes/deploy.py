"""The actions of a deployment at each stage of a run: the machine's steps, and the rejection or rollback."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from deployment.access import Admission
from deployment.errors import DeploymentError, LeaseHeld, StepFailed, first_line
from deployment.evidence.archive import NOWHERE, Archive, EvidenceWriter
from deployment.evidence.opening import plan_release
from deployment.evidence.report import VERDICTS
from deployment.evidence.sentence import name_environment
from deployment.evidence.verdict import LIVE, CheckOutcome, CheckResult, GateOutcome, GateResult, culprit, not_passed
from deployment.flow import lost_reports
from deployment.flow.approval import REQUIRED, wait_for_approval
from deployment.flow.lease import alive, open_deployment
from deployment.flow.machine import Machine
from deployment.flow.notices import Audience, Notices, about
from deployment.flow.read_back import report_read_back
from deployment.flow.reverify import live_problem
from deployment.model import Colour, Reason
from deployment.phases import EXIT_CODES, Phase
from deployment.plan import LiveSnapshot, Plan
from deployment.ports import WrittenData
from deployment.recovery import complete_report
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.leftovers import LEDGER_FILE, remove_of_ended_runs, remove_own
from deployment.recovery.lock_wait import dead_lock_token, refuse_while_held
from deployment.settings import Settings
from deployment.strategy import parse
from infrastructure import compose
from infrastructure.compose import Environment
from infrastructure.description import service_of
from plugins.modes.admission import (
    admit_run,
    check_preflight,
    compare_manifests,
    queue_of,
    read_checklist,
    report_broken_locks,
)
from plugins.modes.choice import (
    at_own_address,
    choose_image,
    choose_target,
    live_release,
    projected_target,
    refuse_irreversible,
    refuse_other_colour,
)
from plugins.modes.coordinator import Coordinator
from plugins.modes.environment_snapshot import allow_unhealthy_live, front_door_request, take_snapshot
from plugins.modes.scratch import remove_leftovers
from plugins.page import render
from plugins.stages import AFTER_DEPENDENCIES, BYSTANDER, Stage
from plugins.state import HeldLease, Release
from plugins.traffic import (
    CONTROL_SHARE,
    LEAST_CONTROL_RATE,
    TrafficCanaryWatch,
    TrafficMonitor,
    prober_config,
    prober_needed,
    watch_limits,
)
from verification.journeys.placeholders import provided_secrets, secret_values
from verification.journeys.untried import untried
from verification.watch.candidate_watch import Side

LOCK_STAYS, REPORT_MISSING = "frees the lock, which was not released", "completes the report, which was not written"
"""What ``recover`` does for a run that could not do it at its end."""
OWN_CLOUD_STOPPED = (
    "stopped the embedded environment that this run had started; `python scripts/deploy.py up` starts one that stays up"
)


class DeployMode:
    """One deployment, driven stage by stage."""

    def __init__(self, coordinator: Coordinator, settings: Settings) -> None:
        self._run = coordinator
        self._settings = settings
        self._own_cloud = False
        self._environment: Environment | None = None
        self._machine: Machine | None = None
        self._traffic: TrafficMonitor | None = None
        self._notices: Notices | None = None
        self._admission: Admission | None = None
        self._decided_at: float | None = None
        self._promoted_at: float | None = None
        self._written: WrittenData | None = None
        self.live_harmed = False

    # -- stages --------------------------------------------------------------------------------------------------------

    def enter(self, stage: Stage) -> None:
        """Run the machine's steps before the stage's checks. Raises DeploymentError if the run cannot continue."""
        if stage is Stage.HEALTH:
            self._begin()
        elif stage in AFTER_DEPENDENCIES:
            if self._run.waiting:
                self.stop_if_failed()
        elif stage < Stage.LIVE:
            self._stop_if_blocked(stage)
        elif stage is Stage.LIVE:
            self._promote()
        else:
            self._bake()

    def _begin(self) -> None:
        run, settings = self._run, self._settings
        queue = queue_of(run)
        read_checklist(run, settings)
        self._own_cloud = queue.retry(self._start_cloud)
        environment = compose.connect(settings)
        ledger = run.folder / LEDGER_FILE
        front = environment.ports.data.record(ledger, environment.ports.front)
        environment = self._environment = replace(environment, ports=replace(environment.ports, front=front))
        run.redactor.learn(*environment.secrets, *secret_values(service_of(settings).variables))
        run.name_checks()
        target = projected_target(environment, run.options.target, run.run_id)
        self._admission = admit_run(run, environment, settings, target)
        machine, live = queue.retry(lambda: self._take_lock(environment, target))
        plan, holder = machine.plan, machine.holder
        assert holder is not None, "a leased machine has a holder"
        run.publish(
            ledger=str(ledger),
            smoke_users=environment.smoke_users,
            token_secret=environment.token_secret,
            secrets=provided_secrets(),
            # With one account, what is private cannot be asked for as another user: such a check is left out, never passed.
            no_account=None if len(environment.smoke_users) != 1 else "it needs two accounts, and the secret holds one",
            stores=environment.stores,
            stores_before=take_snapshot(environment, settings),
            lease=HeldLease(run.run_id, holder.token, holder.since.isoformat()),
            live=live_release(environment, live),
            # The candidate is not compared with an unhealthy live colour, which may not answer at all.
            baseline=None if live.url is None or self._live_unhealthy else at_own_address(environment, live),
        )
        for text in untried(
            service_of(settings), len(environment.smoke_users), knows_secret=bool(environment.token_secret)
        ):
            run.warn("auth", text)
        self._start_traffic(environment, machine)
        candidate = machine.provision()
        url = candidate.url or ""
        run.publish(
            candidate=Release(url, plan.target, plan.image),
            front_door=front_door_request(environment, url),
        )

    def _start_cloud(self) -> bool:
        run, settings = self._run, self._settings
        if not compose.is_up(settings):
            # A run that would be refused is refused before an environment is started for it.
            image, live = compose.projected_release(settings, run.options.image_tag)
            choose_target(live, run.options.target)
            refuse_irreversible(image, run.options.allow_irreversible, settings.limits.strategy)
        return compose.start(settings, run.say, run.run_id)

    def _take_lock(self, environment: Environment, expected_target: Colour) -> tuple[Machine, LiveSnapshot]:
        """Recover interrupted runs, plan, and take the lease. Raises LeaseHeld if a running deployment holds it."""
        run = self._run
        refuse_while_held(environment.ports)
        self._recover_interrupted(environment)
        plan = self._plan(environment)
        if plan.target is not expected_target:  # `auto`, and traffic has moved since
            self._admission = admit_run(run, environment, self._settings, plan.target)
        refuse_other_colour(run.run_id, plan.target)
        check_preflight(run, environment, self._settings, self._admission, plan)
        notices = self._notices = Notices(
            environment.notifier, run.journal, about(plan, run.folder), run.terminal.event, run.say
        )
        machine = self._machine = Machine(plan, self._settings.limits, environment.ports, run.journal, notices)
        compare_manifests(run, environment, machine)
        live = machine.lease(dead_lock_token(environment.ports), run.options.allow_unhealthy_live)
        allow_unhealthy_live(run, machine)
        report_broken_locks(machine, run.say)
        complete_report.complete(
            run.options.reports,
            self._settings.environment,
            by=complete_report.Recoverer(environment.caller.arn),
            clock=run.clock,
            evidence=self._evidence(environment.archive()),
            lost=lost_reports.results(environment.ports.lease),
        )
        remove_leftovers(partial(complete_report.run_ended, run.options.reports))
        remove_of_ended_runs(environment.ports.data, run.options.reports, run.say)
        return machine, live

    @property
    def _live_unhealthy(self) -> bool:
        """Return whether the live colour was unhealthy before anything changed: then the candidate did not harm its users."""
        return self._machine is not None and self._machine.live_problem is not None

    def _recover_interrupted(self, environment: Environment) -> None:
        """Recover an interrupted run. Raises LeaseHeld if that run still lives, StepFailed if it cannot be recovered."""
        found = open_deployment(environment.ports)
        if found is None:
            return
        if found.holder is not None and alive(environment.ports, found.holder):
            raise LeaseHeld(found.holder)
        self._run.say(f"recovering {found.record.deployment_id}, which died in phase {found.record.phase}")
        phase = recover_run(
            found,
            environment.operation(self._settings.limits),
            self._run.options.reports,
            Audience(self._run.terminal.event, environment.notifier),
            self._evidence(environment.archive(leased=True)),
        )
        self._run.journal.append("settled", deployment_id=found.record.deployment_id, verdict=VERDICTS[phase])
        if phase is Phase.HALTED:
            raise StepFailed(f"{found.record.deployment_id} could not be recovered; a person must act")

    def _evidence(self, archive: Archive) -> EvidenceWriter:
        return EvidenceWriter(self._run.redactor.clean, archive, self._run.say, render)

    def _plan(self, environment: Environment) -> Plan:
        image, allowed = choose_image(environment, self._run.options.image_tag), self._run.options.allow_irreversible
        refuse_irreversible(image, allowed, self._settings.limits.strategy)
        target = choose_target(environment.ports.router.observe().live, self._run.options.target)
        actor = self._run.journal.actor = environment.caller.arn
        plan_release(self._run.journal, target, image, actor, requested_by=self._run.actor)
        if image.irreversible:
            self._run.journal.append("irreversible", reason=allowed, by=actor)
        names = service_of(self._settings).health.version is not None
        return Plan(self._run.run_id, self._settings.environment, target, image, actor, self._run.started_at, names)

    def _start_traffic(self, environment: Environment, machine: Machine) -> None:
        limits, live, previous = self._settings.limits, self._settings.table(LIVE), machine.previous
        assert previous is not None, "a leased machine knows the live colour"
        with prober_needed():
            config = replace(
                prober_config(self._settings, environment.live_url, environment.smoke_users, self._run.folder),
                control_url=previous.url,
                control_rate=max(LEAST_CONTROL_RATE, CONTROL_SHARE * limits.prober_rate),
            )
            self._traffic = TrafficMonitor(config, watch_limits(live))
            self._traffic.warm_up()
        self._traffic.watch_live(colour=previous.colour, generation=previous.generation, version=previous.version)

    def _stop_if_blocked(self, stage: Stage) -> None:
        """Stop the run before the next stage if a required gate failed or users are harmed."""
        before_live = [gate for gate in self._run.gates() if gate.name != LIVE]
        under_way = {check.gate for check in self._run.checks if check.stage >= stage}
        begun = [gate for gate in before_live if gate.failed or gate.name not in under_way]
        self._block(not_passed([gate for gate in begun if gate.outcome is not GateOutcome.NOT_RUN]))

    def _block(self, gates: list[GateResult]) -> None:
        run = self._run
        if gates:
            first = next((gate for gate in gates if gate.name == BYSTANDER), culprit(gates))
            run.stop(Reason(first.name, first.reason or first.outcome.value))
        elif run.tally.faults:
            where, what = run.tally.faults[0]
            run.stop(Reason(where, what))
        elif self._traffic is not None and not self._live_unhealthy and (harm := self._traffic.harm()):
            run.stop(Reason(LIVE, f"the live colour was harmed while the candidate was being verified: {harm}"))

    def _promote(self) -> None:
        run, machine, traffic = self._run, self._machine, self._traffic
        assert machine is not None, "the live stage comes after the health stage"
        assert traffic is not None, "the prober starts before provisioning"
        gates = [gate for gate in run.gates() if gate.name != LIVE]
        verified = run.journal.append("verified", gates=[gate.as_report() | {"reason": gate.reason} for gate in gates])
        self._block(not_passed(gates))
        if run.stopped or not self._approved(machine, verified.hash, traffic):
            return
        if not self._live_unhealthy and (problem := live_problem(machine.ports, machine.previous)):
            self.live_harmed = True
            raise StepFailed(f"the live colour became unhealthy while the candidate was running: {problem}")
        if self._live_unhealthy:
            traffic.forget_baseline()
        elif harm := traffic.harmed:
            self.live_harmed = True
            run.say(f"users of the live domain were harmed before the switch: {harm}")
        previous = machine.previous
        assert previous is not None, "a leased machine knows the live colour"
        candidate = Side(machine.plan.target, machine.plan.version)
        share = TrafficCanaryWatch(traffic, candidate, Side(previous.colour, previous.version))
        machine.promote(gates, parse(self._settings.limits.strategy).shifts, share)
        self._promoted_at = time.time()
        share.whole(machine.promoted_generation or 0, machine.steps.written[-1][0])
        environment = self._environment
        assert environment is not None, "a deployment that promotes has reached its environment"
        release = Release(environment.live_url, machine.plan.target, machine.plan.image)
        run.publish(promoted=release, live=release)
        if run.state.candidate is not None:
            self._written = environment.ports.data.write(run.state.candidate.url, run.folder / LEDGER_FILE)

    def _approved(self, machine: Machine, evidence: str, traffic: TrafficMonitor) -> bool:
        """Wait for another principal's approval if the settings require it; stop the run without it."""
        if self._settings.limits.approval != REQUIRED:
            return True
        try:
            given = wait_for_approval(
                machine, evidence, self._settings.access, (lambda: None) if self._live_unhealthy else traffic.harm
            )
        except DeploymentError as error:
            self._run.stop(Reason("promote", first_line(error)))
            return False
        self._run.say(f"approved by {given.by}" + (f": {given.reason}" if given.reason else ""))
        return True

    def _bake(self) -> None:
        run, machine, traffic = self._run, self._machine, self._traffic
        assert machine is not None, "the bake comes after the promotion"
        assert traffic is not None, "the bake comes after the promotion"
        try:
            machine.bake(traffic.harm)
        except DeploymentError as error:
            if isinstance(error, StepFailed):  # the bake belongs to this gate, and it has seen harm
                run.fail_gate(LIVE, f"bake: {first_line(error)}")
            self._abandon(Reason("bake", first_line(error)))
            return
        now = time.time()
        run.publish(baked=traffic.bake(self._promoted_at or now, now))

    # -- results -------------------------------------------------------------------------------------------------------

    def failed(self, result: CheckResult) -> None:
        """Handle a failed required check: after the switch roll back at once, before it let the stage continue."""
        if self._machine is None:
            return
        if result.gate == BYSTANDER and result.outcome is CheckOutcome.FAILED and not self._live_unhealthy:
            self.live_harmed = self.live_harmed or self._machine.phase is Phase.VERIFYING
        if self._machine.phase is Phase.BAKING:
            name = result.check.rpartition("::")[2]
            self._abandon(Reason(result.gate, f"{name}: {result.message or result.outcome.value}"))

    def harm(self) -> str | None:
        """Return proof that the promoted release harms its users while the checks of the live domain run; None if there is none."""
        return None if self._machine is None or self._traffic is None else self._machine.harm(self._traffic.harm)

    def roll_back(self, harm: str) -> None:
        """Roll back at once because of such harm."""
        self._run.fail_gate(LIVE, harm)
        self._abandon(Reason(LIVE, harm))

    def stop_if_failed(self) -> None:
        """Stop the run if a required gate has failed; gates that have not ended are no reason."""
        self._block(
            not_passed([gate for gate in self._run.gates() if gate.outcome in (GateOutcome.FAILED, GateOutcome.ERROR)])
        )

    def conclude(self) -> None:
        """Check every condition of the promotion once more; reject or roll back if one does not hold."""
        machine, run = self._machine, self._run
        if machine is None or machine.ended:
            return
        if run.refusal is not None:
            machine.abandon(run.reason or Reason("lease", "refused"), refused=True)
            return
        if not run.stopped:
            begun = [gate for gate in run.gates() if machine.phase is Phase.BAKING or gate.failed]
            self._block(not_passed(begun))
        if not run.stopped and not machine.baked:
            run.stop(Reason(run.where(), "the run ended before all checks had run"))
        if run.stopped:
            self._abandon(run.reason or Reason("verify", "the run was stopped"))
        else:
            run.note_gates()
            self._journal_traffic()
            if (problem := run.journal.problem) is not None:
                self._abandon(Reason(run.where(), f"the journal cannot be written: {problem}"))

    def _abandon(self, reason: Reason) -> None:
        """Reject or roll back, depending on the phase."""
        run, machine = self._run, self._machine
        assert machine is not None, "there is something to abandon"
        self._decided_at = self._decided_at or time.time()
        run.stop(reason)
        self._check_live(machine)
        run.journal.append("decided", reason=run.reason)
        if machine.promoted_generation is None and self._traffic is not None and not self._live_unhealthy:
            self.live_harmed = self.live_harmed or self._traffic.harmed is not None
        with run.signals.shielded():
            machine.abandon(run.reason or reason, beside=self._beside)
            self._journal_traffic()
            self._read_back(machine)
        run.replace_reason(machine.reason)

    def _read_back(self, machine: Machine) -> None:
        """Read again what journeys wrote to the new colour after the switch, if traffic is back."""
        if self._written is not None and machine.phase is Phase.ROLLED_BACK:
            report_read_back(self._written, self._run.journal, self._run.say)

    def _beside(self) -> str | None:
        """Return the figures of both colours if the previous colour failed, too, and keep them for the report's ``rollback``."""
        if self._traffic is None or self._decided_at is None:
            return None
        found = self._traffic.both_failed(self._decided_at)
        if found is not None and self._run.reason is not None:
            found = self._run.redactor.clean(found)
            self._run.replace_reason(self._run.reason.with_more(found))
        return found

    def _check_live(self, machine: Machine) -> None:
        """Check the live colour while the rejected candidate still runs, and add any harm to the reason."""
        if self.live_harmed or self._live_unhealthy or not machine.touched or machine.promoted_generation is not None:
            return
        try:
            problem = live_problem(machine.ports, machine.previous)
        except DeploymentError:
            return
        if problem is not None:
            self.live_harmed = True
            reason = self._run.reason or Reason(LIVE, "the run was stopped")
            self._run.replace_reason(reason.with_more(f"and the live colour was harmed: {problem}"))

    def _journal_traffic(self) -> None:
        machine, traffic = self._machine, self._traffic
        if machine is None or traffic is None or machine.promoted_generation is None:
            return
        written = machine.steps.written
        end = self._decided_at or time.time()
        version = machine.plan.version
        switched = next(at for at, generation in written if generation == machine.promoted_generation)
        promotion = traffic.promotion(switched, machine.promoted_generation, end, version)
        rollback = None
        if self._decided_at is not None:
            back = written[-1] if written[-1][1] != machine.promoted_generation else None
            before = machine.previous.version if machine.previous else None
            rollback = traffic.rollback(self._decided_at, back, str(self._run.reason or ""), before)
        self._run.journal.append("watched", **traffic.watched(switched))
        self._run.journal.append("traffic", promotion=promotion, rollback=rollback)

    def finalize(self) -> None:
        """Make the promotion final, and send the pending notifications."""
        if self._machine is not None and self._machine.phase is Phase.BAKING:
            self._machine.complete()
            if self._run.reason is None:
                self._run.replace_reason(self._machine.reason)
        if self._notices is not None:
            self._notices.flush()

    def outcome(self) -> tuple[str, int]:
        """Return verdict and exit code by the machine's phase; a finished bake counts as a success until the run ends."""
        if self._machine is None:
            return VERDICTS[Phase.REJECTED], EXIT_CODES[Phase.REJECTED]
        phase = self._machine.phase
        if phase is Phase.BAKING and self._machine.baked and not self._run.stopped:
            phase = Phase.SUCCEEDED
        return VERDICTS.get(phase, VERDICTS[Phase.REJECTED]), EXIT_CODES.get(phase, EXIT_CODES[Phase.REJECTED])

    def archive(self) -> Archive:
        """Return the environment's archive; it anchors the journal in the lease item if the run held the lease."""
        if self._environment is None:
            return NOWHERE
        return self._environment.archive(leased=self._machine is not None and self._machine.holder is not None)

    def series(self) -> Mapping[str, Any]:
        """Return the live domain's traffic and the watch of the candidate."""
        return {} if self._traffic is None else self._traffic.series()

    @property
    def traffic_seen(self) -> tuple[int, int] | None:
        """The users' requests so far, and how many of them failed."""
        return None if self._traffic is None else self._traffic.sent

    def take_back(self, reason: Reason) -> None:
        """Roll back a promotion whose report cannot be written."""
        machine = self._machine
        if machine is None or machine.phase is not Phase.SUCCEEDED:
            return
        self._decided_at = time.time()
        machine.take_back(reason)
        self._journal_traffic()
        self._read_back(machine)
        self._run.replace_reason(machine.reason)

    def close(self, unreported: str | None) -> None:
        """Stop the prober, and the embedded environment if this run started it."""
        problem = self._machine.let_go(unreported) if self._machine is not None else None
        if problem is not None:
            self._run.say(problem)
        if not self._own_cloud:  # which is stopped below, with its lock
            self._run.leave_open(LOCK_STAYS if problem else REPORT_MISSING if unreported else None)
        halted = self._machine is not None and self._machine.phase is Phase.HALTED  # then `recover` removes the data
        if self._written is not None and not halted:
            self._written.remove()
        if self._traffic is not None:
            self._traffic.stop()
        if self._own_cloud:
            compose.stop(self._settings)  # with all data, so the ledger is needed no longer
            (self._run.folder / LEDGER_FILE).unlink(missing_ok=True)
            self._run.say(name_environment(OWN_CLOUD_STOPPED, self._run.options.environment))
        elif self._environment is not None and not halted:
            remove_own(self._environment.ports.data, self._run.folder, self._run.say)

"""The actions of a run without ``--target``: verify the live release or a URL; change no traffic, image or lease."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployment.errors import DeploymentError, Refused, first_line
from deployment.evidence.archive import NOWHERE, Archive
from deployment.evidence.opening import plan_release
from deployment.evidence.verdict import CheckResult, GateOutcome, GateResult, culprit, not_passed
from deployment.model import Reason
from deployment.recovery.leftovers import LEDGER_FILE, remove_own
from deployment.settings import Settings
from infrastructure.description import has_environment, service_of
from plugins.modes.coordinator import Coordinator
from plugins.modes.environment_snapshot import front_door_request, take_snapshot
from plugins.stages import Stage
from plugins.state import Release, expected, unregistered
from plugins.traffic import TrafficMonitor, prober_config, prober_needed
from verification.journeys.accounts import ACCOUNTS_VARIABLE
from verification.journeys.placeholders import provide_secrets, provided_secrets, secret_values
from verification.journeys.untried import untried
from verification.watch.watch import WatchLimits

if TYPE_CHECKING:
    from infrastructure.compose import Environment

# Without a deployment nothing needs to bake; the watch is long enough to see a service that fails occasionally.
LONGEST_WATCH_S = 5.0
LEAST_REQUESTS = 2
"""A slower prober is given the time for so many requests, because a watch without a request fails."""
_NO_ACCOUNT = f"it needs an account; give --accounts FILE or the variable {ACCOUNTS_VARIABLE}"


class VerifyMode:
    """A verification without a deployment."""

    live_harmed = False

    def __init__(self, coordinator: Coordinator, settings: Settings) -> None:
        self._run = coordinator
        self._settings = settings
        self._environment: Environment | None = None
        self._traffic: TrafficMonitor | None = None

    def enter(self, stage: Stage) -> None:
        """Find the release before the first stage, and watch its traffic briefly before the bake's checks."""
        if stage is Stage.HEALTH:
            self._begin()
        elif stage is Stage.BAKE and any(check.stage is Stage.BAKE for check in self._run.checks):
            self._watch()

    def _begin(self) -> None:
        run, base_url = self._run, self._run.options.base_url
        users = run.options.users()
        run.redactor.learn(*(user.password for user in users))
        why = self._connect(bool(users))
        if self._environment is not None:
            users = self._environment.smoke_users
            run.redactor.learn(*self._environment.secrets)
        # In a verification a variable of the process replaces the environment's secret.
        provide_secrets(provided_secrets(), unless_in=os.environ)
        run.redactor.learn(*secret_values(service_of(self._settings).variables))
        run.name_checks()
        if run.options.expect_version is not None and service_of(self._settings).health.version is None:
            run.warn("health", "the answers name no version, so --expect-version was not compared with anything")
        if run.options.expect_digest is not None:
            run.journal.append("claimed", digest=run.options.expect_digest, by=run.actor)
        if base_url is not None:
            version = expected(run.options.expect_version)
            release = Release(base_url.rstrip("/"), source=version, route=run.options.route())
        else:
            release = self._live()
        beside = run.options.live_url
        run.publish(
            ledger=self._start_ledger(),
            smoke_users=users,
            secrets=provided_secrets(),
            candidate=release,
            # Without a second colour, checks that compare two colours send both sides' requests to this one.
            live=release if beside is None else Release(beside.rstrip("/")),
            baseline=None if beside is None else Release(beside.rstrip("/")),
            promoted=release,
            no_account=why,
        )
        environment = self._environment
        knows_secret = environment is not None and bool(environment.token_secret)
        for text in untried(service_of(self._settings), len(users), knows_secret=knows_secret):
            run.warn("auth", text)
        if environment is not None:
            run.publish(
                token_secret=environment.token_secret,
                stores=environment.stores,
                stores_before=take_snapshot(environment, self._settings),
                front_door=front_door_request(environment, release.url)
                if base_url is not None
                else None,  # requests to the live domain pass its own front door
            )

    def _start_ledger(self) -> str | None:
        """Start the ledger of written data; None for an address, because `recover` works on environments only."""
        environment = self._environment
        if environment is None or self._run.options.base_url is not None:
            return None
        ledger = self._run.folder / LEDGER_FILE
        environment.ports.data.record(ledger, environment.ports.front)
        return str(ledger)

    def _connect(self, has_users: bool) -> str | None:
        """Connect to the environment if the run needs it; return why accounts may be lacking, None if they must be there.

        The address of a service needs no environment: an embedded one gives its accounts if it is up, one on AWS if it is named.
        """
        options, settings = self._run.options, self._settings
        if options.base_url is not None:
            if has_users:
                return f"--accounts or {ACCOUNTS_VARIABLE} has too few accounts"
            if options.environment is None and not has_environment(settings):
                return _NO_ACCOUNT
        from infrastructure import compose  # it imports boto3, which an address alone does not need

        if options.base_url is None:
            self._environment = compose.connect(settings)
            return None
        embedded = settings.provider == "embedded"
        if compose.is_up(settings) if embedded else options.environment is not None:
            try:
                self._environment = compose.connect(settings)
                return None
            except (Refused, DeploymentError):
                if not embedded:
                    raise
        return _NO_ACCOUNT

    def _live(self) -> Release:
        environment = self._environment
        assert environment is not None, "without --base-url the run is connected to its environment"
        colour = environment.ports.router.observe().live
        service = environment.ports.platform.describe(colour)
        image = environment.image_of(service.digest)
        known = {"digest": service.digest}
        plan_release(self._run.journal, colour, image, environment.caller.arn, known=known)
        return Release(environment.live_url, colour, image or unregistered(service.digest))

    def _watch(self) -> None:
        run, live = self._run, self._run.state.live
        if live is None:
            return
        limits = self._settings.limits
        seconds = min(limits.bake, max(LONGEST_WATCH_S, LEAST_REQUESTS / limits.prober_rate))
        with prober_needed():
            config = prober_config(self._settings, live.url, run.state.smoke_users, run.folder)
            self._traffic = TrafficMonitor(replace(config, route=live.route), WatchLimits())
            self._traffic.warm_up()
        began = time.time()
        while time.time() - began < seconds:
            time.sleep(0.1)
        self._traffic.stop()
        run.publish(baked=self._traffic.bake(began, time.time()))

    def failed(self, result: CheckResult) -> None:
        """Continue: in a verification every gate runs."""

    def stop_if_failed(self) -> None:
        """Continue: in a verification every gate runs."""

    def harm(self) -> str | None:
        """Return None: a verification promotes nothing."""
        return None

    def roll_back(self, harm: str) -> None:
        """Do nothing: a verification promotes nothing."""

    def conclude(self) -> None:
        """Stop with the required gate that caused the failure, or a check without a result.

        Gates without a selected check may be missing, and without ``--load`` the load gate.
        """
        run = self._run
        if run.stopped or run.refusal is not None:
            return
        if blocked := [gate for gate in not_passed(run.gates()) if not self._excused(gate)]:
            gate = culprit(blocked)
            run.stop(Reason(gate.name, first_line(Exception(gate.reason or gate.outcome.value))))
        elif run.tally.faults:
            where, what = run.tally.faults[0]
            run.stop(Reason(where, what))
        elif (check := run.tally.unreported()) is not None:
            run.stop(Reason(run.tally.expected[check], f"{check} never ran, because pytest stopped before it"))
        elif run.tally.not_asked and not any(gate.outcome is GateOutcome.PASSED for gate in run.gates()):
            run.stop(Reason("verify", f"no gate passed: {next(iter(run.tally.not_asked.values()))}"))
        elif run.checks and not any(check.counts for check in run.checks):
            run.stop(Reason("verify", "no check ran that counts for a gate"))

    def _excused(self, gate: GateResult) -> bool:
        """Return whether a gate may be missing because none of its checks was selected, or may lack checks that could not be asked."""
        if gate.outcome in (GateOutcome.NOT_RUN, GateOutcome.INCOMPLETE) and self._run.tally.lacks_only_left_out(
            gate.name
        ):
            return True
        options = self._run.options
        none = gate.outcome is GateOutcome.NOT_RUN and not gate.checks
        return none and (options.partial or (gate.name == "load" and not options.load))

    def finalize(self) -> None:
        """Do nothing: a verification changes nothing that would have to be made final."""

    def outcome(self) -> tuple[str, int]:
        """Return ``verified`` if the run was not stopped and at least one gate passed."""
        passed = not self._run.stopped and any(gate.outcome is GateOutcome.PASSED for gate in self._run.gates())
        return ("verified", 0) if passed else ("failed", 1)

    def archive(self) -> Archive:
        """Return the environment's archive if the run is connected; without a lease nothing is anchored."""
        if self._environment is None or self._run.options.one_check:
            return NOWHERE
        return self._environment.archive()

    def series(self) -> Mapping[str, Any]:
        """Return nothing: no traffic is watched."""
        return {}

    @property
    def traffic_seen(self) -> tuple[int, int] | None:
        """The requests to the release so far, and how many of them failed."""
        return None if self._traffic is None else self._traffic.sent

    def take_back(self, reason: Reason) -> None:
        """Do nothing: the run is stopped, and a stopped verification has failed."""

    def close(self, unreported: str | None) -> None:  # noqa: ARG002  # nothing is kept about a verification
        """Stop the prober, and remove what the run's journeys left."""
        if self._traffic is not None:
            self._traffic.stop()
        if self._environment is not None:
            remove_own(self._environment.ports.data, self._run.folder, self._run.say)

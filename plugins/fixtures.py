"""The fixtures that checks may use; ``pytest --fixtures`` shows the first line of each docstring."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment.evidence.verdict import LIVE
from deployment.settings import Settings, gate_defaults, load
from infrastructure.description import contract_of, service_of
from plugins import measurement
from plugins import state as published
from plugins.measurement import latency_plan
from plugins.options import project_of
from plugins.recorder import Measurement, Recorder
from plugins.run import coordinator_key, recorder_key, redactor_key, suites_of
from plugins.stages import BYSTANDER, LATENCY, gate_of
from plugins.state import Bake, FrontDoorRequest, HeldLease, Release, State, require
from verification.contract.coverage import answer_of
from verification.contract.openapi import Contract
from verification.http.answer_limits import AnswerLimits
from verification.http.client import Exchange, OnExchange, Received, RecordingClient, as_front_door, open_client
from verification.http.cookies import ask_alone
from verification.http.route import DIRECT, Route
from verification.journeys import issuers
from verification.journeys.accounts import SmokeUser
from verification.journeys.ledger import Ledger
from verification.journeys.model import Service
from verification.journeys.model import Session as SignedIn
from verification.journeys.placeholders import Values, provide_secrets, secret_values
from verification.journeys.sessions import Credentials, account_of, credentials, sign_in_request, without_request
from verification.journeys.tokens import SignToken, signer
from verification.latency.budget_watch import without_ids
from verification.latency.plan import LatencyLimits, Operation, operations_of
from verification.latency.repeating import LatencyResult
from verification.latency.series import series as latency_series
from verification.load.comparison import BesideLive
from verification.load.model import LoadPlan, LoadResult, journeys_of
from verification.stores.connections import Before, Stores

DEFAULT_TIMEOUT_S = 10.0

Measure = Callable[..., None]
Warn = Callable[[str], None]
SignIn = Callable[..., dict[str, str]]


class Session:
    """The objects that the fixtures of one process share: the published state, clients, tokens, the contract."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self._config = config
        self.recorder = recorder
        self._clients: dict[
            tuple[str, Route, float, bool, FrontDoorRequest | None, OnExchange | None], httpx.Client
        ] = {}
        self._credentials: dict[tuple[str, Route, str, str], Credentials] = {}
        self._lock = threading.Lock()
        self._signing_in = threading.Lock()

    @property
    def state(self) -> State:
        """Return the published state of the deployment, on the controller and on a worker.

        Raises UsageError in a run without a coordinator.
        """
        coordinator = self._config.stash.get(coordinator_key, None)
        if coordinator is not None:
            return coordinator.state
        workerinput = getattr(self._config, "workerinput", {})
        if "deployment_state" in workerinput:
            state = published.read(Path(workerinput["deployment_state"]), workerinput["deployment_key"])
            secrets = (
                *(user.password for user in state.smoke_users),
                *state.stores.secrets,
            )  # of headers: plugins/run.py
            provide_secrets(state.secrets)
            self.learn(*secrets, *filter(None, [state.token_secret]), *secret_values(self.service.variables))
            return state
        raise pytest.UsageError("the deployment's fixtures exist only in checks below suites/")

    @cached_property
    def settings(self) -> Settings:
        """Return the settings of the run's environment."""
        return load(project_of(self._config).settings_file, self._config.option.environment)

    @cached_property
    def service(self) -> Service:
        """Return the description of the service."""
        return service_of(self.settings)

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations that the latency gate measures."""
        return operations_of(self.service)

    @cached_property
    def gates(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the gates' limits for the run's environment, each store's table of the description in its gate's."""
        gates = {gate: self.settings.table(gate) for gate in {*gate_defaults(), *self.settings.gates}}
        for store, table in self.service.stores.items():
            gates[store] = {**gates.get(store, {}), **table}
        return gates

    @cached_property
    def contract(self) -> Contract:
        """Return the service's wire contract."""
        found = contract_of(self.settings)
        if found is None:
            raise pytest.UsageError("suites/service.yaml names no contract: add `contract: FILE`, its OpenAPI document")
        return found.at(self._config.option.base_url, self._config.option.live_url)

    def _exchanged(self, exchange: Exchange) -> None:
        name = None
        if self.service.contract is not None and exchange.status is not None:
            name = answer_of(self.contract, exchange.method, exchange.path, exchange.status)
        self.recorder.exchanged(exchange, name)

    @cached_property
    def ledger(self) -> Ledger:
        """Return the run's ledger, in which journeys record what they have written."""
        state = self.state
        known = (
            *(user.password for user in state.smoke_users),
            *filter(None, [state.token_secret]),
            *state.stores.secrets,
        )
        return Ledger(state.ledger, known, self.service.private_fields)

    @cached_property
    def answers(self) -> AnswerLimits:
        """Return how large and how slow an answer may be."""
        limits = self.settings.limits
        return AnswerLimits.of(limits.largest_answer, limits.request_deadline)

    def client(
        self,
        gate: str,
        release: Release,
        timeout_s: float,
        keep_alive: bool = True,
        front_door: FrontDoorRequest | None = None,
    ) -> httpx.Client:
        """Return the client for a release at its address; all checks of this process share it.

        With ``front_door`` it sends requests as the front door does. Requests to another address than the release's are
        counted only in the gates that verify the live colour.
        """
        state = self.state
        candidate = state.candidate
        if state.deploying:
            limits = LatencyLimits.of(self.gates.get(LATENCY, {}))
            self.recorder.slow.watch(limits, self.operations, self._operation)
        listener: OnExchange | None = None
        address = (release.url, release.route)
        if gate == LIVE or candidate is None or address == (candidate.url, candidate.route):
            listener = self._exchanged
        elif gate == BYSTANDER:  # these answers count, but they are not the release's, so they cover nothing
            listener = self.recorder.exchanged
        key = (*address, timeout_s, keep_alive, front_door, listener)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = open_client(
                    release.url,
                    timeout_s=timeout_s,
                    on_exchange=listener,
                    keep_alive=keep_alive,
                    answers=self.answers,
                    route=release.route,
                    **(
                        {}
                        if front_door is None
                        else as_front_door(front_door.live_url, front_door.header, front_door.ask_for)
                    ),
                )
            return self._clients[key]

    def release(self, gate: str, url: str | None = None) -> Release:
        """Return the release that a gate's checks ask; fail the check if there is none yet.

        ``url``: the address that a check's own ``base_url`` names; another one than the release's is not the release's.
        """
        state = self.state
        found = state.promoted if gate == LIVE and state.deploying else state.candidate
        release = require(found, "no release is available for requests", state)
        return release if url in (None, release.url) else Release(str(url))

    def _operation(self, exchange: Exchange) -> str | None:
        """Return the operation that a request used, as METHOD and path template; None if the contract has no such one."""
        if self.service.contract is None:
            return f"{exchange.method} {without_ids(exchange.path)}"
        found = self.contract.operation_for(exchange.method, exchange.path)
        return None if found is None else f"{found.method} {found.path}"

    def smoke_user(self, number: int) -> SmokeUser:
        """Return a smoke user; fail the check if there are too few."""
        users = self.users(number + 1)
        if number >= len(users):
            pytest.fail(f"this check needs {number + 1} smoke users, the secret holds {len(users)}", pytrace=False)
        return users[number]

    def values(self, user: SmokeUser | None) -> Values:
        """Return the values of placeholders for one run of a journey."""
        marker = f"deployment verification {secrets.token_hex(6)}"
        return Values(None if user is None else account_of(user), marker)

    def credentials(
        self,
        client: httpx.Client,
        session: SignedIn,
        user: SmokeUser,
        slot: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Credentials:
        """Return the user's credentials for an address; all checks of this process share them. A sign-in is sent in ``slot``."""
        route = client.route if isinstance(client, RecordingClient) else DIRECT
        key = (str(client.base_url), route, session.name, user.email)
        with self._signing_in:
            found = self._credentials.get(key)
            # A token of another host renews itself, and this says whether it is still there.
            if found is None or found.is_ending or session.issued_elsewhere:
                with slot():
                    found = self.new_credentials(client, session, user)
                self._credentials[key] = found
            return found

    def new_credentials(self, client: httpx.Client, session: SignedIn, user: SmokeUser) -> Credentials:
        """Sign in and return new credentials; no output shows them. Raises NotSignedIn, TokenNotIssued, ``httpx.TransportError``."""
        values = self.values(user)
        request = sign_in_request(session, values)
        if request is None:
            found = without_request(session, values, self.learn)
        else:
            response = ask_alone(client, request.method, request.path, request.headers, request.body)
            found = credentials(session, request, Received(response))
        self.learn(*found.secrets)
        return found

    def signed_in(self) -> SignedIn:
        """Return the description's first session; fail the check if the service has none."""
        return require(self.service.signed_in, "suites/service.yaml describes no session", self.state)

    @property
    def accounts(self) -> tuple[SmokeUser, ...]:
        """Return the smoke users; none are needed if no session of the service is opened with an account."""
        return self.users() if self.service.needs_user else self.state.smoke_users

    def users(self, needed: int = 1) -> tuple[SmokeUser, ...]:
        """Return the smoke users; fail the check without any. A run that may lack accounts leaves the check out."""
        state = self.state
        if len(state.smoke_users) < needed and state.no_account is not None:
            self.recorder.leave_out(state.no_account)
        return require(state.smoke_users or None, "the smoke users are unknown", state)

    @property
    def playable(self) -> Service:
        """Return the description without the sessions and journeys that need an account, if this run lacks accounts; else all of it."""
        lacking = self.state.no_account is not None and not self.state.smoke_users
        return self.service.without_accounts() if lacking else self.service

    def load_plan(self, candidate: Release) -> LoadPlan:
        """Return the load that the settings and ``--load-workers`` set."""
        workers, service = self._config.option.load_workers, self.playable
        users = self.state.smoke_users if journeys_of(service) and not service.needs_user else self.accounts
        plan = measurement.load_plan(service, candidate, users, self.gates.get("load", {}), workers)
        return replace(plan, largest=self.answers.largest, ledger=self.state.ledger)

    def learn(self, *secrets: str) -> None:
        """Redact these values from now on in all output."""
        if (redactor := self._config.stash.get(redactor_key, None)) is not None:
            redactor.learn(*secrets)

    def close(self) -> None:
        """Close all clients, and end the renewal of tokens."""
        issuers.forget()
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def _deployment(pytestconfig: pytest.Config) -> Iterator[Session]:
    session = Session(pytestconfig, pytestconfig.stash[recorder_key])
    yield session
    session.close()


@pytest.fixture(scope="session")
def lease(_deployment: Session) -> HeldLease:
    """The lease that this deployment holds: deployment_id, token, since."""
    return require(_deployment.state.lease, "no lease is held", _deployment.state)


@pytest.fixture(scope="session")
def provisioned(_deployment: Session) -> Release:
    """The release on the idle colour, after provisioning: url, version, colour, image, digest."""
    return require(_deployment.state.candidate, "nothing was provisioned", _deployment.state)


@pytest.fixture(scope="session")
def candidate(_deployment: Session) -> Release:
    """The release under verification: url, version, colour, image, digest; without a deployment, the release at that URL."""
    return require(_deployment.state.candidate, "no candidate was provisioned", _deployment.state)


@pytest.fixture
def live(_deployment: Session) -> Release:
    """The live release, through the live domain: url, version, colour, image, digest."""
    return require(_deployment.state.live, "the live release is not known", _deployment.state)


@pytest.fixture(scope="session")
def promoted(_deployment: Session) -> Release:
    """The release after its promotion, through the live domain; only in suites/live."""
    return require(_deployment.state.promoted, "nothing was promoted", _deployment.state)


@pytest.fixture(scope="session")
def baked(_deployment: Session) -> Bake:
    """The result of the bake: seconds, requests, failed, median_ms, previous_median_ms; only in suites/live."""
    return require(_deployment.state.baked, "the bake has not run", _deployment.state)


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> str:
    """The gate that this check belongs to: the name of its folder in suites/."""
    return gate_of(request.node, suites_of(request.config))


@pytest.fixture
def limits(_deployment: Session, gate: str) -> Mapping[str, Any]:
    """This gate's table of deployment.toml: budgets, samples, timeouts."""
    return _deployment.gates.get(gate, {})


@pytest.fixture
def base_url(_deployment: Session, gate: str) -> str:
    """The address of this check's release: the candidate's own, or in suites/live the live domain."""
    return _deployment.release(gate).url


@pytest.fixture
def client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client for the release: client.get("/health"); no retries, no redirects, every request recorded."""
    return _deployment.client(
        gate, _deployment.release(gate, base_url), float(limits.get("timeout", DEFAULT_TIMEOUT_S))
    )


@pytest.fixture
def fresh_client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """The same as client, but every request opens a new connection."""
    timeout_s = float(limits.get("timeout", DEFAULT_TIMEOUT_S))
    return _deployment.client(gate, _deployment.release(gate, base_url), timeout_s, keep_alive=False)


@pytest.fixture
def live_client(_deployment: Session, gate: str, live: Release, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client for the live domain, which the other colour serves until the switch."""
    return _deployment.client(gate, live, float(limits.get("timeout", DEFAULT_TIMEOUT_S)))


@pytest.fixture
def fresh_live_client(_deployment: Session, gate: str, live: Release, limits: Mapping[str, Any]) -> httpx.Client:
    """The same as live_client, but every request opens a new connection."""
    return _deployment.client(gate, live, float(limits.get("timeout", DEFAULT_TIMEOUT_S)), keep_alive=False)


@pytest.fixture
def front_client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client that sends requests to the release as the front door will: with the live domain's host in its header."""
    timeout_s = float(limits.get("timeout", DEFAULT_TIMEOUT_S))
    return _deployment.client(
        gate, _deployment.release(gate, base_url), timeout_s, front_door=_deployment.state.front_door
    )


@pytest.fixture
def stores(_deployment: Session) -> Stores:
    """URLs of the service's database and Redis: stores.database, stores.redis; each is None if the settings do not name it."""
    return _deployment.state.stores


@pytest.fixture
def before(_deployment: Session) -> Before | None:
    """The stores before provisioning: the smoke users' rows, connections, job takers; None if the settings name no store."""
    return _deployment.state.stores_before


@pytest.fixture
def before_load() -> None:
    """Marks a check of any gate that runs after the functional gates, before latency and load."""


@pytest.fixture
def loaded() -> None:
    """Marks a check of any gate that runs after the load."""


@pytest.fixture
def smoke_users(_deployment: Session) -> tuple[SmokeUser, ...]:
    """The two accounts that exist for checks alone, each with email and password."""
    return _deployment.users()


@pytest.fixture
def smoke_user(smoke_users: tuple[SmokeUser, ...]) -> SmokeUser:
    """The first smoke user: email and password."""
    return smoke_users[0]


@pytest.fixture
def sign_in(_deployment: Session, client: httpx.Client) -> SignIn:
    """A function that opens a new session: headers = sign_in(smoke_user), or sign_in(smoke_user, on=live_client)."""

    def ask(user: SmokeUser, on: httpx.Client = client) -> dict[str, str]:
        return dict(_deployment.new_credentials(on, _deployment.signed_in(), user).headers)

    return ask


@pytest.fixture
def signed_in(_deployment: Session, client: httpx.Client, smoke_user: SmokeUser) -> dict[str, str]:
    """Headers of the first smoke user's session: client.get("/orders", headers=signed_in)."""
    return dict(_deployment.credentials(client, _deployment.signed_in(), smoke_user).headers)


@pytest.fixture
def sign_token(_deployment: Session) -> SignToken | None:
    """A function that signs claims as the service would: sign_token(claims); None if the settings name no token_secret."""
    secret = _deployment.state.token_secret
    return None if secret is None else signer(secret)


@pytest.fixture
def contract(_deployment: Session) -> Contract:
    """The service's wire contract: contract.check(response) and contract.refused(response, 404) fail on a violation."""
    return _deployment.contract


@pytest.fixture
def measure(_deployment: Session) -> Measure:
    """A function that shows a value and its limit in the report: measure("p95", 12.3, limit=1000, unit="ms", samples=200)."""

    def show(
        name: str, value: float | str, limit: float | str | None = None, unit: str = "", samples: int | None = None
    ) -> None:
        _deployment.recorder.measured(Measurement(name, value, limit, unit, samples))

    return show


@pytest.fixture
def warn(_deployment: Session) -> Warn:
    """A function that shows a warning beside the verdict and in the report, and fails nothing: warn("…")."""
    return _deployment.recorder.warned


@pytest.fixture(scope="session")
def latency_result(_deployment: Session, candidate: Release) -> LatencyResult:
    """Latency of the release and of the live colour, measured once for the whole gate: findings, shift(place), …"""
    state, gate = _deployment.state, _deployment.gates.get(LATENCY, {})
    service = _deployment.playable
    users = _deployment.users() if service.needs_user else state.smoke_users
    plan, limits = latency_plan(service, candidate, state.baseline, users, gate), LatencyLimits.of(gate)
    plan = replace(plan, largest=_deployment.answers.largest, ledger=state.ledger)
    requested = partial(_deployment.recorder.requested, by="latency_result")
    suspicion = _deployment.recorder.slow.suspicion(plan.operations, limits)
    result = measurement.latency(plan, limits, suspicion, requested)
    _deployment.recorder.has_series(LATENCY, latency_series(result))
    return result


@pytest.fixture(scope="session")
def load_result(_deployment: Session, candidate: Release, tmp_path_factory: pytest.TempPathFactory) -> LoadResult:
    """The result of the load, run once for the whole gate: requests, failures, p95_ms, throughput, …"""
    gate, log = _deployment.gates.get("load", {}), tmp_path_factory.mktemp("load") / "locust.log"
    requested = partial(_deployment.recorder.requested, by="load_result")
    result = measurement.load(_deployment.load_plan(candidate), gate, log, requested, _deployment.recorder.warned)
    _deployment.recorder.has_series("load", {"seconds": result.by_second, "p95_limit_ms": gate.get("p95_ms")})
    return result


@pytest.fixture(scope="session")
def load_beside_live(
    _deployment: Session, candidate: Release, tmp_path_factory: pytest.TempPathFactory
) -> BesideLive | None:
    """The release and the live colour under the same small load, run once; None if compare_rate is 0 or nothing is live."""
    gate, log = _deployment.gates.get("load", {}), tmp_path_factory.mktemp("load") / "locust.log"
    requested = partial(_deployment.recorder.requested, by="load_beside_live")
    plan = _deployment.load_plan(candidate)
    return measurement.load_beside_live(plan, _deployment.state.baseline, gate, log, requested)

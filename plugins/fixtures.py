"""The fixtures that checks may use; the first line of each is what ``pytest --fixtures`` shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from deployment.evidence.verdict import LIVE
from deployment.settings import SETTINGS_FILE, load
from plugins import measurement
from plugins import state as published
from plugins.measurement import latency_plan
from plugins.recorder import Measurement, Recorder
from plugins.run import coordinator_key, recorder_key, redactor_key, suites_of
from plugins.stages import BYSTANDER, gate_of
from plugins.state import Bake, Front, Lock, Release, State
from verification.accounts import SmokeUser
from verification.accounts import sign_in as ask_for_token
from verification.contract import Contract
from verification.http import as_front_door, open_client
from verification.latency_judge import LatencyResult
from verification.latency_judge import verify as verify_latency
from verification.latency_plan import LatencyLimits
from verification.load_comparison import BesideLive
from verification.load_model import LoadPlan, LoadResult
from verification.stores import Before, Stores
from verification.tokens import SignToken, signer

DEFAULT_TIMEOUT_S = 10.0

T = TypeVar("T")
Measure = Callable[..., None]
Warn = Callable[[str], None]
SignIn = Callable[..., dict[str, str]]


class Session:
    """What the fixtures of one process share: the published state, clients, tokens, the contract."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self._config = config
        self.recorder = recorder
        self._clients: dict[tuple[str, float, bool, Front | None, bool], httpx.Client] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """What has become of the deployment so far, on the controller and on a worker alike."""
        coordinator = self._config.stash.get(coordinator_key, None)
        if coordinator is not None:
            return coordinator.state
        workerinput = getattr(self._config, "workerinput", {})
        if "deployment_state" in workerinput:
            state = published.read(Path(workerinput["deployment_state"]))
            secrets = (*(user.password for user in state.smoke_users), *state.stores.secrets)
            self.learn(*secrets, *filter(None, [state.token_secret]))
            return state
        raise pytest.UsageError("the deployment's fixtures exist only in checks below suites/")

    @cached_property
    def gates(self) -> Mapping[str, Mapping[str, Any]]:
        """The gates' tables of deployment.toml, for the run's environment."""
        return load(SETTINGS_FILE, self._config.option.environment).gates

    @cached_property
    def contract(self) -> Contract:
        """The service's wire contract."""
        return Contract.load(load(SETTINGS_FILE, self._config.option.environment).contract)

    def client(
        self, gate: str, url: str, timeout_s: float, keep_alive: bool = True, front: Front | None = None
    ) -> httpx.Client:
        """One client for each address, shared by all checks of this process; ``front``: it asks as the front door does.

        What a gate asks elsewhere than of the release counts for nothing, but in the gates whose business that is.
        """
        candidate = self.state.candidate
        counts = gate in (LIVE, BYSTANDER) or candidate is None or url == candidate.url
        key = (url, timeout_s, keep_alive, front, counts)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = open_client(
                    url,
                    timeout_s=timeout_s,
                    on_exchange=self.recorder.exchanged if counts else None,
                    keep_alive=keep_alive,
                    **({} if front is None else as_front_door(front.live_url, front.header, front.ask_for)),
                )
            return self._clients[key]

    def token(self, client: httpx.Client, url: str, user: SmokeUser) -> str:
        """One token for each user and address."""
        key = (url, user.email)
        if key not in self._tokens:
            self._tokens[key] = self.new_token(client, user)
        return self._tokens[key]

    def new_token(self, client: httpx.Client, user: SmokeUser) -> str:
        """A token of its own; no output shows it."""
        token = ask_for_token(client, user)
        self.learn(token)
        return token

    def load_plan(self, candidate: Release) -> LoadPlan:
        """The load that the settings and ``--load-workers`` ask for."""
        users = _require(self.state.smoke_users or None, "there are no smoke users", self.state)
        workers = self._config.option.load_workers
        return measurement.load_plan(candidate, users, self.gates.get("load", {}), workers)

    def learn(self, *secrets: str) -> None:
        """Values that may not be written, wherever a check puts them."""
        if (redactor := self._config.stash.get(redactor_key, None)) is not None:
            redactor.learn(*secrets)

    def close(self) -> None:
        """Closes all clients."""
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def _deployment(pytestconfig: pytest.Config) -> Iterator[Session]:
    session = Session(pytestconfig, pytestconfig.stash[recorder_key])
    yield session
    session.close()


def _require(value: T | None, what: str, state: State) -> T:
    if value is None:
        pytest.fail(f"{what}: {state.problem or 'that step comes later in a deployment'}", pytrace=False)
    return value


@pytest.fixture(scope="session")
def lease(_deployment: Session) -> Lock:
    """The lock that this deployment holds: deployment_id, token, since."""
    return _require(_deployment.state.lease, "no lock is held", _deployment.state)


@pytest.fixture(scope="session")
def provisioned(_deployment: Session) -> Release:
    """The release as it was brought up on the idle colour: url, version, colour, image, digest."""
    return _require(_deployment.state.candidate, "nothing was provisioned", _deployment.state)


@pytest.fixture(scope="session")
def candidate(_deployment: Session) -> Release:
    """The release under verification: url, version, colour, image, digest (without a deployment: what is verified)."""
    return _require(_deployment.state.candidate, "there is no candidate", _deployment.state)


@pytest.fixture
def live(_deployment: Session) -> Release:
    """What users reach now, through the live domain: url, version, colour, image, digest."""
    return _require(_deployment.state.live, "nothing is known to be live", _deployment.state)


@pytest.fixture(scope="session")
def promoted(_deployment: Session) -> Release:
    """The release after its promotion, through the live domain; only in suites/live."""
    return _require(_deployment.state.promoted, "nothing was promoted", _deployment.state)


@pytest.fixture(scope="session")
def baked(_deployment: Session) -> Bake:
    """What the watch over the promoted release saw: seconds, requests, failed, median_ms; only in suites/live."""
    return _require(_deployment.state.baked, "nothing was watched", _deployment.state)


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> str:
    """The gate that this check belongs to: the name of its folder in suites/."""
    return gate_of(request.node.path, suites_of(request.config))


@pytest.fixture
def limits(_deployment: Session, gate: str) -> Mapping[str, Any]:
    """This gate's table of deployment.toml: budgets, samples, timeouts."""
    return _deployment.gates.get(gate, {})


@pytest.fixture
def base_url(_deployment: Session, gate: str) -> str:
    """Where this check's release answers: the candidate's own address, or in suites/live the live domain."""
    state = _deployment.state
    release = state.promoted if gate == LIVE and state.deploying else state.candidate
    return _require(release, "there is nothing to ask", state).url


@pytest.fixture
def client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client for the release: client.get("/health"); no retries, no redirects, every request recorded."""
    return _deployment.client(gate, base_url, float(limits.get("timeout", DEFAULT_TIMEOUT_S)))


@pytest.fixture
def fresh_client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """The same as client, but every request has a connection of its own."""
    return _deployment.client(gate, base_url, float(limits.get("timeout", DEFAULT_TIMEOUT_S)), keep_alive=False)


@pytest.fixture
def live_client(_deployment: Session, gate: str, live: Release, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client for what is live, by way of the live domain: the other colour, until the switch."""
    return _deployment.client(gate, live.url, float(limits.get("timeout", DEFAULT_TIMEOUT_S)))


@pytest.fixture
def fresh_live_client(_deployment: Session, gate: str, live: Release, limits: Mapping[str, Any]) -> httpx.Client:
    """The same as live_client, but every request has a connection of its own."""
    return _deployment.client(gate, live.url, float(limits.get("timeout", DEFAULT_TIMEOUT_S)), keep_alive=False)


@pytest.fixture
def front_client(_deployment: Session, gate: str, base_url: str, limits: Mapping[str, Any]) -> httpx.Client:
    """An httpx.Client that asks the release as the front door will: the live domain's host, in the header that it comes in."""
    timeout_s = float(limits.get("timeout", DEFAULT_TIMEOUT_S))
    return _deployment.client(gate, base_url, timeout_s, front=_deployment.state.front)


@pytest.fixture
def stores(_deployment: Session) -> Stores:
    """Where the service's database and Redis can be asked directly: stores.database, stores.redis; None where nowhere."""
    return _deployment.state.stores


@pytest.fixture
def before(_deployment: Session) -> Before | None:
    """What the stores held before the release was brought up: rows of the smoke users, connections, takers of jobs; None: not asked."""
    return _deployment.state.before


@pytest.fixture
def loaded() -> None:
    """Asked for by checks that run after the load, whichever gate they are of."""


@pytest.fixture
def smoke_users(_deployment: Session) -> tuple[SmokeUser, ...]:
    """The accounts that exist for checks alone: two of them, each with email and password."""
    users = _deployment.state.smoke_users
    if not users:
        pytest.fail("there are no smoke users: their secret belongs to an environment that is not up", pytrace=False)
    return users


@pytest.fixture
def smoke_user(smoke_users: tuple[SmokeUser, ...]) -> SmokeUser:
    """The first smoke user: email and password."""
    return smoke_users[0]


@pytest.fixture
def sign_in(_deployment: Session, client: httpx.Client) -> SignIn:
    """A function that opens a new session: headers = sign_in(smoke_user), or sign_in(smoke_user, on=live_client)."""

    def ask(user: SmokeUser, on: httpx.Client = client) -> dict[str, str]:
        return {"Authorization": f"Bearer {_deployment.new_token(on, user)}"}

    return ask


@pytest.fixture
def signed_in(_deployment: Session, client: httpx.Client, base_url: str, smoke_user: SmokeUser) -> dict[str, str]:
    """Headers of the first smoke user's session: client.get("/consults", headers=signed_in)."""
    return {"Authorization": f"Bearer {_deployment.token(client, base_url, smoke_user)}"}


@pytest.fixture
def sign_token(_deployment: Session) -> SignToken | None:
    """A function that signs claims as the service would: sign_token(claims); None where the settings name no token_secret."""
    secret = _deployment.state.token_secret
    return None if secret is None else signer(secret)


@pytest.fixture
def contract(_deployment: Session) -> Contract:
    """The service's wire contract: contract.check(response) and contract.refused(response, 404) fail with what does not fit."""
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
    """A function that says what nobody should overlook, beside the verdict and in the report, and decides nothing: warn("…")."""
    return _deployment.recorder.warned


@pytest.fixture(scope="session")
def latency_result(_deployment: Session, candidate: Release) -> LatencyResult:
    """How fast the release answers, and live in the same minutes, measured once for the whole gate: findings, shift(place), …"""
    state, gate = _deployment.state, _deployment.gates.get("latency", {})
    users = _require(state.smoke_users or None, "there are no smoke users", state)
    result = verify_latency(latency_plan(candidate, state.baseline, users, gate), LatencyLimits.of(gate))
    _deployment.recorder.requested(result.requests, "latency_result")
    return result


@pytest.fixture(scope="session")
def load_result(_deployment: Session, candidate: Release, tmp_path_factory: pytest.TempPathFactory) -> LoadResult:
    """What Locust made of the release, once for the whole gate: requests, failures, p95_ms, throughput, …"""
    gate, log = _deployment.gates.get("load", {}), tmp_path_factory.mktemp("load") / "locust.log"
    requested = partial(_deployment.recorder.requested, by="load_result")
    return measurement.load(_deployment.load_plan(candidate), gate, log, requested)


@pytest.fixture(scope="session")
def load_beside_live(
    _deployment: Session, candidate: Release, tmp_path_factory: pytest.TempPathFactory
) -> BesideLive | None:
    """The release and live under the same small load, once for the whole gate; None where compare_rate is 0 or there is no live."""
    gate, log = _deployment.gates.get("load", {}), tmp_path_factory.mktemp("load") / "locust.log"
    requested = partial(_deployment.recorder.requested, by="load_beside_live")
    plan = _deployment.load_plan(candidate)
    return measurement.load_beside_live(plan, _deployment.state.baseline, gate, log, requested)

"""The service and its users' actions, as ``suites/service.yaml`` describes them; only data, cheap to import.

Every process that sends requests to the service plays these journeys: the checks, the prober, the load, the latency
gate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from verification.journeys.placeholders import MADE, UUIDS, is_builtin, names_in, variable

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY")
"""Methods that change nothing (RFC 9110, 9.2.1, and IANA's registry of methods); every other one counts as writing."""

BodyKind = Literal["none", "json", "text", "form", "multipart", "file"]
SessionKind = Literal["none", "basic", "api-key", "bearer", "cookie", "oauth2-client-credentials", "cognito"]
OAUTH2, COGNITO = "oauth2-client-credentials", "cognito"


@dataclass(frozen=True)
class Request:
    """A request as written, with placeholders such as ``${id}``.

    ``body`` is the JSON value, the text, the fields of the form or of the multipart form, or the path of a file, as ``body_kind`` says.
    A field of a multipart form that is a file is an object with ``file``, its path.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body_kind: BodyKind = "none"
    body: Any = None

    @property
    def writes(self) -> bool:
        """Return whether the request may change something."""
        return self.method not in SAFE_METHODS

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Expectation:
    """The expected answer. ``headers``, ``body`` and ``json`` as in ``expectations``; ``has_body``: whether a body is expected at all.

    Only checks in YAML use the rest: ``schema`` is a JSON Schema or the name of one in the contract, ``contract`` says
    whether the answer must fit the contract, ``within_ms`` is the longest time that it may take.
    """

    statuses: tuple[int, ...]
    headers: Mapping[str, Any] = field(default_factory=dict)
    has_body: bool = False
    body: Any = None
    json: Mapping[str, Any] = field(default_factory=dict)
    schema: Any = None
    contract: bool = True
    within_ms: float | None = None


@dataclass(frozen=True)
class Step:
    """One request of a journey.

    ``operation`` is its name in reports: the contract's operation id, or method and path. ``capture`` maps a name to
    the value's place in the answer (``$.id``, ``header Location``). ``private``: only the user of the journey may get
    this answer.
    """

    name: str
    operation: str
    request: Request
    expect: Expectation
    capture: Mapping[str, str] = field(default_factory=dict)
    private: bool = False

    @property
    def only_looks(self) -> bool:
        """Return whether the step neither writes nor captures anything."""
        return not (self.request.writes or self.capture)

    def needs(self) -> set[str]:
        """Return the names of the captured values that the request and its expectation use."""
        return {name for name in names_in([asdict(self.request), asdict(self.expect)]) if not is_builtin(name)}


@dataclass(frozen=True)
class Sweep:
    """Finds the data that a journey wrote if the answer with its id was lost.

    ``items`` is the list's place in the answer, ``where`` what an entry must contain, ``capture`` the values that the
    ``undo`` steps need of it.
    """

    step: Step
    items: str
    where: Any
    capture: Mapping[str, str]


@dataclass(frozen=True)
class Journey:
    """A user's actions, step by step, and the steps that remove the written data.

    ``session`` names the session of the journey (None: without one); ``weight`` is its share of the load. ``live``: the
    prober, the load and the latency gate may write with it.
    """

    name: str
    steps: tuple[Step, ...]
    undo: tuple[Step, ...] = ()
    session: str | None = None
    weight: int = 1
    live: bool = False
    sweep: Sweep | None = None

    @property
    def writes(self) -> bool:
        """Return whether any step may change something."""
        return any(step.request.writes for step in self.steps)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Return the steps and the ``undo`` steps, in the order in which they are sent."""
        return (*self.steps, *self.undo)

    def without_looks(self) -> Journey:
        """Return the journey without the ``undo`` steps that only check whether something is gone."""
        return replace(self, undo=tuple(step for step in self.undo if not step.only_looks))

    def reading(self) -> Journey | None:
        """Return the journey with only the steps that write nothing and need nothing of a step that does; None without any."""
        lost: set[str] = set()
        kept = []
        for step in self.steps:
            used = names_in([asdict(step.request), asdict(step.expect)])
            if step.request.writes or used & lost:
                # Data that would have a name of this run's own does not exist either.
                lost |= set(step.capture) | (used & MADE) | (UUIDS if used & UUIDS else set())
            else:
                kept.append(step)
        return Journey(self.name, tuple(kept), (), self.session, self.weight, self.live) if kept else None

    def on_live(self) -> Journey | None:
        """Return the part that the prober, the load and the latency gate may play.

        It is the whole journey if it is ``live`` or writes nothing, else its reading part.
        """
        return self if self.live or not self.writes else self.reading()


@dataclass(frozen=True)
class Issuer:
    """Where a session's token comes from, and how the client proves who it is.

    ``url`` is absolute, or a path of the service, which then has the request as its ``sign_in``. ``client_id`` and
    ``client_secret`` have placeholders. ``authentication`` is ``client_secret_basic`` or ``client_secret_post``; ``use``
    is the token of a user pool that the service expects: ``access`` or ``id``.
    """

    url: str
    client_id: str
    client_secret: str | None = None
    authentication: str = "client_secret_basic"
    scope: str | None = None
    use: str = "access"

    @property
    def elsewhere(self) -> bool:
        """Return whether another host than the service issues the token."""
        return not self.url.startswith("/")


@dataclass(frozen=True)
class Session:
    """The way a user signs in.

    ``sign_in`` and ``sign_out`` are None if the kind needs none. ``token`` and ``expires_in`` are the values' places in
    the answer to ``sign_in``. ``header`` is the header of an API key. ``token_format`` and ``algorithm`` tell the auth
    gate which forged tokens to try. ``issuer`` is for OAuth 2's client credentials and for Cognito.
    """

    name: str
    kind: SessionKind
    sign_in: Step | None = None
    sign_out: Step | None = None
    token: str | None = None
    expires_in: str | None = None
    header: str = "Authorization"
    username: str = "${account.email}"
    password: str = "${account.password}"  # noqa: S105 - a placeholder
    token_format: str | None = None
    algorithm: str | None = None
    issuer: Issuer | None = None

    @property
    def needs_account(self) -> bool:
        """Return whether only a user with an account can have the session."""
        return any(name.startswith("account.") for name in self._opened_with())

    @property
    def checks_password(self) -> bool:
        """Return whether the service itself refuses a wrong password of an account."""
        return "account.password" in self._opened_with() and not self.issued_elsewhere

    @property
    def issued_elsewhere(self) -> bool:
        """Return whether another host than the service issues the session's token."""
        return self.issuer is not None and self.issuer.elsewhere

    def _opened_with(self) -> set[str]:
        """Return the placeholders of everything that opens the session."""
        match self.kind:
            case "none":
                return set()
            case "api-key":
                return names_in(self.password)
            case "basic":
                return names_in([self.username, self.password])
        user = [self.username, self.password] if self.kind == COGNITO else None
        return names_in([user, self.issuer and asdict(self.issuer), self.sign_in and asdict(self.sign_in.request)])


@dataclass(frozen=True)
class Health:
    """The health check: its step, and the version's place in the answer (``$.version``, ``header X-Version``; None: it has none)."""

    step: Step
    version: str | None


@dataclass(frozen=True)
class Service:
    """The description of a service.

    ``dependencies`` maps ``database`` and ``redis`` to the step that checks it, None if the service declares that it
    has none. ``stores`` holds the queries for direct connections to the stores; ``environment`` further variables of
    the embedded service, ``private_fields`` the names of fields whose values no output may show.
    """

    name: str
    repository: str
    contract: str | None
    health: Health
    dependencies: Mapping[str, Step | None] = field(default_factory=dict)
    sessions: Mapping[str, Session] = field(default_factory=dict)
    journeys: tuple[Journey, ...] = ()
    stores: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    private_fields: tuple[str, ...] = ()

    @property
    def signed_in(self) -> Session | None:
        """Return the first session that a user signs in to, None without one."""
        return next((one for one in self.sessions.values() if one.kind != "none"), None)

    @property
    def needs_user(self) -> bool:
        """Return whether a session is opened with the account of a user."""
        return any(one.needs_account for one in self.sessions.values())

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the placeholders that are variables or secrets: ``env.NAME``, ``secret.NAME``."""
        return tuple(sorted(name for name in names_in(asdict(self)) if variable(name) is not None))

    def probes(self) -> Iterator[Step]:
        """Yield the health check and the declared dependencies' checks: requests that need no session."""
        yield self.health.step
        yield from (step for step in self.dependencies.values() if step is not None)

    def played_on_live(self, *, with_user: bool = True) -> tuple[Journey, ...]:
        """Return the journeys that the prober, the load and the latency gate may play; without a user those that need no account."""
        played = (one.on_live() for one in self.journeys if with_user or not self.needs_account(one))
        return tuple(one for one in played if one is not None)

    def without_accounts(self) -> Service:
        """Return the service with only the sessions that need no account, and the journeys that can be played without one."""
        sessions = {name: one for name, one in self.sessions.items() if not one.needs_account}
        journeys = tuple(one for one in self.journeys if one.session is None or one.session in sessions)
        return replace(self, sessions=sessions, journeys=journeys)

    def without(self, names: Collection[str]) -> Service:
        """Return the service without the sessions and journeys that use one of these placeholders, or such a session."""
        sessions = {name: one for name, one in self.sessions.items() if not names_in(asdict(one)) & set(names)}
        journeys = tuple(
            one
            for one in self.journeys
            if (one.session is None or one.session in sessions) and not names_in(asdict(one)) & set(names)
        )
        return replace(self, sessions=sessions, journeys=journeys)

    def needs_account(self, journey: Journey) -> bool:
        """Return whether a journey is played in the session of a user."""
        return journey.session is not None and self.sessions[journey.session].kind != "none"

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON values, for another process; it holds no secret."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Service:
        """Return the description that ``to_json`` returned as JSON values."""
        sessions = {name: _session(raw) for name, raw in values["sessions"].items()}
        return Service(
            **{
                **values,
                "health": Health(_step(values["health"]["step"]), values["health"]["version"]),
                "dependencies": {name: raw and _step(raw) for name, raw in values["dependencies"].items()},
                "sessions": sessions,
                "journeys": tuple(map(_journey, values["journeys"])),
                "private_fields": tuple(values["private_fields"]),
            }
        )


def _step(raw: Mapping[str, Any]) -> Step:
    expect = Expectation(**{**raw["expect"], "statuses": tuple(raw["expect"]["statuses"])})
    return Step(**{**raw, "request": Request(**raw["request"]), "expect": expect})


def _session(raw: Mapping[str, Any]) -> Session:
    steps = {name: raw[name] and _step(raw[name]) for name in ("sign_in", "sign_out")}
    return Session(**{**raw, **steps, "issuer": raw["issuer"] and Issuer(**raw["issuer"])})


def _journey(raw: Mapping[str, Any]) -> Journey:
    sweep = raw["sweep"] and Sweep(**{**raw["sweep"], "step": _step(raw["sweep"]["step"])})
    steps = {name: tuple(map(_step, raw[name])) for name in ("steps", "undo")}
    return Journey(**{**raw, **steps, "sweep": sweep})

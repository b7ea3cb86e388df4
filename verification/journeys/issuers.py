"""Tokens that another host than the service issues: fetched and renewed in one place of a process, beside all timed requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from verification.http.loopback import tls_context
from verification.http.raw_http import FAILURES, Answer, Connection
from verification.journeys.model import Issuer, Session
from verification.journeys.placeholders import UnknownPlaceholder, Values

TIMEOUT_S = 5.0
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""The shortest time between two attempts, and the longest after failed ones, in seconds: an endpoint may lock an account."""
RENEWED_AFTER = 0.8
"""The part of a token's lifetime after which it is renewed: a request with an expired token would look like a failure."""
_LARGEST = 1_000_000
_COGNITO = "AWSCognitoIdentityProviderService.InitiateAuth"
_OAUTH_ERRORS = (  # RFC 6749, 5.2 and 4.1.2.1; any other text of an answer may hold a secret
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
)
_COGNITO_WORD = re.compile(r"(?:[A-Z][a-z]{1,20}){1,6}Exception|[A-Z]{2,12}(?:_[A-Z]{2,12}){0,4}")


class TokenNotIssued(AssertionError):
    """A token endpoint outside the service issued no token: no fault of the release. The text quotes no secret."""


@dataclass(frozen=True)
class TokenRequest:
    """A request for a token, all secrets filled in; never to be logged. ``use``: the field of a user pool's answer with the token."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    use: str | None = None

    @property
    def shown(self) -> str:
        """Return the address for messages, without a query and without user information."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True)
class Token:
    """A token and its lifetime in seconds, infinite if the answer names none."""

    value: str = field(repr=False)
    lasts_s: float


def client_headers(issuer: Issuer, values: Values) -> dict[str, str]:
    """Return the headers that prove the client to a token endpoint: Basic, or none if the form proves it. Raises UnknownPlaceholder."""
    if issuer.authentication != "client_secret_basic":
        return {}
    pair = ":".join(quote_plus(str(values.fill(one))) for one in (issuer.client_id, issuer.client_secret or ""))
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def token_form(issuer: Issuer) -> dict[str, str]:
    """Return the fields of the form of a client credentials grant (RFC 6749, 4.4.2), with their placeholders."""
    form = {"grant_type": "client_credentials"}
    if issuer.scope is not None:
        form["scope"] = issuer.scope
    if issuer.authentication == "client_secret_post":
        form |= {"client_id": issuer.client_id, "client_secret": issuer.client_secret or ""}
    return form


def token_request(session: Session, values: Values) -> TokenRequest:
    """Return the request for a session's token. Raises TokenNotIssued if a placeholder has no value."""
    issuer = session.issuer
    assert issuer is not None, "only sessions with an issuer have such a request"
    try:
        if session.kind == "cognito":
            return _initiate_auth(session, issuer, values)
        form = {name: str(values.fill(text)) for name, text in token_form(issuer).items()}
        headers = {"Content-Type": "application/x-www-form-urlencoded", **client_headers(issuer, values)}
        return TokenRequest(issuer.url, {"Accept": "application/json", **headers}, urlencode(form).encode())
    except UnknownPlaceholder as error:
        raise TokenNotIssued(f"session {session.name} needs ${{{error.args[0]}}}, which has no value") from None


def _initiate_auth(session: Session, issuer: Issuer, values: Values) -> TokenRequest:
    """Return ``InitiateAuth`` of a user pool: the call is not signed, so it needs no credentials of AWS and no boto3."""
    user, client = str(values.fill(session.username)), str(values.fill(issuer.client_id))
    parameters = {"USERNAME": user, "PASSWORD": str(values.fill(session.password))}
    if issuer.client_secret is not None:
        key = str(values.fill(issuer.client_secret)).encode()
        digest = hmac.digest(key, (user + client).encode(), hashlib.sha256)
        parameters["SECRET_HASH"] = base64.b64encode(digest).decode()
    asked = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": parameters}
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _COGNITO}
    use = "IdToken" if issuer.use == "id" else "AccessToken"
    return TokenRequest(issuer.url, headers, json.dumps(asked).encode(), use)


def token_of(request: TokenRequest, status: int, body: bytes) -> Token:
    """Return the token in an answer. Raises TokenNotIssued, with nothing of the answer but its status and a known error code."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    found: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    if status != http.client.OK:
        raise TokenNotIssued(f"it answered with status {status}{_code(found)}")
    if request.use is not None:
        if isinstance(challenge := found.get("ChallengeName"), str):
            name = challenge if _COGNITO_WORD.fullmatch(challenge) else "another step"
            raise TokenNotIssued(f"it asks for {name}; the account must be able to sign in with its password alone")
        inner = found.get("AuthenticationResult")
        found = inner if isinstance(inner, dict) else {}
    name, lifetime = (request.use or "access_token"), ("ExpiresIn" if request.use else "expires_in")
    value = found.get(name)
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise TokenNotIssued(f"its answer has no {name}")
    return Token(value, lasts(found.get(lifetime)))


def lasts(seconds: Any) -> float:
    """Return a lifetime in seconds, infinite if the value is no positive number."""
    try:
        found = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return float("inf")
    return found if found > 0 else float("inf")


def _code(found: Mapping[str, Any]) -> str:
    error, kind = found.get("error"), found.get("__type")
    if error in _OAUTH_ERRORS:
        return f" ({error})"
    word = kind.rpartition("#")[2] if isinstance(kind, str) else ""
    return f" ({word})" if _COGNITO_WORD.fullmatch(word) else ""


def fetch(request: TokenRequest) -> Token:
    """Send a request for a token and return the token. Raises TokenNotIssued, also if there is no answer in 5 s."""
    parts = urlsplit(request.url)
    context = tls_context(None) if parts.scheme == "https" else None
    connection = Connection(f"{parts.scheme}://{parts.netloc}", context, TIMEOUT_S, _LARGEST)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        answer: Answer = connection.ask("POST", path, dict(request.headers), request.body)
    except FAILURES as error:
        raise TokenNotIssued(f"no answer ({type(error).__name__})") from None
    finally:
        connection.close()
    return token_of(request, answer.status, answer.body)


class IssuedHeaders(Mapping[str, str]):
    """The headers of a session whose token another host issues. A thread fetches the token and renews it before it ends.

    Reading them never waits and sends nothing: timed requests can use them. Safe to use from many threads.
    """

    __slots__ = (
        "_again",
        "_changed",
        "_closed",
        "_ends_at",
        "_failed",
        "_fetch",
        "_learn",
        "_lost",
        "_problem",
        "_request",
        "_token",
    )

    def __init__(self, request: TokenRequest, fetch_token: Callable[[TokenRequest], Token] = fetch) -> None:
        self._request = request
        self._fetch = fetch_token
        self._changed = threading.Condition()
        self._token: str | None = None
        self._problem: str | None = None
        self._ends_at = float("inf")
        self._failed = 0  # attempts since the last token
        self._lost = self._closed = False
        self._again: str | None = None  # a refused token that the endpoint gave again after that
        self._learn: list[Callable[[str], None]] = []

    def start(self) -> None:
        """Fetch the token and keep it fresh, in a thread that ends with ``close`` or the process."""
        threading.Thread(target=self._keep, name="token", daemon=True).start()

    def close(self) -> None:
        """End the thread; the token is not renewed any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def token(self) -> str | None:
        """Return the token, None before the first one and after the end of one that could not be renewed."""
        with self._changed:
            return self._token if time.monotonic() < self._ends_at else None

    @property
    def problem(self) -> str | None:
        """Return why the last attempt got no token, as a sentence; None if it got one."""
        with self._changed:
            return self._problem

    def wait(self, learn: Callable[[str], None] | None = None) -> str:
        """Wait for the first attempt and return the token; ``learn`` redacts it and each later one. Raises TokenNotIssued."""
        with self._changed:
            if learn is not None and learn not in self._learn:
                self._learn.append(learn)
                if self._token is not None:
                    learn(self._token)
            self._changed.wait_for(lambda: self._token is not None or self._problem is not None, 2 * TIMEOUT_S)
        if (token := self.token) is not None:
            return token
        raise TokenNotIssued(self.problem or self._sentence("no answer yet"))

    def lost(self, refused: str | None = None) -> None:
        """Note that the service refused the token with 401: fetch another one.

        ``refused`` is the refused header, if the caller knows it; nothing is fetched if the token has changed since.
        """
        with self._changed:
            if refused is not None and refused != self["Authorization"]:
                return
            self._lost = True
            self._changed.notify_all()

    def wait_for_another(self, refused: str, within_s: float) -> None:
        """Wait until the header has another token than ``refused``, at most ``within_s``.

        It does not wait any longer, or again, once an attempt failed or the endpoint gave the refused token again.
        """

        def decided() -> bool:
            again = self._again is not None and self._again == self._token
            return self["Authorization"] != refused or self._problem is not None or again

        with self._changed:
            self._changed.wait_for(decided, within_s)

    def __getitem__(self, name: str) -> str:
        if name != "Authorization":
            raise KeyError(name)
        with self._changed:
            return f"Bearer {self._token or ''}"

    def __iter__(self) -> Iterator[str]:
        return iter(("Authorization",))

    def __len__(self) -> int:
        return 1

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<headers with a token from {self._request.shown}>"

    def _sentence(self, problem: str) -> str:
        return (
            f"the token endpoint {self._request.shown} issued no token: {problem}. "
            "This is not an answer of the release; check the endpoint and the client's credentials."
        )

    def _keep(self) -> None:
        while not self._closed:
            pause = self._attempt()
            with self._changed:
                if pause > PAUSE_S and not self._changed.wait_for(lambda: self._closed, PAUSE_S):
                    self._changed.wait_for(lambda: self._closed or self._lost, pause - PAUSE_S)
                else:
                    self._changed.wait_for(lambda: self._closed, pause)

    def _attempt(self) -> float:
        """Fetch a token once; return the seconds until the next attempt, unless the token is lost before."""
        problem, token = None, None
        with self._changed:
            refused = self._token if self._lost else None
            self._lost = False
        try:
            token = self._fetch(self._request)
        except TokenNotIssued as error:
            problem = self._sentence(str(error))
        except Exception as error:
            problem = self._sentence(type(error).__name__)
        with self._changed:
            now = time.monotonic()
            self._problem = problem
            self._failed = 0 if problem is None else self._failed + 1
            if token is not None:
                if token.value == refused:
                    self._again = refused
                self._token, self._ends_at = token.value, now + token.lasts_s
                for learn in self._learn:
                    learn(token.value)
            self._changed.notify_all()
        if token is None:
            return min(LONGEST_PAUSE_S, float(PAUSE_S * 2 ** min(self._failed - 1, 10)))
        return min(max(PAUSE_S, RENEWED_AFTER * token.lasts_s), threading.TIMEOUT_MAX)


class _Tokens:
    """The tokens of this process, one for each client or user."""

    __slots__ = ("_found", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, bytes, tuple[tuple[str, str], ...], str | None], IssuedHeaders] = {}

    def of(self, request: TokenRequest) -> IssuedHeaders:
        """Return the headers for a request; the first caller starts their thread."""
        key = (request.url, request.body, tuple(request.headers.items()), request.use)
        with self._lock:
            if (found := self._found.get(key)) is None:
                found = self._found[key] = IssuedHeaders(request)
                found.start()
            return found

    def close(self) -> None:
        """Forget all tokens and end their threads."""
        with self._lock:
            for one in self._found.values():
                one.close()
            self._found.clear()

    def problems(self) -> list[str]:
        """Return the sentence of each token that is missing or has ended."""
        with self._lock:
            return [one.problem for one in self._found.values() if one.token is None and one.problem is not None]


_TOKENS = _Tokens()


def issued(session: Session, values: Values) -> IssuedHeaders:
    """Return the headers of a session whose token another host issues; all callers in this process share the token.

    They may have no token yet, see ``IssuedHeaders.wait``. Raises TokenNotIssued if a placeholder has no value.
    """
    return _TOKENS.of(token_request(session, values))


def problems() -> list[str]:
    """Return why this process has no valid token, a sentence for each token that it lacks."""
    return _TOKENS.problems()


def forget() -> None:
    """Forget the tokens of this process and end the threads that renew them."""
    _TOKENS.close()

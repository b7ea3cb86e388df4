"""The HTTP client of every check: no retries, no redirects, no proxies of the environment, and a record of each exchange."""

from __future__ import annotations

import json
import re
import shlex
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import httpx

from verification.http.answer_limits import AnswerLimits, LimitedTransport
from verification.http.decoding import ENCODINGS
from verification.http.loopback import address_of, tls_context
from verification.http.readable_cookies import ReadableCookies, SendableCookies
from verification.http.route import DIRECT, Route
from verification.http.text_body import charset_of
from verification.redaction.excerpt import excerpt
from verification.redaction.redactor import is_secret_name

_HEADERS_OF_THE_CLIENT = frozenset({"host", "content-length", "accept-encoding", "connection", "user-agent", "accept"})
_LONGEST_BODY = 2000
_LONGEST_LOCATION = 120
_FOLLOWS = "follows_redirects"
"""The extension of a request that says whether its redirects are followed; httpcore ignores it."""


@dataclass(frozen=True)
class Exchange:
    """One request and its result.

    ``status`` is None if there was no answer; ``problem`` then says why. ``elapsed_ms`` runs from sending to the end of
    the answer's body (of its head, if the caller streams the body); ``at`` is the moment of sending in epoch seconds.
    ``kept`` says whether the connection could have been kept from an earlier request (keep-alive was on), not that it
    was.
    """

    method: str
    path: str
    status: int | None
    elapsed_ms: float
    at: float
    problem: str | None
    kept: bool


OnExchange = Callable[[Exchange], None]


class LoopbackTransport(httpx.BaseTransport):
    """Sends requests for ``*.localhost`` to 127.0.0.1, with the Host header and the TLS server name of the URL.

    The response keeps the caller's request, so that messages (a URL, a curl command) show the address that the caller
    used.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response. Raises what the inner transport raises: an ``httpx.TransportError``."""
        return self._inner.handle_request(to_loopback(request))

    def __enter__(self) -> LoopbackTransport:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)

    def close(self) -> None:
        """Close the pool of connections."""
        self._inner.close()


def to_loopback(request: httpx.Request) -> httpx.Request:
    """Return the request to send: unchanged, or, for ``*.localhost``, addressed to 127.0.0.1."""
    host = request.url.host
    address = address_of(host)
    if address == host:
        return request
    extensions = dict(request.extensions)
    if request.url.scheme == "https":
        extensions.setdefault("sni_hostname", host)
    # The Host header was set from the URL when the request was built; a new Request with headers keeps it.
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


class UnusableLocation(httpx.RemoteProtocolError):
    """A redirect that had to be followed leads to an address that is not a URL of HTTP; the text names request and address."""


class _Jar(threading.local):
    """The cookies of one thread: checks that are played at the same time do not see those of each other."""

    def __init__(self) -> None:
        self.cookies: httpx.Cookies = SendableCookies()


class RecordingClient(httpx.Client):
    """An ``httpx.Client`` that reports each request to ``on_exchange``, also a request without an answer.

    Its cookies are those of the thread that asks.
    """

    def __init__(
        self,
        on_exchange: OnExchange | None,
        keep_alive: bool,
        tls_name: str | None = None,
        route: Route = DIRECT,
        **options: Any,
    ) -> None:
        self._jar = _Jar()
        super().__init__(**options)
        self.route = route
        self._tls_name = tls_name
        self._on_exchange = on_exchange
        self._keep_alive = keep_alive

    @property
    def cookies(self) -> httpx.Cookies:
        """Return the cookies of this thread."""
        return self._jar.cookies

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        self._jar.cookies = SendableCookies(cookies)

    @property
    def tls_name(self) -> str | None:
        """Return the name that replaces the address's host in TLS, None if it is the address's."""
        return self._tls_name

    def record(self, exchange: Exchange) -> None:
        """Record an exchange that another protocol's client made in place of this one."""
        if self._on_exchange is not None:
            self._on_exchange(exchange)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send as ``httpx.Client.send`` does, and record the exchange. Raises ``httpx.TransportError`` if there is no answer."""
        if self._tls_name is not None:
            request.extensions["sni_hostname"] = self._tls_name
        follow = options.get("follow_redirects", httpx.USE_CLIENT_DEFAULT)
        request.extensions[_FOLLOWS] = self.follow_redirects if follow is httpx.USE_CLIENT_DEFAULT else follow
        at, begin = time.time(), time.perf_counter()
        status: int | None = None
        problem: str | None = None
        try:
            response = super().send(request, **options)
            status = response.status_code
            response.encoding = charset_of(response)  # a check may read the text
            if "set-cookie" in response.headers:
                response._cookies = ReadableCookies()  # ``response.cookies``; httpx has no other way to choose it
                response._cookies.extract_cookies(response)
            return response
        except httpx.HTTPError as exc:
            problem = f"{type(exc).__name__}: {exc}"
            raise
        finally:
            if self._on_exchange is not None:
                elapsed_ms = (time.perf_counter() - begin) * 1000
                path = request.url.raw_path.partition(b"?")[0].decode("ascii")  # %2F must stay different from /
                self._on_exchange(Exchange(request.method, path, status, elapsed_ms, at, problem, self._keep_alive))

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        """Return the request that a redirect asks for. httpx builds it even if it is not sent, so only then an address must be usable.

        Raises UnusableLocation if the redirect is followed.
        """
        try:
            return super()._build_redirect_request(request, response)
        except (httpx.InvalidURL, httpx.RemoteProtocolError, ValueError):  # ValueError: a host that IDNA does not allow
            if request.extensions.get(_FOLLOWS, True):
                location = excerpt(response.headers["location"], _LONGEST_LOCATION)
                name = f"{request.method} {request.url.path}"
                raise UnusableLocation(f"{name}: the Location {location!r} cannot be followed") from None
            return None  # type: ignore[return-value]  # becomes the response's next_request, which may be None


def open_client(
    base_url: str,
    *,
    timeout_s: float,
    on_exchange: OnExchange | None = None,
    headers: Mapping[str, str] | None = None,
    keep_alive: bool = True,
    ca_file: str | None = None,
    tls_name: str | None = None,
    answers: AnswerLimits | None = None,
    route: Route = DIRECT,
) -> httpx.Client:
    """Return a client for one address; the caller closes it (``with``).

    ``timeout_s`` limits each of connecting, sending, waiting and reading; ``answers`` limits the size of an answer and
    the whole time of a request (None: the defaults). Without ``keep_alive`` each request has its own connection.
    ``ca_file`` as in ``tls_context``. ``tls_name`` replaces the address's host as the TLS server name, and the
    certificate must be valid for it. ``route``: further headers, and a host. The client ignores the environment (proxies, netrc, certificates).
    """
    # Reading the system's certificates takes 20 ms. Without TLS the client gets a context that trusts no certificate.
    context = tls_context(ca_file) if base_url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20 if keep_alive else 0)
    transport = LimitedTransport(context, limits, answers or AnswerLimits())
    return RecordingClient(
        on_exchange,
        keep_alive,
        tls_name or route.tls_name,
        route,
        base_url=base_url,
        timeout=timeout_s,
        headers={"Accept-Encoding": ENCODINGS, **route.beside(headers or {})},
        transport=LoopbackTransport(transport),
        trust_env=False,
        follow_redirects=False,
    )


@dataclass(frozen=True)
class Received:
    """An answer of httpx in the form that journeys read."""

    response: httpx.Response

    @property
    def status(self) -> int:
        """Return the status."""
        return self.response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """Return the headers."""
        return self.response.headers

    @property
    def body(self) -> bytes:
        """Return the whole body."""
        return self.response.content


# The address of a viewer in TEST-NET-3 (RFC 5737) who came through a proxy; a service may evaluate these headers.
_VIEWER = "203.0.113.7"


def as_front_door(live_url: str, header: str, ask_for: str | None = None) -> dict[str, Any]:
    """Return options of ``open_client`` that ask a colour as its front door will, for a viewer who asked for ``live_url``.

    ``header`` is the header that carries the viewer's host, in lower case. If it is ``host``, the TLS name is the live
    domain's own as well; otherwise Host and TLS name are the colour's own. ``ask_for`` is a host that a load balancer
    rewrites to the live domain's before the colour sees it.
    """
    url = httpx.URL(live_url)
    host = url.netloc.decode("ascii")
    forwarded = {"X-Forwarded-For": _VIEWER, "X-Forwarded-Proto": url.scheme}
    if ask_for is not None:
        return {"headers": {**forwarded, "Host": ask_for}}
    if header == "host":
        return {"headers": {**forwarded, "Host": host}, "tls_name": url.host}
    return {"headers": {**forwarded, header: host}}


def curl_for(request: httpx.Request) -> str:
    """Return a curl command that repeats the request; the bearer token is ``$TOKEN``, a password ``$PASSWORD``.

    Arguments with a variable are in double quotes, so that the shell inserts the variable's value.
    """
    parts = ["curl", "-i"]
    if request.method != "GET":
        parts += ["-X", request.method]
    if (host := request.headers.get("host", "")) != request.url.netloc.decode("ascii"):
        parts += ["-H", shlex.quote(f"Host: {host}")]
    for name, value in request.headers.items():
        if name not in _HEADERS_OF_THE_CLIENT:
            parts += ["-H", _header(name, value)]
    body = _body_of(request)
    if body:
        parts += ["--data", body]
    parts.append(shlex.quote(str(request.url.copy_with(username=None, password=None))))
    return " ".join(parts)


def _header(name: str, value: str) -> str:
    if name == "authorization":
        scheme = value.partition(" ")[0]
        return '"Authorization: Basic $CREDENTIALS"' if scheme == "Basic" else '"Authorization: Bearer $TOKEN"'
    if is_secret_name(name):
        return f'"{name}: $SECRET"'
    return shlex.quote(f"{name}: {value}")


def _body_of(request: httpx.Request) -> str:
    try:
        raw = request.content
    except httpx.RequestNotRead:
        return '"@body"'
    if not raw:
        return ""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return _form_of(raw)
    try:
        value = json.loads(raw)
    except (
        ValueError,
        RecursionError,
    ):  # UnicodeDecodeError is a ValueError; a check may send a malformed body on purpose
        return shlex.quote(f"({len(raw)} bytes that are not JSON)")
    names: set[str] = set()
    hidden = _hide(value, names)
    text = json.dumps(hidden, ensure_ascii=False)
    if len(text) > _LONGEST_BODY:
        return shlex.quote(f"({len(raw)} bytes of JSON)")
    return _double_quoted(text, names) if names else shlex.quote(text)


def _form_of(raw: bytes) -> str:
    """Return the fields of a form for ``--data``, its secret ones as shell variables; the number of bytes if it is no form."""
    try:
        fields = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return shlex.quote(f"({len(raw)} bytes that are not a form)")
    if len(raw) > _LONGEST_BODY:
        return shlex.quote(f"({len(raw)} bytes of a form)")
    names: set[str] = set()
    pairs = [
        (quote_plus(name), _variable(name, names) if is_secret_name(name) else quote_plus(value))
        for name, value in fields
    ]
    text = "&".join(f"{name}={value}" for name, value in pairs)
    # quote_plus leaves nothing that a shell reads, so that only our own variables have a dollar sign.
    return f'"{text}"' if names else shlex.quote(text)


def _hide(value: Any, names: set[str]) -> Any:
    """Return the JSON value with its secret fields replaced by a shell variable, and add the variables to ``names``."""
    if isinstance(value, dict):
        return {k: _variable(k, names) if is_secret_name(k) else _hide(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_hide(v, names) for v in value]
    return value


def _variable(field: str, names: set[str]) -> str:
    name = "$" + re.sub(r"[^A-Z0-9_]", "_", field.upper())
    names.add(name)
    return name


def _double_quoted(text: str, names: set[str]) -> str:
    """Quote for ``sh``: all text is literal except our own variables, whose dollar signs stay unescaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    for name in names:
        escaped = escaped.replace(f'\\"\\{name}\\"', f'\\"{name}\\"')
    return f'"{escaped}"'

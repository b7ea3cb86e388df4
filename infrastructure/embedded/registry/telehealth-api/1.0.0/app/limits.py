"""RATE_LIMIT_MAX_REQUESTS: requests a minute for a token, else for an address; health is exempt."""

import hashlib
import logging

import redis.exceptions
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import Problem, problem_response
from app.sessions import Sessions
from app.tokens import Tokens, bearer_of

WINDOW_S = 60

_log = logging.getLogger("telehealth.limits")


class RateLimit:
    """Counts in Redis, so that both colours share one count; answers 429 with Retry-After beyond the limit."""

    def __init__(self, app: ASGIApp, limit: int, sessions: Sessions, tokens: Tokens) -> None:
        self._app = app
        self._limit = limit
        self._sessions = sessions
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http" or scope["path"] == "/health" or scope["path"].startswith("/health/"):
            await self._app(scope, receive, send)
            return
        try:
            count, seconds_left = await self._sessions.count(self._whose(Request(scope)), WINDOW_S)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            # A limit protects the service; without its counter, serving is the safer side.
            _log.warning("rate limit not counted: redis is unreachable")
            count, seconds_left = 0, 0
        if count <= self._limit:
            await self._app(scope, receive, send)
            return
        headers = {"Retry-After": str(seconds_left)}
        await problem_response(429, f"more than {self._limit} requests a minute", headers)(scope, receive, send)

    def _whose(self, request: Request) -> str:
        """The token's count where it is one of ours (else forged ones would buy fresh counts), or the address's."""
        try:
            return "token:" + hashlib.sha256(self._tokens.read(bearer_of(request)).id.encode()).hexdigest()
        except Problem:
            return "address:" + (request.client.host if request.client else "unknown")

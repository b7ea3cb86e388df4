"""What load balancers and deployments ask: is it serving, which release is it, does it reach what it needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import redis.exceptions
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.problems import problem_response
from app.sessions import Sessions
from app.store import Store

TIMEOUT_S = 1.0

_UNREACHABLE = (psycopg.Error, redis.exceptions.RedisError, OSError, TimeoutError)


class Health:
    """The operations under /health."""

    def __init__(self, version: str, store: Store, sessions: Sessions) -> None:
        self._version = version
        self._store = store
        self._sessions = sessions

    async def health(self, _request: Request) -> Response:
        """GET /health; asks nothing of others, so that their outage does not make the platform restart us."""
        return JSONResponse({"status": "ok", "version": self._version}, headers={"Cache-Control": "no-store"})

    async def database(self, _request: Request) -> Response:
        """GET /health/database"""
        return await _answer("database", lambda: self._store.ping(TIMEOUT_S))

    async def redis(self, _request: Request) -> Response:
        """GET /health/redis"""
        return await _answer("redis", self._sessions.ping)


async def _answer(name: str, ping: Callable[[], Awaitable[None]]) -> Response:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await ping()
    except _UNREACHABLE:
        return problem_response(503, f"the {name} is not reachable")
    latency_ms = round((time.perf_counter() - began) * 1000, 3)
    return JSONResponse({"status": "ok", "latency_ms": latency_ms}, headers={"Cache-Control": "no-store"})

"""The composition: what is made of what, which path leads where, and what opens and closes with the process."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from app.auth import Auth
from app.config import Settings
from app.consults import Consults
from app.cors import Cors
from app.guard import Guard
from app.health import Health
from app.limits import RateLimit
from app.passwords import Passwords
from app.problems import EXCEPTION_HANDLERS
from app.sessions import Sessions
from app.store import Store
from app.tokens import Tokens

VERSION = (Path(__file__).parent.parent / "VERSION").read_text(encoding="utf-8").strip()

_log = logging.getLogger("telehealth")


def create_app(settings: Settings) -> Starlette:
    """The ASGI application; nothing is connected before it starts."""
    store = Store(settings.database_url)
    sessions = Sessions(settings.redis_host, settings.redis_port)
    tokens = Tokens(settings.jwt_secret)
    passwords = Passwords()
    auth = Auth(store, sessions, tokens, passwords)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await store.open()
        _log.info("serving", extra={"fields": {"version": VERSION, "environment": settings.environment}})
        yield
        await store.close()
        await sessions.close()
        passwords.close()

    # From the outside in: what the guard answers carries the CORS headers, too.
    middleware = [_cors(settings.cors_origins)] if settings.cors_origins else []
    middleware.append(Middleware(Guard))
    if settings.rate_limit:
        middleware.append(Middleware(RateLimit, limit=settings.rate_limit, sessions=sessions, tokens=tokens))
    app = Starlette(
        routes=_routes(Health(VERSION, store, sessions), auth, Consults(store, auth)),
        middleware=middleware,
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # /consults/ is unknown, not another name of /consults
    return app


def _routes(health: Health, auth: Auth, consults: Consults) -> list[Route]:
    return [
        Route("/health", health.health, methods=["GET"]),
        Route("/health/database", health.database, methods=["GET"]),
        Route("/health/redis", health.redis, methods=["GET"]),
        Route("/auth/login", auth.login, methods=["POST"]),
        Route("/auth/logout", auth.logout, methods=["POST"]),
        Route("/consults", consults.list, methods=["GET"]),
        Route("/consults", consults.create, methods=["POST"]),
        Route("/consults/{id}", consults.read, methods=["GET"]),
        Route("/consults/{id}", consults.delete, methods=["DELETE"]),
    ]


def _cors(origins: tuple[str, ...]) -> Middleware:
    return Middleware(
        Cors,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Location", "Retry-After"],
    )

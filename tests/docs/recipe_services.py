"""The services that the recipes of docs/qa.md ask: the shipped image with its data in memory, and the httpbin example."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from infrastructure.embedded.layout import Environment, Layout, Ports, Served, write_environment
from infrastructure.embedded.passwords import SMOKE_USERS
from tests.service.support import IMAGES, free_port, stop, wait_until

PASSWORDS = ("canary-First:word", "canary-Second:word")
LIVE_HOST, IDLE_HOST = "live.localhost", "idle.localhost"


class Store:
    """The image's ``app.store.Store`` without PostgreSQL; the values are those of the image's classes."""

    def __init__(self, users: dict[str, Any], consult: Callable[..., Any]) -> None:
        self._users = users
        self._consult = consult
        self._kept: list[tuple[uuid.UUID, Any]] = []

    async def open(self) -> None:
        """Do nothing."""

    close = open

    async def ping(self, timeout_s: float) -> None:
        """Do nothing."""

    async def user(self, email: str) -> Any:
        """Return the user with this address, or None."""
        return self._users.get(email)

    async def page(self, user: uuid.UUID, limit: int, after: Any) -> Sequence[Any]:
        """Return at most ``limit`` consults, newest first, after a position."""
        own = [one for owner, one in reversed(self._kept) if owner == user]
        numbers = [number for number, one in enumerate(own) if after is not None and one.id == after.id]
        return own[numbers[0] + 1 if numbers else 0 :][:limit]

    async def read(self, user: uuid.UUID, consult: uuid.UUID) -> Any:
        """Return the user's consult, or None."""
        return next((one for owner, one in self._kept if (owner, one.id) == (user, consult)), None)

    async def create(self, user: uuid.UUID, new: Any) -> Any:
        """Keep a new consult and return it."""
        at = datetime.now(UTC)
        made = self._consult(uuid.uuid4(), new.patient, new.reason, new.starts_at, "booked", new.notes, at)
        self._kept.append((user, made))
        return made

    async def delete(self, user: uuid.UUID, consult: uuid.UUID) -> bool:
        """Delete a consult; return whether there was one."""
        before = len(self._kept)
        self._kept = [(owner, one) for owner, one in self._kept if (owner, one.id) != (user, consult)]
        return len(self._kept) < before


class Sessions:
    """The image's ``app.sessions.Sessions`` without Redis."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()

    async def close(self) -> None:
        """Do nothing."""

    ping = close

    async def revoke(self, token: Any) -> None:
        """Refuse this token from now on."""
        self._revoked.add(token.id)

    async def is_revoked(self, token: Any) -> bool:
        """Return whether the token was revoked."""
        return token.id in self._revoked


@contextmanager
def shipped_service(folder: Path) -> Iterator[int]:
    """Serve the shipped image's newest release in a thread of this process, and yield its port."""
    # A copy: bytecode in the shipped folder would change the image's digest.
    image = shutil.copytree(IMAGES / "1.1.0", folder / "image", ignore=shutil.ignore_patterns("__pycache__"))
    sys.path.insert(0, str(image))
    try:
        application, stores, passwords, config = (
            importlib.import_module(f"app.{name}") for name in ("application", "store", "passwords", "config")
        )
        users = {
            email: stores.User(uuid.uuid4(), passwords.hash_password(password))
            for email, password in zip(SMOKE_USERS, PASSWORDS, strict=True)
        }
        vars(application).update(
            Store=lambda _url: Store(users, stores.Consult), Sessions=lambda _host, _port: Sessions()
        )
        origins = ("https://app.telehealth.example",)
        secret = "canary-signing-key-of-32-characters"
        settings = config.Settings(0, "test", "", "", 0, secret, origins, 0)
        port = free_port()
        options = uvicorn.Config(
            application.create_app(settings), "127.0.0.1", port, log_config=None, access_log=False, server_header=False
        )
        server = uvicorn.Server(options)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started, "the service answers")
            yield port
        finally:
            server.should_exit = True
            thread.join()
    finally:
        sys.path.remove(str(image))
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            del sys.modules[name]


@contextmanager
def httpbin(example: Path) -> Iterator[int]:
    """Run the httpbin example's newest release in its own virtual environment, and yield its port."""
    python = example / ".venv" / "bin" / "python"
    assert python.exists(), "run `make examples` first"
    image = sorted((example / "registry" / "httpbin").iterdir())[-1]
    port = free_port()
    process = subprocess.Popen(
        [python, "serve.py"], cwd=image, env={"PATH": os.environ["PATH"], "PORT": str(port)}, stdin=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: process.poll() is None and _answers(port), "httpbin answers")
        yield port
    finally:
        stop(process)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/status/200", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def environment_up(state: Path, port: int) -> None:
    """Write the files of an environment whose edge and colours are the server at this port."""
    layout = Layout(state)
    layout.make()
    served = Environment(
        state, "1.0.0", Served("telehealth-api"), Ports(port, port, port, port, port, port), state, "store"
    )
    write_environment(layout, served)
    layout.secrets.write_text(json.dumps({"smoke_users": PASSWORDS}))
    layout.edge_route.write_text(f"1 blue {LIVE_HOST}:{port} - - 0.")
    for host in (LIVE_HOST, IDLE_HOST):
        (layout.ingress / host).mkdir()
        (layout.ingress / host / f"127.0.0.1:{port}").touch()

"""The fixtures for what is not one request and one answer: server-sent events and WebSockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from plugins.fixtures import Session
from verification.http.client import RecordingClient
from verification.redaction.redactor import is_secret_name

Events = Callable[..., Any]
WebSocket = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def events(_deployment: Session, client: httpx.Client) -> Events:
    """A function that returns the first server-sent events of a stream: first, second = events("/feed", count=2, headers=signed_in)."""
    from verification.http.events import read_events

    def read(path: str, count: int = 1, on: httpx.Client = client, **request: Any) -> Any:
        _learn(_deployment, path, request.get("headers"))
        return read_events(on, path, count, **request)

    return read


@pytest.fixture
def websocket(_deployment: Session, client: httpx.Client) -> WebSocket:
    """A function that opens a WebSocket: with websocket("/chat", headers=signed_in) as chat: assert chat.ask("ping") == "pong"."""
    from verification.http.websocket import open_websocket

    def connect(path: str, on: httpx.Client = client, **options: Any) -> AbstractContextManager[Any]:
        if not isinstance(on, RecordingClient):
            raise TypeError("websocket needs a client of the framework: client, live_client or front_client")
        _learn(_deployment, path, options.get("headers"))
        return open_websocket(on, path, _deployment.answers, **options)

    return connect


def _learn(deployment: Session, path: str, headers: Any) -> None:
    """Redact the secrets of a request: browsers send a WebSocket's token in the query, since they set no headers."""
    pairs: Iterable[tuple[str, str]] = [*parse_qsl(urlsplit(path).query), *dict(headers or {}).items()]
    for name, value in pairs:
        if is_secret_name(name):
            deployment.learn(value, value.rpartition(" ")[2])

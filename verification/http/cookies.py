"""Cookies belong to one check: none is sent that an earlier check or a sign-in got, so that no result depends on the order of checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from verification.http.client import RecordingClient


@contextmanager
def own_cookies(client: httpx.Client) -> Iterator[None]:
    """Begin the block without cookies, and forget those that it gets. A client that a project made keeps its own."""
    if not isinstance(client, RecordingClient):
        yield
        return
    before, client.cookies = client.cookies, httpx.Cookies()
    try:
        yield
    finally:
        client.cookies = before


def ask_alone(
    client: httpx.Client, method: str, path: str, headers: Mapping[str, str], body: bytes | None
) -> httpx.Response:
    """Send a request with the credentials in its headers and no others. Raises ``httpx.TransportError``."""
    with own_cookies(client):
        return client.request(method, path, headers=dict(headers), content=body)

"""Asks a running service which path answers as a health check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from deployment.errors import Refused
from scripts.drafts.service import HEALTH, Asked
from verification.http.client import open_client

TIMEOUT_S = 5.0
OK = 200


def ask(url: str, documented: Sequence[str]) -> Asked | None:
    """Return the first path that answers 200: a documented one, a usual one below the URL, or the URL itself; None if none does.

    Raises Refused if the service cannot be reached.
    """
    parts = urlsplit(url)
    below = parts.path.rstrip("/")
    usual = [f"{below}/{word}" for word in (*HEALTH, "actuator/health", "api/health", "")]
    with open_client(f"{parts.scheme}://{parts.netloc}", timeout_s=TIMEOUT_S) as client:
        for path in dict.fromkeys([*documented, *usual]):
            try:
                answer = client.get(path)
            except httpx.HTTPError as error:
                raise Refused(
                    f"--url {url} cannot be reached: GET {path}: {type(error).__name__}",
                    hint="Start the service, correct the URL, or omit --url.",
                ) from None
            if answer.status_code == OK:
                return Asked(path, _version(answer))
    return None


def _version(answer: httpx.Response) -> Any:
    """Return where the answer names a version: a field, or a header; None if nowhere."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("version"), str):
        return "$.version"
    return next(({"header": name} for name in ("X-Version", "X-App-Version") if name in answer.headers), None)

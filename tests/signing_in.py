"""Sign in to the example service, as a client of its contract does."""

from __future__ import annotations

import httpx

from verification.journeys.accounts import SmokeUser


class SignInFailed(AssertionError):
    """No token: the answer to ``POST /auth/login`` was not the one that right credentials get."""


def sign_in(client: httpx.Client, user: SmokeUser) -> str:
    """The bearer token of a new session. Raises SignInFailed, or ``httpx.TransportError`` where no answer came."""
    response = client.post("/auth/login", json={"email": user.email, "password": user.password})
    if response.status_code != 200:
        raise SignInFailed(f"POST /auth/login for {user.email}: status {response.status_code}, expected 200")
    try:
        body = response.json()
    except ValueError:
        raise SignInFailed(f"POST /auth/login for {user.email}: status 200, but the body is not JSON") from None
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise SignInFailed(f"POST /auth/login for {user.email}: status 200, but no access_token in the body")
    return token

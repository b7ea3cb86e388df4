"""The shortest check of an answer: its status. The message names the request and a command that repeats it."""

from __future__ import annotations

import httpx

from verification.contract.openapi import violation


def expect(response: httpx.Response, status: int, what: str | None = None) -> httpx.Response:
    """Return the answer if it has that status. ``what`` names the request better than its path. Raises ContractViolation."""
    if response.status_code != status:
        request = response.request
        name = what or f"{request.method} {request.url.path}"
        moved = f" to {response.headers['location']}" if "location" in response.headers else ""
        raise violation(response, name, f"status {response.status_code}{moved}", f"status {status}")
    return response

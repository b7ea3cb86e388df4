"""The shortest check of an answer: its status, in words that say who was asked and how to see it again."""

from __future__ import annotations

import httpx

from verification.contract.openapi import violation


def expect(response: httpx.Response, status: int, what: str | None = None) -> httpx.Response:
    """The answer, where it has that status; ``what`` was asked, if it is more than method and path. Raises ContractViolation."""
    if response.status_code != status:
        request = response.request
        name = what or f"{request.method} {request.url.path}"
        moved = f" to {response.headers['location']}" if "location" in response.headers else ""
        raise violation(response, name, f"status {response.status_code}{moved}", f"status {status}")
    return response

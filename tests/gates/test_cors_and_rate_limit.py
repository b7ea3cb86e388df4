"""CORS and rate limit: the settings declare them, and a service that differs from the settings is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.images import Fault
from tests.gates.verifying import Bench, changed_settings

ORIGIN = "https://app.telehealth.com"  # of the bench's CORS_ORIGINS
ANY_ORIGIN = Fault(
    "any-origin", "app/application.py", "[_cors(settings.cors_origins)]", '[_cors(tuple("*" for _ in "*"))]'
)
NO_RETRY_AFTER = Fault(
    "no-retry-after", "app/limits.py", 'headers = {"Retry-After": str(seconds_left)}', "headers = {}"
)


def settings(folder: Path, origins: str = "", rate_limit: int = 0) -> Path:
    """Write the shipped settings with these two changed; return the file."""
    return changed_settings(
        folder, ("cors_origins = []", f"cors_origins = [{origins}]"), ("rate_limit = 0", f"rate_limit = {rate_limit}")
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("fault", "served", "asked", "message"),
    [
        (None, 0, {"origins": f'"{ORIGIN}"'}, None),
        (None, 0, {"origins": '"https://other.telehealth.com"'}, "https://other.telehealth.com"),
        (ANY_ORIGIN, 0, {"origins": f'"{ORIGIN}"'}, "expected none"),
        (None, 40, {"rate_limit": 40}, None),
        (None, 0, {"rate_limit": 40}, "none was answered 429"),
        (None, 20, {"rate_limit": 40}, "request 21 of one token was answered 429"),
        (None, 20, {"rate_limit": 0}, "request 21 of one token was answered 429"),
        (NO_RETRY_AFTER, 40, {"rate_limit": 40}, "Retry-After"),
    ],
)
def test_edges_follow_the_settings(
    bench: Bench, tmp_path: Path, fault: Fault | None, served: int, asked: dict[str, object], message: str | None
) -> None:
    own = settings(tmp_path, **asked)  # type: ignore[arg-type]  # two keywords of two types
    with bench.serving(fault, RATE_LIMIT_MAX_REQUESTS=str(served)) as service:
        ran = bench.verify(service, ("endpoints/test_edges.py",), settings=own)
    messages = "\n".join(ran.failures.values())
    assert ran.code == (0 if message is None else 1), ran.output
    assert (message or "") in messages, messages

"""Releases that are unhealthy, at once or after a while."""

from __future__ import annotations

from tests.e2e.images import Fault
from tests.gates.faults import GateFault, gate_fault

HEALTH = '        return JSONResponse({"status": "ok", "version"'
COUNTED = '        self.asked = getattr(self, "asked", 0) + 1\n'
GUARD = "        status = 0\n\n        async def watched"


def _health(name: str, before: str, *words: str) -> GateFault:
    return gate_fault("health", name, "app/health.py", HEALTH, before + HEALTH, *words)


def _after(requests: int, what: str, condition: str = "") -> str:
    """Return a patch that runs ``what`` for each request after the first ``requests`` ones, if ``condition`` holds as well."""
    counted = '        self.asked = getattr(self, "asked", 0) + 1\n'
    return f"{counted}        if self.asked > {requests}{condition}:\n            {what}\n{GUARD}"


_ANSWER_500 = "await problem_response(500)(scope, receive, send)\n            return"
_EXIT = '__import__("os")._exit(7)'

FAULTS = (
    _health(
        "flapping",
        f'{COUNTED}        if self.asked % 20 == 0:\n            return problem_response(503, "not yet")\n',
        "503",
    ),
    _health(
        "flapping-by-time",
        '        if time.monotonic() % 0.8 < 0.2:\n            return problem_response(503, "not yet")\n',
        "503",
    ),
    _health(
        "blinking-status",
        f'{COUNTED}        if self.asked % 25 == 0:\n            return JSONResponse({{"status": "degraded", "version": self._version}})\n',
        "degraded",
    ),
    _health(
        "canonical-host",
        '        if not _request.headers["host"].startswith("127."):\n'
        '            return Response(status_code=307, headers={"Location": "https://www.telehealth.com/"})\n',
        "307",
    ),
    _health(
        "html-page",
        '        return Response("<!doctype html><title>telehealth</title>", media_type="text/html")\n',
        "html",
    ),
    _health(
        "wrong-type",
        '        return Response(f\'{{"status": "ok", "version": "{self._version}"}}\', media_type="text/plain")\n',
        "text/plain",
    ),
    _health("no-version", '        return JSONResponse({"status": "ok", "release": self._version})\n', "version"),
    GateFault(
        Fault("restarts", "app/guard.py", GUARD, _after(70, _EXIT)),
        ("health", "database", "redis", "auth", "endpoints"),
        restarts=True,
    ),
    GateFault(Fault("dies-later", "app/guard.py", GUARD, _after(1800, _EXIT)), ("latency", "load"), needs_load=True),
    GateFault(
        Fault("errs-later", "app/guard.py", GUARD, _after(1800, _ANSWER_500)), ("latency", "load"), needs_load=True
    ),
    GateFault(
        Fault("health-decays", "app/guard.py", GUARD, _after(1800, _ANSWER_500, ' and scope["path"] == "/health"')),
        ("latency", "load"),
        needs_load=True,
    ),
)

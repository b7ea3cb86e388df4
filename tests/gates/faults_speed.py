"""Releases that are slow but correct, or that fail only under load: each within the absolute budgets, each in a different way."""

from __future__ import annotations

from dataclasses import replace

from tests.e2e.images import Fault
from tests.gates.faults import GateFault

GUARD = "        status = 0\n\n        async def watched"
ANSWER = '                status = message["status"]\n'
HANDLER = "            await self._app(scope, receive, watched)\n"
_SLEEP = '__import__("asyncio").sleep'
_COUNTED = '        self.asked = getattr(self, "asked", 0) + 1\n'


def _fault(
    name: str, gates: tuple[str, ...], before: str, after: str, *words: str, file: str = "app/guard.py"
) -> GateFault:
    return GateFault(Fault(name, file, before, after), gates, words, needs_load=True)


def _for_longer(factor: float) -> str:
    """Return a patch that makes each answer longer by ``factor`` times its own time so far, by using the CPU."""
    return (
        f"{ANSWER}                end = time.perf_counter() + {factor} * (time.perf_counter() - began)\n"
        "                while time.perf_counter() < end:\n                    pass\n"
    )


FAULTS = (
    _fault("half-as-long-again", ("latency",), ANSWER, _for_longer(0.5), "times live's time", "Mann-Whitney"),
    _fault(
        "slow-tail",
        ("latency",),
        GUARD,
        f'        if __import__("random").random() < 0.05:\n            await {_SLEEP}(0.3)\n{GUARD}',
    ),
    replace(
        _fault(
            "slow-on-fresh-connections",
            ("latency",),
            GUARD,
            '        self.seen = getattr(self, "seen", set())\n'
            '        if scope["client"] not in self.seen:\n'
            '            self.seen.add(scope["client"])\n'
            f"            await {_SLEEP}(0.002)\n{GUARD}",
            "fresh connections",
        ),
        direct=True,
    ),
    _fault(
        "slow-after-300",
        ("latency",),
        GUARD,
        f"{_COUNTED}        if self.asked > 300:\n            await {_SLEEP}(0.002)\n{GUARD}",
        "times live's time",
    ),
    GateFault(
        Fault(
            "one-slow-operation",
            "app/consults.py",
            "        limit = _limit(request",
            f"        await {_SLEEP}(0.003)\n        limit = _limit(request",
        ),
        ("latency",),
        ("GET /consults?limit=20",),
        needs_load=True,
    ),
    _fault(
        "errs-where-users-meet",
        ("load",),
        # One request in fifty fails once requests have overlapped: a single client with one request at a time never meets it.
        HANDLER,
        '            self.inside = getattr(self, "inside", 0) + 1\n'
        '            self.overlaps = getattr(self, "overlaps", 0) + (self.inside > 1)\n'
        '            self.asked = getattr(self, "asked", 0) + 1\n'
        "            try:\n"
        "                if self.overlaps > 20 and self.asked % 50 == 0:\n"
        "                    await problem_response(500)(scope, receive, watched)\n"
        "                    return\n"
        "                await self._app(scope, receive, watched)\n"
        "            finally:\n"
        "                self.inside -= 1\n",
        "requests failed",
    ),
    _fault(
        "one-at-a-time",
        ("load",),
        HANDLER,
        # A lock around the handler, and a pause for each request that waits for it: a single request at a time is not slower.
        '            self.lock = getattr(self, "lock", None) or __import__("asyncio").Lock()\n'
        "            waits = self.lock.locked()\n"
        "            async with self.lock:\n"
        f"                await {_SLEEP}(0.1 if waits else 0)\n"
        "                await self._app(scope, receive, watched)\n",
    ),
)

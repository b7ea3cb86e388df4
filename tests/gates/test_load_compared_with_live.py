"""A release that is slow only under concurrent requests, within every budget: found by a comparison with live.

The comparison runs only if ``compare_rate`` is set.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.images import Fault
from tests.gates.verifying import ROOT, Bench

# Quick for a single request; 60 ms slower for a request that overlaps another one.
SLOW_UNDER_CONCURRENCY = Fault(
    "slow-under-concurrency",
    "app/guard.py",
    "            await self._app(scope, receive, watched)\n",
    '            self.inside = getattr(self, "inside", 0) + 1\n'
    "            try:\n"
    "                if self.inside > 1:\n"
    '                    await __import__("asyncio").sleep(0.06)\n'
    "                await self._app(scope, receive, watched)\n"
    "            finally:\n"
    "                self.inside -= 1\n",
)
AGAIN = 20


def settings(folder: Path, compare_rate: int) -> Path:
    """Write the shipped settings with the comparison at this rate; return the file."""
    text = (ROOT / "deployment.toml").read_text(encoding="utf-8")
    text, count = re.subn(r"(?m)^compare_rate = 0 ", f"compare_rate = {compare_rate} ", text)
    assert count == 1
    path = folder / "deployment.toml"
    path.write_text(text.replace('service = "', f'service = "{ROOT}/'), encoding="utf-8")
    return path


@pytest.mark.soak
@pytest.mark.parametrize(("compare_rate", "refused"), [(0, False), (50, True)], ids=["off", "on"])
def test_slow_under_concurrent_users(bench: Bench, tmp_path: Path, compare_rate: int, refused: bool) -> None:
    own = settings(tmp_path, compare_rate)
    with bench.live() as live, bench.serving(SLOW_UNDER_CONCURRENCY) as service:
        ran = bench.verify(service, ("load",), "--load", settings=own, beside=live)
    messages = "\n".join(ran.failures.values())
    print(messages)
    assert ran.code == int(refused), ran.output
    if refused:
        assert list(ran.failures) == ["suites.service.yaml.load::no slower than live"]
        for words in (
            "under load: the typical answer took",
            "ms, live's",
            "limit 1.5 times and 20 ms more",
            "--live-url=",
        ):
            assert words in messages


@pytest.mark.soak
def test_good_release_passes(bench: Bench, tmp_path: Path) -> None:
    own = settings(tmp_path, 50)
    with bench.live() as live, bench.serving(None) as service:
        for _ in range(AGAIN):
            ran = bench.verify(service, ("load",), "--load", settings=own, beside=live)
            assert (ran.code, ran.failures) == (0, {}), ran.output

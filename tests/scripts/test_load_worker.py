"""``load-worker``: the addresses that it accepts, and its reaction to Locust's exit codes."""

from __future__ import annotations

import sys

import pytest

from deployment.errors import Refused, StepFailed
from scripts.commands import load_worker
from verification.journeys.accounts import SmokeUser


@pytest.mark.parametrize("address", ["", "here", ":5557", "here:", "here:0", "here:65536", "a b:1", "http://here:1"])
def test_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="must be HOST:PORT"):
        load_worker.parse(address)


def test_valid_address() -> None:
    assert load_worker.parse("10.0.0.5:5557") == ("10.0.0.5", 5557)


class FakeLocust:
    """A fake Locust: each call ends with the next exit code."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def __call__(self, argv: list[str], job: object, _output: object) -> int:
        assert "canary" not in str(argv)
        assert "canary" in str(job)
        return self.codes.pop(0)


def serve(monkeypatch: pytest.MonkeyPatch, *codes: int) -> FakeLocust:
    locust = FakeLocust(*codes)
    monkeypatch.setattr(load_worker, "_one_load", locust)
    monkeypatch.setattr(load_worker, "_PAUSE_S", 0)
    load_worker.serve("here", 1, [SmokeUser("a", "canary")], sys.stdout, once=True)
    return locust


def test_waits_for_a_master_until_one_load_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve(monkeypatch, 255, 255, 0, 0).codes == [0]


@pytest.mark.parametrize(
    ("code", "words"), [(76, "does not know the smoke users"), (1, "exit code 1"), (-9, "code -9")]
)
def test_failure_is_reported(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    with pytest.raises(StepFailed, match=words):
        serve(monkeypatch, code)

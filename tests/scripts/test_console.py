"""The functions that the commands share."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from deployment.events import Waiting
from scripts import deploy
from scripts.commands import console


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_do_not_cut_a_traffic_move_short(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    reached = []
    with console.uninterrupted():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]
    assert f"{number.name} was received and delayed" in capsys.readouterr().out
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("raw", ["\x1b[41mOK\x1b[0m", "O\x07K", "\u202eOK", "\x1b]0;title\x07OK", "O\x9b5mK"])
def test_every_command_prints_without_control_characters(
    raw: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in an error, which may quote an answer."""

    def run() -> None:
        print(f"HTTP/1.1 200 {raw}")
        print(f"failed: {raw}", file=sys.stderr)

    monkeypatch.setattr(deploy, "_run", run)
    deploy.main()
    assert tuple(capsys.readouterr()) == ("HTTP/1.1 200 OK\n", "failed: OK\n")


def moved_and_not_verified() -> None:
    with console.uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("moved, not verified")


def test_error_in_an_uninterrupted_block_is_raised() -> None:
    with pytest.raises(RuntimeError, match="moved"):
        moved_and_not_verified()


def test_a_service_that_reports_no_version_runs_without_one() -> None:
    """Its description has ``version: none``; the words "version None" would look like a fault."""
    answer = {"ok": True, "problem": None, "version": None, "colour": "blue"}
    side = {"colour": "blue", "image": "index:1.0.0", "digest": None, "version": None, "url": "http://a.localhost"}
    idle = {**side, "colour": "green", "image": None, "url": None}
    document = {"environment": "e", "live_url": "http://x", "live_domain": answer, "live": side, "idle": idle}
    rest = {"live_since": None, "rollback": {"possible": False, "reason": "none"}, "deployment": None, "lock": None}
    shown = console.status({**document, **rest}, [])
    assert "None" not in shown
    assert "running at http://a.localhost" in shown
    answered = console.status({**document, **rest, "live_domain": {**answer, "version": "1.2.0"}}, [])
    assert "version 1.2.0 by blue" in answered


def test_long_wait_is_shown_when_it_begins_and_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    waits = console._Waits()
    for second in range(100):
        waits.show(Waiting("rollback", f"blue grows: {second // 10} of 15 targets", float(second)))
    waits.show(Waiting("rollback", "blue does not answer", 100.0))
    waits.show(Waiting("retire", "requests may still be sent", 5.0))
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0].split() for line in shown] == [
        [step, "waiting", f"({at}", "s)"]
        for step, at in (
            ("rollback", 0),
            ("rollback", 30),
            ("rollback", 60),
            ("rollback", 90),
            ("rollback", 100),
            ("retire", 5),
        )
    ]


def test_short_wait_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    console.event(Waiting("rollback", "blue answers", 1.0))
    assert capsys.readouterr().out == ""

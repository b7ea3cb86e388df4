"""The functions that the commands share."""

from __future__ import annotations

import os
import signal

import pytest

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
    assert f"{number.name} came meanwhile" in capsys.readouterr().out
    assert signal.getsignal(number) == before


def moved_and_not_verified() -> None:
    with console.uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("moved, not verified")


def test_error_in_an_uninterrupted_block_is_raised() -> None:
    with pytest.raises(RuntimeError, match="moved"):
        moved_and_not_verified()

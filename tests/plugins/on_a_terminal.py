"""Runs a command on a terminal of 80 columns and 24 lines, and returns what a person saw on it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COLUMNS, LINES = 80, 24


@dataclass(frozen=True)
class Seen:
    """The exit code, the screen after each piece of output, the last screen, and the lines that left it at the top.

    ``raw`` is everything that was written to it.
    """

    code: int
    screens: Sequence[str]
    last: str
    above: Sequence[str]
    raw: bytes

    @property
    def everything(self) -> list[str]:
        """All lines that stay: those above the last screen, and its own."""
        return [*self.above, *self.last.splitlines()]


def run(
    argv: Sequence[str], folder: Path, environ: Mapping[str, str], act: Callable[[int, str], None] = lambda _, __: None
) -> Seen:
    """Run a command to its end. ``act`` gets its process id and each screen, and may send a signal."""
    pyte = _pyte()
    screen: Any = pyte.HistoryScreen(COLUMNS, LINES, history=5000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        argv, cwd=folder, env=dict(environ), stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    screens: list[str] = []
    raw = bytearray()
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # EIO: no process has the terminal any more
            break
        if not piece:
            break
        raw += piece
        stream.feed(piece)
        screens.append(_text(screen.display))
        act(process.pid, screens[-1])
    os.close(controller)
    code = process.wait(timeout=60)
    above = ["".join(line[x].data for x in range(COLUMNS)).rstrip() for line in screen.history.top]
    return Seen(code, screens, _text(screen.display), above, bytes(raw))


def displayed(text: str) -> str:
    """Return what a terminal shows after this text; a text of more lines than it has loses its first ones."""
    pyte = _pyte()
    screen: Any = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return _text(screen.display)


def pytest_on_a_terminal(
    folder: Path,
    *args: str,
    act: Callable[[int, str], None] = lambda _, __: None,
    variables: Mapping[str, str] | None = None,
) -> Seen:
    """Run pytest in a folder; ``variables`` are set besides the usual ones."""
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "COLUMNS", "LINES", "NO_COLOR")}
    environ |= {"TERM": "xterm-256color", **(variables or {})}
    return run([sys.executable, "-m", "pytest", *args], folder, environ, act)


def _text(display: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in display).rstrip()


def _pyte() -> Any:
    return pytest.importorskip("pyte", reason="requirements-dev.txt has it")

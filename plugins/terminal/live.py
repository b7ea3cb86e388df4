"""The live view of a run on a terminal: its step, its gates, the users' requests, and the time that the step usually takes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugins.terminal.screen import Screen

if TYPE_CHECKING:
    from rich.text import Text

EVERY_S = 0.25
NARROWEST = 40
# The block is at most so many lines, and leaves this many lines of the terminal to the other output.
MOST_LINES, LEFT_LINES = 12, 4
LONGEST_DETAIL = 300
JOINT = "\ue000"
"""Stands for a space at which no line ends; rich ends lines at no-break spaces as well."""


@dataclass(frozen=True)
class GateCount:
    """How far a gate is: ``done`` of ``checks`` have a result, and ``failed`` of those did not pass."""

    name: str
    checks: int
    done: int = 0
    failed: int = 0

    @property
    def ended(self) -> bool:
        """Whether every check has a result."""
        return self.done >= self.checks


@dataclass(frozen=True)
class Now:
    """What the view shows. ``elapsed_s`` and ``usual_s`` (None: unknown) are about the step, in seconds.

    ``requests``: the users' requests so far, and how many of them failed; None if no traffic is watched.
    """

    step: str
    what: str
    elapsed_s: float
    usual_s: float | None = None
    detail: str = ""
    gates: Sequence[GateCount] = ()
    requests: tuple[int, int] | None = None


def time_left(elapsed_s: float, usual_s: float | None) -> str:
    """Return a text: how much longer a step will take by its history; empty without one."""
    if usual_s is None:
        return ""
    from plugins.page.view import duration  # like the imports of rich: workers show no view, and load nothing for it

    left = usual_s - elapsed_s
    return f", about {duration(max(1.0, round(left)))} left" if left > 0 else f", usually {duration(usual_s)}"


def block(now: Now, width: int, *, most: int = MOST_LINES, colours: bool = False) -> str:
    """Return the view as whole lines of at most ``width`` characters, and at most ``most`` lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from plugins.page.view import duration

    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=10, no_wrap=True)
    lines.add_column(overflow="fold")
    if now.step:  # between two steps nothing is waited for
        # The time comes first, because the description may take all lines of a small terminal.
        time_words = f"{duration(now.elapsed_s)}{time_left(now.elapsed_s, now.usual_s)}"
        lines.add_row(Text(now.step, "bold"), Text(f"{time_words}: {now.what}" if now.what else time_words))
    if now.detail:
        lines.add_row("", Text(now.detail[:LONGEST_DETAIL]))
    if shown := [gate for gate in now.gates if gate.checks]:
        lines.add_row(Text("gates", "bold"), _gates(shown))
    if now.requests is not None:
        sent, failed = now.requests
        words = f"{sent:,} requests to the live domain, {failed:,} failed"
        lines.add_row(Text("users", "bold"), Text(words, "red" if failed else ""))
    file = io.StringIO()
    console = Console(
        file=file,
        width=max(NARROWEST, width),
        force_terminal=colours,
        color_system="standard" if colours else None,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(lines)
    return "".join(line.rstrip() + "\n" for line in file.getvalue().replace(JOINT, " ").splitlines()[:most])


def _gates(gates: Sequence[GateCount]) -> Text:
    """Return the progress of the gates; none of them is divided at the end of a line."""
    from rich.text import Text

    text = Text()
    for number, gate in enumerate(gates):
        words = f"{gate.name} {gate.done} of {gate.checks}" + (f" ({gate.failed} failed)" if gate.failed else "")
        style = "red" if gate.failed else "green" if gate.ended else "" if gate.done else "dim"
        text.append(", " if number else "")
        text.append(words.replace(" ", JOINT), style)
    return text


class LiveView:
    """Draws the view again and again in a thread, until ``stop``. An error of it ends the view and nothing else."""

    __slots__ = ("_ask", "_colours", "_screen", "_stopping", "_thread")

    def __init__(self, screen: Screen, ask: Callable[[], Now | None], *, colours: bool) -> None:
        """``ask`` returns what to show now, or None for nothing; it is called in the view's thread."""
        self._screen = screen
        self._ask = ask
        self._colours = colours
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the view is drawn."""
        return self._thread is not None

    def start(self) -> None:
        """Start drawing."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="live-view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop drawing, and erase the view. May be called again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
            self._thread = None
        with suppress(OSError, ValueError):
            self._screen.clear()

    def _run(self) -> None:
        with suppress(Exception):  # a terminal that is gone, a stream that is closed: the run goes on without the view
            while not self._stopping.wait(EVERY_S):
                now = self._ask()
                columns, rows = self._screen.size
                if now is None:
                    self._screen.clear()
                    continue
                most = max(1, min(MOST_LINES, rows - LEFT_LINES))
                text = block(now, columns - 1, most=most, colours=self._colours)
                if not self._stopping.is_set():
                    self._screen.draw(text)


def possible(environ: Mapping[str, str]) -> bool:
    """Return whether a terminal can show the view: it moves the cursor, and it is not the log of a CI job."""
    return environ.get("TERM", "dumb") != "dumb" and environ.get("CI", "").lower() in ("", "0", "false")


class StepClock:
    """The step that is under way, and since when."""

    __slots__ = ("_began", "_detail", "_step", "_what")

    def __init__(self) -> None:
        self._step, self._what, self._detail, self._began = "", "", "", time.monotonic()

    @property
    def step(self) -> str:
        """The step's name; empty between two steps."""
        return self._step

    @property
    def what(self) -> str:
        """What the step does."""
        return self._what

    @property
    def detail(self) -> str:
        """What the step waits for."""
        return self._detail

    @property
    def elapsed_s(self) -> float:
        """How long the step has taken, in seconds."""
        return time.monotonic() - self._began

    def begin(self, step: str, what: str) -> None:
        """Begin a step."""
        self._step, self._what, self._detail, self._began = step, what, "", time.monotonic()

    def wait(self, detail: str) -> None:
        """Note what the step waits for."""
        self._detail = detail

    def end(self) -> None:
        """End the step."""
        self._step = self._what = self._detail = ""

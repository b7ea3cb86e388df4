"""A block of lines below all other output of a terminal. It is erased before other output, and drawn again after it."""

from __future__ import annotations

import io
import os
import re
import threading
from typing import TextIO, cast

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_UP_AND_ERASE = "\x1b[1A\x1b[2K"


class Screen:
    """The block of one terminal. All streams to this terminal must pass through ``beneath``, and may be used by any thread."""

    __slots__ = ("_at_start", "_lines", "_lock", "_to")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._to: TextIO | None = None
        self._lines = 0  # of the block that is on the terminal now
        self._at_start = True  # whether the cursor is at the start of a line, so that the block can be drawn

    @property
    def usable(self) -> bool:
        """Whether a terminal's stream is known."""
        return self._to is not None

    @property
    def size(self) -> tuple[int, int]:
        """The terminal's columns and lines now; 80 and 24 if it does not know them."""
        try:
            columns, rows = os.get_terminal_size(self._to.fileno() if self._to is not None else 1)
        except (OSError, ValueError):
            return 80, 24
        return columns or 80, rows or 24

    def beneath(self, stream: TextIO) -> TextIO:
        """Return a stream that erases the block before it writes to ``stream``; a log stays as it is."""
        if not stream.isatty():
            return stream
        self._to = self._to or stream
        return cast("TextIO", _Beneath(stream, self))

    def draw(self, text: str) -> None:
        """Replace the block; ``text`` consists of whole lines, none wider than the terminal.

        Another writer's incomplete line stays as it is: then nothing is drawn.
        """
        with self._lock:
            if self._to is None or not self._at_start:
                return
            self._erase()
            self._to.write(text)
            self._to.flush()
            self._lines = text.count("\n")

    def clear(self) -> None:
        """Erase the block."""
        with self._lock:
            self._erase()
            if self._to is not None:
                self._to.flush()

    def write(self, stream: TextIO, text: str) -> int:
        """Write other output to one of the terminal's streams."""
        with self._lock:
            self._erase()
            written = stream.write(text)
            if shown := _COLOURS.sub("", text):
                self._at_start = shown.endswith(("\n", "\r"))
            return written

    def _erase(self) -> None:
        if self._lines and self._to is not None:
            self._to.write(_UP_AND_ERASE * self._lines)
            self._to.flush()
            self._lines = 0


class _Beneath(io.TextIOBase):
    """A stream whose writes go through the screen, and whose every question goes to the stream behind it."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        super().__init__()
        self._stream = stream
        self._screen = screen

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Erase the screen's block, and write."""
        return self._screen.write(self._stream, text)

    def flush(self) -> None:
        """Flush the stream, if it is still open."""
        if not self._stream.closed:
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor."""
        return self._stream.fileno()

    @property
    def closed(self) -> bool:
        """Whether the stream is closed."""
        return self._stream.closed

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute where io has a property
        """The stream's encoding."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # typeshed has an attribute where io has a property
        """The stream's handling of errors."""
        return self._stream.errors

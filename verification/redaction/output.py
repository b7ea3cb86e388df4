"""Cleans the output of a process before it is shown: its streams, and the file descriptors that its children inherit."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO, cast

from verification.redaction.printable import printable, with_markup

Clean = Callable[[str], str]
# A child that outlives the run may keep its end of a pipe open. The run does not wait for it longer than this.
_LAST_WORDS_S = 2.0
_PIECE = 65536


class _Like(io.TextIOBase):
    """A text stream that delegates every question to the stream behind it."""

    def __init__(self, inner: TextIO | io.TextIOBase) -> None:
        super().__init__()
        self.inner = inner

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return whether the other stream is a terminal."""
        return self.inner.isatty()

    def fileno(self) -> int:
        """Return the other stream's descriptor."""
        return self.inner.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute where io has a property
        """Return the other stream's encoding."""
        return self.inner.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # typeshed has an attribute where io has a property
        """Return the other stream's handling of errors."""
        return self.inner.errors


class RedactedStream(_Like):
    """A stream that cleans text with ``clean`` and writes it to another stream: whole lines at once, an incomplete line at a flush.

    Control characters are removed, because the text may come from a service or a tool. ``marked_up`` is for pytest's
    terminal. ``number``: the result of ``fileno``, for children that write to this stream; None: the other stream's
    own. ``owns``: closing this stream closes the other one.
    """

    def __init__(self, inner: TextIO, clean: Clean, number: int | None = None, *, owns: bool = False) -> None:
        super().__init__(inner)
        self._to = inner
        self._owns = owns
        self._clean = clean
        self._number = number
        self._rest = ""
        self._gone = False  # no reader is left, or the disk behind a log is full
        self._lock = threading.RLock()
        self.buffer = _Bytes(self)

    def write(self, text: str, /) -> int:
        """Write the complete lines, and keep the incomplete one."""
        self._add(printable(text))
        return len(text)

    @property
    def marked_up(self) -> TextIO:
        """Return this stream for a writer whose colours and carriage returns are kept, in the order of all writes."""
        return cast("TextIO", _MarkedUp(self))

    def _add(self, text: str) -> None:
        """Add text; a carriage return ends a line as well."""
        with self._lock:
            self._rest += text
            whole = max(self._rest.rfind("\n"), self._rest.rfind("\r")) + 1
            if "\r" in text:  # a line that is rewritten in place is shown at once
                whole = len(self._rest)
            lines, self._rest = self._rest[:whole], self._rest[whole:]
            if lines:
                self._forward(lambda: self._to.write(self._clean(lines)))

    def _forward(self, act: Callable[[], object]) -> None:
        """Write to the other stream. A write error is ignored: it must not end a run that moves traffic."""
        if self._gone:
            return
        try:
            act()
        except OSError:
            self._gone = True
            with contextlib.suppress(OSError, ValueError):
                silence(self.inner.fileno())

    def flush(self) -> None:
        """Write the incomplete line as well."""
        with self._lock:
            rest, self._rest = self._rest, ""
            if self._to.closed:
                return
            if rest:
                self._forward(lambda: self._to.write(self._clean(rest)))
            self._forward(self._to.flush)

    def close(self) -> None:
        """Close this stream, and the other one if it is owned."""
        super().close()
        if self._owns:
            self.inner.close()

    def fileno(self) -> int:
        """Return a descriptor whose output is cleaned as well, if there is one."""
        return super().fileno() if self._number is None else self._number


class _MarkedUp(_Like):
    """A redacted stream for a writer that colours its text."""

    def __init__(self, stream: RedactedStream) -> None:
        super().__init__(stream)
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write as the stream does, but keep colours and carriage returns."""
        self._stream._add(with_markup(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


class _Bytes(io.RawIOBase):
    """A binary stream that writes to a redacted stream, so that bytes are cleaned as well."""

    def __init__(self, stream: RedactedStream) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: object, /) -> int:
        """Decode UTF-8 and write the text; invalid bytes are replaced. Return the number of bytes."""
        raw = bytes(cast("bytes", data))
        self._stream.write(raw.decode(errors="replace"))
        return len(raw)

    def flush(self) -> None:
        """Flush the stream, with its incomplete line."""
        self._stream.flush()


class Pump:
    """Replaces a file descriptor of this process, and cleans what children write to it, line by line."""

    def __init__(self, descriptor: int, to: RedactedStream) -> None:
        self._descriptor = descriptor
        self._saved = os.dup(descriptor)
        self._reading, writing = os.pipe()
        os.dup2(writing, descriptor)
        os.close(writing)
        self._thread = threading.Thread(target=forward, args=(self._reading, to), name="output-pump", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Restore the descriptor, and wait up to 2 s for output that is still in the pipe."""
        os.dup2(self._saved, self._descriptor)
        os.close(self._saved)
        if has_no_reader(self._descriptor):  # otherwise the error of Python's own last flush would change the exit code
            silence(self._descriptor)
        self._thread.join(_LAST_WORDS_S)
        if not self._thread.is_alive():
            os.close(self._reading)


def has_no_reader(descriptor: int) -> bool:
    """Return whether the descriptor is a pipe whose reader has ended."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def silence(descriptor: int) -> None:
    """Send everything that is written to the descriptor from now on to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)


def forward(reading: int, to: TextIO | RedactedStream) -> None:
    """Read a descriptor to its end and write everything to a stream; drop the text if the stream is closed."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    while True:
        piece = os.read(reading, _PIECE)
        with contextlib.suppress(OSError, ValueError):  # the stream has no reader any more, or it is closed
            to.write(decoder.decode(piece, final=not piece))
            if not piece or piece.endswith(b"\n"):
                to.flush()
        if not piece:
            return


class Guard:
    """Cleans this process's stdout and stderr from ``install`` to ``close``.

    ``children``: clean the output of its children as well. Set it to False for a child that needs the terminal itself.
    ``through``: returns the stream to which the cleaned text for a stream is written.
    """

    def __init__(
        self, clean: Clean, *, children: bool = True, through: Callable[[TextIO], TextIO] = lambda stream: stream
    ) -> None:
        self._clean = clean
        self._children = children
        self._through = through
        self._undo = contextlib.ExitStack()

    def install(self) -> None:
        """Replace ``sys.stdout`` and ``sys.stderr``, and the descriptors 1 and 2 if the streams use them."""
        self._take("stdout", 1)
        self._take("stderr", 2)

    def close(self) -> None:
        """Restore all streams and descriptors. May be called again."""
        self._undo.close()

    def _take(self, name: str, number: int) -> None:
        stream: TextIO = getattr(sys, name)
        stream.flush()
        if not self._children or _number_of(stream) != number:
            self._put(name, RedactedStream(self._through(stream), self._clean))
            return
        # The terminal's or log's own stream keeps working under another number, so that this process still sees a terminal.
        own = os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors=stream.errors, buffering=1)
        self._undo.callback(own.close)
        to = self._through(own)
        pump = Pump(number, RedactedStream(to, self._clean))
        self._undo.callback(pump.close)
        self._put(name, RedactedStream(to, self._clean, number))
        # Python uses this stream to measure the terminal, so it needs the terminal's own descriptor.
        self._put(f"__{name}__", RedactedStream(to, self._clean))

    def _put(self, name: str, stream: RedactedStream) -> None:
        self._undo.callback(setattr, sys, name, getattr(sys, name))
        self._undo.callback(stream.flush)
        setattr(sys, name, stream)


def _number_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None

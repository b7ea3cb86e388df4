"""Decodes an answer's body in small pieces, so that a small body cannot expand until it fills the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

ENCODINGS = "gzip, deflate"
"""The encodings that a client asks for and accepts. brotli and zstd have no decoder here that can stop in the middle of a piece."""
_PIECE = 65_536
MOST_ENCODINGS = 3


class TooLarge(Exception):
    """A meter counted more bytes than allowed."""


class Meter:
    """Decodes a body in small pieces, counts their bytes, and stops at the limit.

    ``encodings`` are those of the header, in its order; ``largest`` is in bytes. With ``keep``, ``feed`` returns the
    decoded pieces. Raises ValueError if an encoding is not accepted.
    """

    def __init__(self, encodings: Iterable[str], largest: int, *, keep: bool = False) -> None:
        named = [name for one in encodings if (name := one.strip().lower()) not in ("", "identity")]
        wrong = sorted(set(named) - {"gzip", "deflate"})
        if wrong or len(named) > MOST_ENCODINGS:
            raise ValueError(", ".join(wrong or named))
        self._counts = [0] * (len(named) + 1)
        self._layers = [_Inflating(name) for name in reversed(named)]
        self._largest = largest
        self._kept: list[bytes] | None = [] if keep else None

    def feed(self, raw: bytes) -> list[bytes]:
        """Take a piece of the body as it arrived. Raises TooLarge and ``zlib.error``."""
        self._feed(raw, 0)
        if self._kept is None:
            return []
        kept, self._kept = self._kept, []
        return kept

    def finish(self) -> None:
        """Note the end of the body. Raises ``zlib.error`` if it ends in the middle of an encoding."""
        if any(layer.is_open for layer in self._layers):
            raise zlib.error("it ends too early")

    def _feed(self, data: bytes, depth: int) -> None:
        self._counts[depth] += len(data)
        if self._counts[depth] > self._largest:
            raise TooLarge
        if depth < len(self._layers):
            for piece in self._layers[depth].pieces(data):
                self._feed(piece, depth + 1)
        elif self._kept is not None:
            self._kept.append(data)


class _Inflating:
    """One ``zlib`` stream, decoded in pieces of limited size."""

    def __init__(self, name: str) -> None:
        self._bare_is_possible = (
            name == "deflate"
        )  # by the standard, "deflate" is zlib's format; some servers send bare deflate
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16 if name == "gzip" else zlib.MAX_WBITS)

        self._has_begun = False

    @property
    def is_open(self) -> bool:
        """Return whether data came, and the end of the stream did not."""
        return self._has_begun and not self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        self._has_begun = self._has_begun or bool(data)
        while data and not self._stream.eof:
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                if not self._bare_is_possible:
                    raise
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
                piece = self._stream.decompress(data, _PIECE)
            self._bare_is_possible = False
            yield piece
            data = self._stream.unconsumed_tail
            if not data and len(piece) == _PIECE:  # the rest of the bytes that zlib has decoded already
                while piece := self._stream.decompress(b"", _PIECE):
                    yield piece

"""Output that cannot be written: the reader has ended, or the disk of a log is full."""

from __future__ import annotations

import errno
import io
import os

from verification.redaction.output import RedactedStream, has_no_reader, silence


class Full(io.StringIO):
    """A stream whose disk is full."""

    attempts = 0

    def write(self, text: str, /) -> int:
        self.attempts += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), text)


def test_output_to_a_pipe_without_a_reader_is_dropped() -> None:
    reading, writing = os.pipe()
    stream = RedactedStream(os.fdopen(writing, "w", buffering=1), str, owns=True)
    assert not has_no_reader(writing)
    os.close(reading)
    assert has_no_reader(writing)
    for _ in range(3):
        stream.write("a line\n")
        stream.flush()
    assert not has_no_reader(writing), "the descriptor leads to the null device now"
    stream.close()


def test_full_disk_behind_the_output_raises_nothing() -> None:
    full = Full()
    stream = RedactedStream(full, str)
    assert stream.write("a line\n") == len("a line\n")
    stream.write("a second line\n")
    stream.flush()
    assert full.attempts == 1, "the output is dropped after the first failure"


def test_silence_keeps_the_descriptor_open() -> None:
    reading, writing = os.pipe()
    silence(writing)
    assert os.write(writing, b"x") == 1
    os.close(writing)
    os.close(reading)

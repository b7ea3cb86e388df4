"""Text of a service that is printed has no control characters."""

from __future__ import annotations

import io

import pytest

from verification.redaction.output import RedactedStream
from verification.redaction.printable import printable, with_markup
from verification.redaction.redactor import LearningRedactor

PIECES = ("\x1b", "[", "]", "0", ";", "4", "1", "m", "\x07", "\\", "P", "\x9b", "\x9d", "\r", "\n", "a", " ", "\u202e")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, \u00fcber \u65e5\u672c\ttab\nline", "plain, \u00fcber \u65e5\u672c\ttab\nline"),
        ("HTTP/1.1 200 \x1b[41mOK", "HTTP/1.1 200 OK"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"),
        ("\x1bP1$r\x1b\\c\x1b(Bd\x1bM", "cd"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\x08b\x00c\x7fd\x1b", "abcd"),
        ("\x1b\x1b[1m[2Jx", "x"),
        ("\u202eabc\u2066", "abc"),
        ("a\ud800b\udcff", r"a\ud800b\udcff"),
    ],
)
def test_control_characters_are_removed(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(printable(text)) == printable(text)


def test_nothing_that_a_terminal_obeys_is_left_of_any_text() -> None:
    """All texts of three pieces."""
    for number in range(len(PIECES) ** 3):
        text = "".join(PIECES[number // len(PIECES) ** place % len(PIECES)] for place in range(3))
        found = printable(text)
        assert all(letter == "\n" or letter.isprintable() for letter in found), repr(text)
        assert printable(found) == found, repr(text)


def test_markup_of_pytest_stays() -> None:
    text = "\x1b[31m\x1b[1mred\x1b[0m\r\x1b]9;4;1;50\x1b\\"
    assert with_markup(text) == text
    assert with_markup(f"{text}\x1b[2J\x1b]0;title\x07\x07x") == f"{text}x"


def test_stream_removes_control_characters_of_prints_and_keeps_pytests_colours() -> None:
    """A secret that control characters interrupt is found; the order of both writers stays."""
    to = io.StringIO()
    redactor = LearningRedactor({})
    redactor.learn("canary-password")
    stream = RedactedStream(to, redactor.clean)
    stream.marked_up.write("\x1b[32mPASSED\x1b[0m ")
    stream.write("\x1b[41mcanary-\x1b[1mpass\x00word\n")
    stream.buffer.write(b"bytes\x07\n")
    stream.marked_up.write("\x1b[31mFAILED\x1b[0m\x1b[2J\n")
    assert to.getvalue() == "\x1b[32mPASSED\x1b[0m [redacted]\nbytes\n\x1b[31mFAILED\x1b[0m\n"

"""Makes the text of a service or a tool safe to print: removes control characters that could recolour, move or rename a terminal.

Reports keep such text unchanged: JSON, XML and HTML show control characters as text.
"""

from __future__ import annotations

import re

# A whole sequence if it can be recognised, so that its remains do not disturb the text: CSI, OSC and the other strings, then
# any other escape. An escape character that begins none of them is removed as a control character.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x90\x98\x9c\x9e\x9f\n]*(?:\x1b\\|\x9c)|\x1b[ -/]*[0-~]"
)
# Of sequences inside sequences, only so many are removed whole, or a long text of them would take hours; of any deeper one the
# control characters are removed and the rest is shown.
_DEEPEST = 8
# C0 and C1 without line feed and tab, and the characters that change the direction of writing.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Half a character: of a JSON escape, or of a file's name that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")
_RETURN = re.compile(r"\r\n?")
# The markup that pytest itself writes: colours, and the progress that it shows in the terminal's tab.
_MARKUP = re.compile(r"(\x1b\[[0-9;]*m|\x1b\]9;4;[0-9;]*\x1b\\|\r)")


def printable(text: str) -> str:
    """Return the text without escape sequences and control characters; lines and tabs stay, a carriage return ends a line.

    A lone surrogate, which no encoding can write, is spelled as Python spells it: ``\\ud800``.

    ``printable`` twice is ``printable`` once.
    """
    if text.isprintable():  # of one line, and none of its characters is a control character
        return text
    text = _RETURN.sub("\n", text)
    for _ in range(_DEEPEST):  # the text around a sequence may form another one
        text, before = _SEQUENCE.sub("", text), text
        if text == before:
            break
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", _CONTROL.sub("", text))


def with_markup(text: str) -> str:
    """Return the text with colours and carriage returns, and without every other escape sequence and control character.

    Use it for text whose markup pytest wrote, and whose other parts were cleaned with ``printable`` before.
    """
    parts = _MARKUP.split(text)
    return "".join(part if number % 2 else printable(part) for number, part in enumerate(parts))

"""Hides the values of private fields that stand without quotes after the field's name: ``person_name=anna maria``."""

from __future__ import annotations

import re
from collections.abc import Callable

from verification.redaction.bare import MARK, stands_at_the_beginning
from verification.redaction.composed import is_composed
from verification.redaction.names import name_before

# No value: a short number may be that of the framework's own field of this name, such as weight.
_NO_VALUE = (
    rf"(?!{re.escape(MARK)}|(?:None|null|True|False|true|false|-?\d{{1,7}}(?:\.\d+)?)(?![\w.-])|\$|[\"'\[{{(]|b[\"'])"
)
# To the next comma, semicolon, ampersand, bracket, quote or end of the line.
_ASSIGNED = re.compile(
    rf"(?<=[\w-])[ \t]?=[ \t]?{_NO_VALUE}(?P<value>[^\s,;&<>()\[\]{{}}\"'\\=][^\r\n,;&<>()\[\]{{}}\"'\\=]*+)"
)
_LINE = re.compile(rf"(?<=\w):[ \t]++{_NO_VALUE}(?P<value>[^\s,;<>()\[\]{{}}\"'\\][^\r\n,;<>()\[\]{{}}\"'\\]*+)")
_NEXT_NAME = re.compile(r"\s+[\w.-]+[ \t]?\Z")
_LONGEST_NEXT = 128
_MESSAGE = re.compile(r":\s")


def hide_private(text: str, is_private: Callable[[str], bool]) -> str:
    """Return the text with the values hidden that stand without quotes after the name of a private field."""

    def assigned(found: re.Match[str]) -> str:
        if not is_private(name_before(found.string, found.start())):
            return found[0]
        value, kept = found["value"], ""
        if found.string[found.end() : found.end() + 1] in ("(", "[") and not value[-1].isspace():
            return found[0]  # a line of code: person_name = read(page)
        if found.string[found.end() : found.end() + 1] == "=" and (
            following := _NEXT_NAME.search(value, max(0, len(value) - _LONGEST_NEXT))
        ):
            kept = following[0]  # the name of the next field: person_name=anna maria age=41
        elif message := _MESSAGE.search(value):
            kept = value[message.start() :]
        return found.string[found.start() : found.start("value")] + MARK + kept

    def line(found: re.Match[str]) -> str:
        text, name = found.string, name_before(found.string, found.start())
        begin = found.start() - len(name)
        if not is_private(name) or not (stands_at_the_beginning(text, begin) or _in_a_mapping(text, begin)):
            return found[0]
        if is_composed(text, found.start("value")):  # a gate or a check can have the name of a field
            return found[0]
        return text[found.start() : found.start("value")] + MARK

    return _LINE.sub(line, _ASSIGNED.sub(assigned, text))


def _in_a_mapping(text: str, begin: int) -> bool:
    """Return whether the name stands after a brace or a comma, as in ``{age: 3, person_name: anna}``."""
    return text[max(0, begin - 16) : begin].rstrip()[-1:] in ("{", ",")

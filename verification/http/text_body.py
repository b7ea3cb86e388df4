"""Reads an answer's body as text. Only charsets of texts are used: other codecs of Python read something else, or are slow."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import httpx

# Python's names of the charsets that web clients know (WHATWG Encoding Standard) and of their relatives. Left out are the
# codecs that read no text (rot13, zlib), escapes (unicode_escape, utf-7), punycode and idna, whose time is not linear, and
# utf-16 and utf-32 without an order of bytes, which raise for a text without a mark, even if they may replace.
_CHARSET = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)-[bl]e|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|hp-roman8|kz1048|ptcp154|tis-620"
    r"|big5(hkscs)?|euc_\w+|gb\w+|hz|iso2022_\w+|johab|shift_jis\w*"
)
_LABEL = re.compile(r"[!-~]{1,40}")
_LONGEST_HEADER = 1000
"""Characters of a Content-Type whose parameters are read: the time of the standard library's parser is not linear."""


def charset_of(response: httpx.Response) -> str:
    """Return the charset of the Content-Type, or UTF-8 if it names none, or one that is not a charset of texts."""
    if len(response.headers.get("content-type", "")) > _LONGEST_HEADER:
        return "utf-8"
    charset = _usable(response.charset_encoding or "utf-8")
    return charset if _fits(response, charset) else "utf-8"


def text_of(response: httpx.Response) -> str:
    """Return the body as text; a byte that its charset does not have becomes the replacement character."""
    return response.content.decode(charset_of(response), errors="replace")


def _fits(response: httpx.Response, charset: str) -> bool:
    """Return False for a body with an escape that ISO 2022 does not have: httpx reads piece by piece, and Python then raises."""
    if not codecs.lookup(charset).name.startswith("iso2022"):
        return True
    try:
        response.content.decode(charset)
    except UnicodeDecodeError:
        return False
    except httpx.ResponseNotRead:  # the caller streams the body
        return True
    return True


@lru_cache(maxsize=64)
def _usable(charset: str) -> str:
    if not _LABEL.fullmatch(charset):
        return "utf-8"
    try:
        return charset if _CHARSET.fullmatch(codecs.lookup(charset).name) else "utf-8"
    except LookupError:
        return "utf-8"

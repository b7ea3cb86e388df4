"""Reads an answer's body as text, also if its charset is a codec of Python that is not one of texts, such as rot13 or hex."""

from __future__ import annotations

import codecs
from functools import lru_cache

import httpx


def has_usable_charset(response: httpx.Response) -> bool:
    """Return whether ``response.text`` can use the charset of the Content-Type; also true if it names none."""
    charset = response.charset_encoding
    return charset is None or _is_usable(charset)


def text_of(response: httpx.Response) -> str:
    """Return the body as text: in its charset, or in UTF-8 if its charset is not usable."""
    return response.text if has_usable_charset(response) else response.content.decode(errors="replace")


@lru_cache(maxsize=64)
def _is_usable(charset: str) -> bool:
    try:
        return isinstance(codecs.getincrementaldecoder(charset)(errors="replace").decode(b"{}", True), str)
    except LookupError:
        return True  # httpx does not know it either, and takes UTF-8
    except Exception:
        return False

"""Hides secrets that stand after their name without quotes, in a list, or in the repr of a cookie.

In these places most values are ordinary words. So only a value that looks like a token is hidden: one word of at least eight
characters with a letter and a digit that is no time and no path of a file. Nor is it hidden after a name such as ``key`` alone,
``cache_key`` or ``auth_host``: a value that cannot be judged well stays readable.

Each pattern takes a time that grows with the length of the text: a value has no character with which another name begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from verification.redaction.names import is_in_a_check, name_before

MARK = "[redacted]"
IsSecret = Callable[[str], bool]

_SIGNS = r"[\w.~+/%-]"
TOKEN = (
    rf"(?!\d{{4}}-\d\d-\d\d(?!\d)|\d{{8}}T\d{{4,6}}(?!\d)|(?=[\w.-]*+/)[\w./-]*\.[a-z]{{1,8}}(?!{_SIGNS}))"
    rf"(?={_SIGNS}*\d)(?={_SIGNS}*[A-Za-z]){_SIGNS}{{8,}}+=*+"
)
"""A value that looks like a token."""
_ONLY_A_TOKEN = re.compile(rf"{TOKEN}\Z", re.ASCII)
# token=…, token = …, --token=… and token=…&a=1; before a bracket stands the name of a function, and before a colon that of a scheme.
_ASSIGNED = re.compile(rf"(?<=[\w-])(?P<sign>[ \t]*+=[ \t]*+)(?P<value>{TOKEN})(?![(\[{{@\\]|:\S)", re.ASCII)
# Token: … as the whole of a line or of a quoted text; a backslash begins the escaped end of a line.
_LINE = re.compile(rf"(?P<head>(?<=\w)[ \t]*+:[ \t]++)(?P<value>{TOKEN})(?=[ \t]*+(?:[\r\n\"'\\]|\Z))", re.ASCII)
# After the name of a gate, such as auth or session, stand the name of a check, and words and numbers: 3-of-4-sessions,
# run-20261129-blue1. Tokens have longer numbers or capitals, but a passphrase may be of words.
_CHECK = re.compile(r"test_[a-z0-9_]+")
_PIECE = r"(?:20\d{6}|[a-z]{1,20}\d{0,4}|\d{1,4}(?:st|nd|rd|th|ms|s|xx)?)"
_WORDS = re.compile(rf"(?=.*[a-z]{{3}})/?{_PIECE}(?:[_./-]{_PIECE})+")
_PASSPHRASE = re.compile(r"pass(?:word|wd|phrase|code)|pwd|secret", re.I)
# What may stand before the header's name: the beginning of a line, as JSON writes it as well, or a quote, and a sign of pytest or curl.
_BEFORE = re.compile(r"(?:\A|[\r\n\"'\\]|\\[nr])[ \t]*(?:[E><*|-][ \t]+)?\Z")
_LONGEST_BEFORE = 16
_LIST = re.compile(r"(?P<head>(?<=[\w-])\\{0,31}+[\"']?[ \t]*+[:=][ \t]*+\[)(?P<body>(?:[^\[\]\r\n]|\[redacted\])++)")
_IN_A_LIST = re.compile(rf"(?<=[\"']){TOKEN}(?=\\*+[\"'])", re.ASCII)
# ['X-Auth-Token', '…']
_PAIR_IN_A_LIST = re.compile(rf"(?P<head>\[b?[\"'](?P<name>[\w.-]++)[\"'],[ \t]*+b?[\"']){TOKEN}(?=[\"']\])", re.ASCII)
# <Cookie session=… for localhost />, as a jar of cookies shows one.
_COOKIE = re.compile(rf"(<Cookie [^\s=<>]{{1,128}}+=)(?!{re.escape(MARK)})[^<>\r\n]*?(?= for [^\s<>]*+ ?/?>)")
_DOTTED_BACKWARDS = re.compile(r"[\w.-]*+")


def looks_like_a_token(value: str) -> bool:
    """Return whether the value is one word that looks like a token."""
    return _ONLY_A_TOKEN.match(value) is not None


def stands_at_the_beginning(text: str, begin: int) -> bool:
    """Return whether a name that begins here is the first of its line or of a quoted text."""
    return begin == 0 or _BEFORE.search(text[max(0, begin - _LONGEST_BEFORE) : begin]) is not None


def hide_bare(text: str, is_secret: IsSecret, is_private: IsSecret) -> str:
    """Return the text with each value that looks like a token hidden after a name for which ``is_secret`` returns True.

    After a name for which ``is_private`` returns True as well, words and the parameters of checks are hidden, too.
    """
    text = _COOKIE.sub(rf"\1{MARK}", text)

    def assigned(found: re.Match[str]) -> str:
        name = _name_before(found)
        kept = is_in_a_check(found.string, found.start()) and not is_private(name)
        if found["sign"] != "=" and not is_private(name):  # a name of a variable: session = blue_session_2
            kept = kept or _is_ordinary(name, found["value"])
        return f"{found['sign']}{MARK}" if is_secret(name) and not kept else found[0]

    def line(found: re.Match[str]) -> str:
        name = name_before(found.string, found.start())
        begin = found.start() - len(name)
        secret = (
            is_secret(name)
            and stands_at_the_beginning(found.string, begin)
            and (is_private(name) or not _is_ordinary(name, found["value"]))
        )
        return f"{found['head']}{MARK}" if secret else found[0]

    def listed(found: re.Match[str]) -> str:
        secret = is_secret(_name_before(found))
        return found["head"] + _IN_A_LIST.sub(MARK, found["body"]) if secret else found[0]

    def paired(found: re.Match[str]) -> str:
        return found["head"] + MARK if is_secret(found["name"]) else found[0]

    for pattern, hide in ((_ASSIGNED, assigned), (_LINE, line), (_LIST, listed), (_PAIR_IN_A_LIST, paired)):
        text = pattern.sub(hide, text)
    return text


def _name_before(found: re.Match[str]) -> str:
    """Return the name before the value; of the name ``key`` also the words with dots before it, as in ``stripe.api.key``."""
    name = name_before(found.string, found.start())
    return name_before(found.string, found.start(), _DOTTED_BACKWARDS) if name.lower() == "key" else name


def _is_ordinary(name: str, value: str) -> bool:
    """Return whether the rest of a line after this name is the name of a check, or words and short numbers."""
    if _CHECK.fullmatch(value):
        return True
    return _WORDS.fullmatch(value) is not None and _PASSPHRASE.search(name) is None

"""Recognizes what the framework composes after a name: a path or the name of a gate or check is no header with a secret value."""

from __future__ import annotations

import re

_METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|QUERY"
COMPOSED = (
    # a check in Python: "test_login: …"
    r"(?:(?:Test\w{1,60}::)?test_\w{1,100}(?:\[[^\]\r\n]{0,200}\])?(?=: | - | failed))"
    # a check in YAML with its file and line: "reset: …more.yaml:2: …"
    r"|(?:(?:[^:\r\n]{1,120}: )?[^\s:]{0,200}\.(?:ya?ml|py):(?:\d| ))"
    # a request, perhaps after the name of a check or a step: "reset: POST /auth …"
    rf"|(?:(?:[\w ,.()-]{{1,120}}: )?(?:{_METHODS}) /)"
    r"|(?:\d{1,5} of \d{1,5} (?:checks?|gates?|answers?|requests?)\b)"
    r"|(?:no check (?:ran|was)|\d{1,5} checks (?:were|passed)|the gate has )"
)
"""What only this framework writes after the name of a gate."""

_FAILURE = re.compile(
    rf"(?:{COMPOSED})"
    r"|test_[a-z0-9_]{1,100}(?=[\"'\r\n]|\Z)"
    r"|(?:HTTP |status[ =]?)?[1-5]\d\d(?=[ ,:;\"'\r\n]|\Z)|no (?:complete )?answer\b|\$[.\[]|assert \S"
    r"|(?:[A-Za-z]\w{0,60}\.)?[A-Z]\w{0,60}(?:Error|Exception|Timeout)(?=[:( \"'\r\n]|\Z)"
)
_UNLIKE_ANY_VALUE = re.compile(rf"(?:{COMPOSED})|status [1-5]\d\d\b|no (?:complete )?answer\b|\$[.\[]")
_END_OF_A_WORD = re.compile(r"[\s\"'`(\[<,;=&\\]")
_LONGEST_PATH = 256
# "'email' is a required property" after a name and a colon is a message about another field. Other messages quote a value.
_ABOUT_ANOTHER_FIELD = re.compile(r" (?:is (?:a required property|a dependency|required|missing)|was unexpected)\b")
_FIELD = re.compile(r"[A-Za-z$][A-Za-z_.$\[\]-]{0,63}")


def is_path(text: str, end: int) -> bool:
    """Return whether the name that ends here, before a colon, is the end of a URL or of its path, as in ``POST /reset-password:``."""
    if text[end : end + 1] != ":":
        return False
    word = _END_OF_A_WORD.split(text[max(0, end - _LONGEST_PATH) : end])[-1]
    return (word.startswith("/") or "://" in word) and "?" not in word and "#" not in word


def says_failure(text: str, begin: int) -> bool:
    """Return whether here stands why a gate, a check or a step failed: no value of a header begins so."""
    return _FAILURE.match(text, begin) is not None


def is_composed(text: str, begin: int) -> bool:
    """Return whether the framework composed the text that begins here; unlike ``says_failure``, a word such as ``test_anna`` is not."""
    return _UNLIKE_ANY_VALUE.match(text, begin) is not None


def is_about_another_field(text: str, value: str, end: int) -> bool:
    """Return whether a quoted value, which ends here, is the name of a field about which a message says something."""
    return _FIELD.fullmatch(value) is not None and _ABOUT_ANOTHER_FIELD.match(text, end) is not None

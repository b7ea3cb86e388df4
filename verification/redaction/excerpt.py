"""Excerpts of a service's texts for messages: without secrets, and without the first part of one before the cut."""

from __future__ import annotations

import re

from verification.redaction.redactor import MARK, clean_for_all

# A token, a key or a cookie's value has none of these characters.
_BOUNDARIES = " \t\r\n,;\"'{}[]()<>&"
# Scripts without blanks between words, and signs such as emojis. Letters like "é" are not among them: words and passwords have them.
_SINGLE = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u2000-\u206f\u2190-\u2bff\u2e80-\ud7ff\uf900-\ufdff\ufe10-\ufe6f\uff00-\uffef\U0001f000-\U000fffff]"
)
# The path of a URL, to its last slash or to its query: a secret in a path stands between two slashes. A path without a scheme
# begins with a word in lower case, as no base64 does by chance.
_PATH = re.compile(
    r"(?:(?:https?|wss?)://(?:[\w.-]+|\[[0-9a-f:]+\])(?::\d+)?/|/[a-z][a-z0-9._~-]+(?=[/?]))(?:[^/?#]*+/)*+(?:[^/?#]*+\?)?"
)
# No more of a text is cleaned: an answer can have 16 MB, and a message shows a hundred characters.
_READ = 8192


def excerpt(text: str, longest: int) -> str:
    """Return the text without secrets, at most ``longest`` characters long; a text that was cut ends with "…".

    The length of the whole text follows if there is room for it.

    The text is cleaned before it is cut, with every secret that this process knows: no redactor recognises half a secret.
    It is cut between two words, so that no first part of a token stays that only another process knows, or that is learnt later;
    in a URL after a slash of the path, and in a script without blanks after any letter.
    """
    read = _whole_words(text, _READ)
    cleaned = clean_for_all(read)
    if len(read) < len(text) and len(cleaned) * 2 < len(read):
        # Most of it was secrets: the message could reach the end of what was read, where a part of a known one may stand.
        cleaned = cleaned[: cleaned.rfind(MARK) + len(MARK)]
    if len(cleaned) <= longest and len(read) == len(text):
        return cleaned
    size = f"… ({len(text)} characters)"
    if len(size) * 3 > longest:
        size = "…"
    return _whole_words(cleaned, longest - len(size)) + size


def _whole_words(text: str, longest: int) -> str:
    """Return the beginning of a text, at most ``longest`` characters long, that ends where a word ends."""
    if len(text) <= longest:
        return text
    end = max(text.rfind(one, 0, longest + 1) for one in _BOUNDARIES)
    end = min(end + 1, longest)
    for single in _SINGLE.finditer(text, end, longest):
        end = single.end()
    # The character after the cut may be one, too: what stands before it is a whole word.
    if end < longest and _SINGLE.match(text, longest):
        end = longest
    path = _PATH.match(text, end, longest)
    return text[: path.end() if path else end]

"""Excerpts of a service's texts for messages: without secrets, and without the first part of one before the cut."""

from __future__ import annotations

from verification.redaction.redactor import clean_for_all

# A token, a key or a cookie's value has none of these characters.
_BOUNDARIES = " \t\r\n,;\"'{}[]()<>&"
# No more of a text is cleaned: an answer can have 16 MB, and a message shows a hundred characters.
_READ = 8192


def excerpt(text: str, longest: int) -> str:
    """Return the text without secrets, at most ``longest`` characters long; a text that was cut ends with "…".

    The text is cleaned before it is cut, with every secret that this process knows: no redactor recognises half a secret.
    It is cut between two words, so that no first part of a token stays that only another process knows, or that is learnt later.
    """
    read = _whole_words(text, _READ)
    cleaned = clean_for_all(read)
    if len(cleaned) <= longest and len(read) == len(text):
        return cleaned
    return _whole_words(cleaned, longest - 1) + "…"


def _whole_words(text: str, longest: int) -> str:
    """Return the beginning of a text, at most ``longest`` characters long, that ends where a word ends."""
    if len(text) <= longest:
        return text
    end = max(text.rfind(one, 0, longest + 1) for one in _BOUNDARIES)
    return text[: min(end + 1, longest)]

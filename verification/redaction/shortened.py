"""Hides what pytest shows of a known secret when it shortens a long text: its beginning, its end, or a part of it in a diff."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from verification.redaction.bare import MARK

# So many characters of both ends together show a secret, and so many of one end alone, or of a part in a diff.
_BOTH, _ALONE = 3, 6
_LONGEST = 128
"""pytest shows at most 120 characters of each end."""
_CUT = re.compile(r"(?<!\.)\.\.\.(?!\.)")
_BEFORE = re.compile(rf"[^\s\"'<>(){{}},;]{{0,{_LONGEST}}}")
# pytest's diff of two texts leaves out what both begin or end with, but for ten characters.
_DIFF = re.compile(r"Skipping \d+ identical (?:leading|trailing) characters in diff")
_WORD = re.compile(rf"[^\s\"'<>(){{}}\[\],;]{{{_ALONE},}}+")
_LONGEST_DIFF = 4096


def may_be_shortened(text: str) -> bool:
    """Return whether pytest may have shortened a part of the text."""
    return "..." in text or "Skipping " in text


class Ends:
    """The beginnings and the ends of known secrets' forms."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._forms = frozenset(forms)
        self._by_beginning: defaultdict[str, list[str]] = defaultdict(list)
        self._by_end: defaultdict[str, list[str]] = defaultdict(list)
        for form in self._forms:
            self._by_beginning[form[:_BOTH]].append(form)
            self._by_end[form[-_BOTH:]].append(form)

    def hide(self, text: str) -> str:
        """Return the text with each shortened secret replaced by the mark."""
        pieces: list[str] = []
        done = 0
        for cut in _CUT.finditer(text):
            if cut.start() < done:
                continue
            before, after = self._around(text, done, cut)
            if before or after:
                pieces += [text[done : cut.start() - before], MARK]
                done = cut.end() + after
        text = "".join([*pieces, text[done:]])
        skipped = _DIFF.search(text)
        return text if skipped is None else self._hide_in_a_diff(text, skipped.end())

    def _around(self, text: str, done: int, cut: re.Match[str]) -> tuple[int, int]:
        """Return how many characters before and after the cut are of a secret."""
        begin = max(done, cut.start() - _LONGEST)
        shown = _BEFORE.match(text[begin : cut.start()][::-1])
        word = shown[0][::-1] if shown else ""
        before = self._longest(word, self._by_beginning, str.startswith, range(len(word), _BOTH - 1, -1), from_end=True)
        rest = _BEFORE.match(text, cut.end())
        word = rest[0] if rest else ""
        after = self._longest(word, self._by_end, str.endswith, range(len(word), _BOTH - 1, -1), from_end=False)
        if before and after:
            return before, after
        return (before if before >= _ALONE else 0), (after if after >= _ALONE else 0)

    def _longest(
        self,
        word: str,
        index: dict[str, list[str]],
        matches: Callable[[str, str], bool],
        lengths: Iterable[int],
        *,
        from_end: bool,
    ) -> int:
        """Return the length of the longest part of the word, at its end or its beginning, with which a form matches."""
        for length in lengths:
            part = word[-length:] if from_end else word[:length]
            forms = index.get(part[:_BOTH] if from_end else part[-_BOTH:], ())
            if any(matches(form, part) for form in forms):
                return length
        return 0

    def _hide_in_a_diff(self, text: str, begin: int) -> str:
        end = begin + _LONGEST_DIFF

        def hide(found: re.Match[str]) -> str:
            word = found[0]
            return MARK if any(word in form for form in self._forms) else self._without_ends(word)

        return text[:begin] + _WORD.sub(hide, text[begin:end]) + text[end:]

    def _without_ends(self, word: str) -> str:
        """Return the word without the end of a secret with which it begins, and the beginning of one with which it ends."""
        lengths = range(min(len(word), _LONGEST), _ALONE - 1, -1)
        first = self._longest(word, self._by_end, str.endswith, lengths, from_end=False)
        last = self._longest(word, self._by_beginning, str.startswith, lengths, from_end=True)
        return (MARK if first else "") + word[first : len(word) - last if last else None] + (MARK if last else "")

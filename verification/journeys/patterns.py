"""Searches a text for a user's regular expression within a time limit.

The patterns have the syntax of Python's ``re``, whose search has no limit and stops every thread of the process. The
package ``regex`` has a limit and lets other threads run, but reads a few texts in another way: ``a{e}`` is a fuzzy match
there, ``[[:alpha:]]`` a class of POSIX, and ``\\w`` has combining marks. Such parts are rewritten, so that they mean what they
mean to ``re``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from verification.redaction.redactor import Redactor

if TYPE_CHECKING:
    import regex

LONGEST_S = 1.0
"""How long a search may take: the engine measures the CPU time of the process, so that a busy machine ends no search too early."""
MOST_REPEATS = 100_000
"""How many characters a pattern's repeats may demand together: the engine keeps each of them in memory."""
_LONGEST = 80
_REDACTOR = Redactor(())
_INSTEAD = r"write a pattern that can match a text in one way only, such as ^[\w\s]*$ instead of ^(\w+\s?)*$"
# A character by its name, an escape, a comment, the begin of a group with its extension, a quantifier, any other character; a class is read by itself.
_TOKEN = re.compile(
    r"\\N\{[^}]*\}|\\.|\(\?#[^)]*\)|\((?:\?(?:P?[<=!:>]|P[=>]|\([^)]*\)|[a-zA-Z-]*[:)]))?|\{\d*(?:,\d*)?\}|.",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\N\{[^}]*\}|\\.", re.DOTALL)
_QUANTIFIER = re.compile(r"\{(\d*)(?:(,)(\d*))?\}")
_VERBOSE_GROUP = re.compile(r"\(\?[aimsu]*x[aimsux]*(?:-[ims]+)?:|\(\?[aimsux]*-[ims]*x[imsx]*:")
_ASCII_GROUP = re.compile(r"\(\?[imsx]*a[imsx]*(?:-[imsx]+)?:")
_WORD = r"\p{L}\p{N}_"  # the characters that str.isalnum() accepts
_WORDS = {
    r"\w": f"[{_WORD}]",
    r"\W": f"[^{_WORD}]",
    r"\b": f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))",
    r"\B": f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))",
}


class PatternTooSlow(Exception):
    """A search did not end within the limit; the text names the place, the pattern, the length of the text, and what to write instead."""

    def __init__(self, pattern: str, length: int, where: str = "") -> None:
        super().__init__(pattern, length, where)
        self.pattern, self.length, self.where = pattern, length, where

    def __str__(self) -> str:
        """Return the whole message."""
        return f"{self._begin()} on a text of {self.length} characters; {_INSTEAD}"

    @property
    def without_answer(self) -> str:
        """Return the message without the length of the text, which is a part of the answer."""
        return f"{self._begin()}; {_INSTEAD}"

    def at(self, where: str) -> PatternTooSlow:
        """Return the same with the place of the text in the answer."""
        return PatternTooSlow(self.pattern, self.length, where)

    def hidden(self) -> PatternTooSlow:
        """Return the same without the pattern, for the value of a field with a secret name."""
        return PatternTooSlow("(hidden)", self.length, self.where)

    def _begin(self) -> str:
        shown = _REDACTOR.clean(self.pattern)  # before it is cut: half a part is no longer recognised as one
        shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
        return f"{self.where and self.where + ': '}the pattern {shown} needed more than {LONGEST_S:g} s of CPU time"


def finds(pattern: str, text: str) -> bool:
    """Return whether a part of the text matches the pattern. Raises PatternTooSlow after one second of CPU time."""
    return search(compiled(pattern), text, pattern)


def search(engine: regex.Pattern[str], text: str, pattern: str, *, whole: bool = False) -> bool:
    """Return whether a part of the text, or the ``whole`` text, matches a compiled pattern, as ``finds`` does."""
    try:
        find = engine.fullmatch if whole else engine.search
        return find(text, timeout=LONGEST_S, concurrent=True) is not None
    except TimeoutError:
        raise PatternTooSlow(pattern, len(text)) from None


def mistake(pattern: str) -> str | None:
    """Return why a text cannot be used as a regular expression, None if it can."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{pattern[:_LONGEST]!r} is not a regular expression; {error}"
    if _VERBOSE_GROUP.search(pattern):
        return f"{pattern[:_LONGEST]!r} ignores blanks in one group only; write (?x) at its beginning"
    _, repeated = _read(pattern)
    if repeated > MOST_REPEATS:
        return (
            f"{pattern[:_LONGEST]!r} demands {repeated:,} characters by its repeats, and may demand {MOST_REPEATS:,}; "
            "write smaller numbers in braces, and length for the length of a text"
        )
    try:
        compiled(pattern)
    except Exception as error:  # the engine has several kinds of errors for what it cannot read
        return f"{pattern[:_LONGEST]!r} cannot be searched for; {error}"
    return None


@lru_cache(maxsize=512)
def compiled(pattern: str) -> regex.Pattern[str]:
    """Return the compiled pattern. Raises regex.error for a text for which ``mistake`` returns a reason."""
    import regex  # takes 13 ms to import, and many processes use no pattern

    return regex.compile(_read(pattern)[0], regex.VERSION0, cache_pattern=False)


def _read(pattern: str) -> tuple[str, int]:
    """Return the pattern in the engine's words, and how many characters its repeats demand together."""
    flags = re.compile(pattern).flags
    verbose, words = flags & re.VERBOSE, not (flags & re.ASCII or _ASCII_GROUP.search(pattern))
    made: list[str] = []
    widths = [0]  # of each open group, the pattern itself first
    last, place = 0, 0
    while place < len(pattern):
        if verbose and pattern[place] == "#":
            end = pattern.find("\n", place)
            place = len(pattern) if end < 0 else end
            continue
        if pattern[place] == "[":
            part, place = _class(pattern, place, words)
            made.append(part)
            widths[-1], last = widths[-1] + 1, 1
            continue
        found = _TOKEN.match(pattern, place)
        part = found[0] if found else pattern[place]
        place += len(part)
        quantifier = _QUANTIFIER.fullmatch(part) if len(part) > 2 else None
        if quantifier is not None and made:
            least = int(quantifier[1] or 0)
            widths[-1], last = widths[-1] + last * (max(least, 1) - 1), last * max(least, 1)
        elif part.startswith("{"):
            part = "\\" + part
        elif part == ")":
            last = widths.pop() if len(widths) > 1 else 0
            widths[-1] += last
        elif part.startswith("(") and not part.endswith(")"):
            widths.append(0)
        elif part not in "*+?|" and not part.startswith("("):
            widths[-1], last = widths[-1] + 1, 1
        made.append(_WORDS.get(part, part) if words else part)
    return "".join(made), widths[0]


def _class(pattern: str, start: int, words: bool) -> tuple[str, int]:
    """Return the class that begins with a bracket at ``start`` in the engine's words, and the place behind it."""
    place = start + 2 if pattern.startswith("[^", start) else start + 1
    made = [pattern[start:place]]
    first = True
    while place < len(pattern) and (first or pattern[place] != "]"):
        found = _ESCAPE.match(pattern, place)
        part = found[0] if found else pattern[place]
        made.append("\\[" if part == "[" else _WORD if part == r"\w" and words else part)
        place, first = place + len(part), False
    return "".join(made) + pattern[place : place + 1], place + 1

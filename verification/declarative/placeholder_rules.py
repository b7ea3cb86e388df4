"""Finds mistakes with placeholders: a name without a value, a text that was probably meant as ``${name}``, an unused value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from verification.declarative.source import Step
from verification.journeys.placeholders import NAME, YEARS, is_builtin, variable

Mistake = tuple[tuple[Step, ...], str]

_NEAR = 0.8
_LONGEST = 40
_HOLE = re.compile(r"\$\{([^{}]*)\}")
_OPEN = re.compile(r"\$\{[^{}]{0,40}")
_DOLLAR = re.compile(r"\$([A-Za-z_]\w*)")
_BRACES = re.compile(r"\{+\s*([A-Za-z_][\w-]*)\s*\}+")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'status'?``, or an empty text if no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class Text:
    """A text of a check that has a ``$`` or a brace; ``is_key``: it is the key of an object."""

    path: tuple[Step, ...]
    text: str
    is_key: bool = False

    @property
    def names(self) -> list[str]:
        """Return the text between the braces of every ``${…}``."""
        return [] if self.is_key else _HOLE.findall(self.text)


def texts(value: Any, path: tuple[Step, ...]) -> list[Text]:
    """Return the texts of a JSON value that can hold a placeholder."""
    found: list[Text] = []
    _collect(value, path, found)
    return found


def _collect(value: Any, path: tuple[Step, ...], found: list[Text]) -> None:
    if isinstance(value, str):
        if "$" in value or "{" in value:
            found.append(Text(path, value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if "${" in key:
                found.append(Text((*path, key), key, is_key=True))
            _collect(inner, (*path, key), found)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _collect(inner, (*path, number), found)


def mistakes(found: Iterable[Text], known: Collection[str], hint: str) -> Iterator[Mistake]:
    """Yield the mistakes in these texts; ``known`` names have a value, ``hint`` says how a name gets one."""
    found = list(found)
    for one in found:
        for name in dict.fromkeys(one.names):
            yield from _unknown(name, known, one.path, hint)
    yield from malformed(found, known)


def malformed(found: Iterable[Text], known: Collection[str]) -> Iterator[Mistake]:
    """Yield the texts that were probably meant to have a placeholder."""
    for one in found:
        at, text = one.path, one.text
        if one.is_key:
            yield at, f"{text!r} is a key, and placeholders are filled in values only"
            continue
        rest = _HOLE.sub(" ", text)
        if broken := _OPEN.search(rest):
            yield at, f"{broken[0]!r} is not a placeholder; write ${{name}}"
            rest = _OPEN.sub(" ", rest)
        for pattern in (_DOLLAR, _BRACES):
            for bare in pattern.finditer(rest):
                if meant := _meant(bare[1], known):
                    yield at, f"{bare[0]!r} is sent and compared as it is; write ${{{meant}}} for the value of {meant}"


def in_path(path: str) -> str | None:
    """Return what is wrong with the path of a request whose placeholders are not filled yet, None if nothing is."""
    rest = _HOLE.sub("0", path)
    if found := re.search(r"\{.*?\}|\$[A-Za-z_]\w*|[{}]", rest):
        return f"{found[0]!r} in a path is not a placeholder; write ${{name}}, or %7B and %7D for braces"
    if "#" in rest:
        return "'#' begins a fragment, which is never sent; write %23 for the character"
    if rest.startswith("//"):
        return "a path begins with one /; what follows // would be taken for a host"
    return None


def _unknown(name: str, known: Collection[str], at: tuple[Step, ...], hint: str) -> Iterator[Mistake]:
    if name in known or (is_builtin(name) and not name.startswith("account.")) or variable(name) is not None:
        return
    if name.startswith("account."):
        session = "" if "account.email" in known else ", and signed_in: true in the check"
        yield at, f"${{{name}}} has no value; write account.email or account.password{session}"
    elif (what := of_time(name)) is not None:
        yield at, what
    elif not NAME.fullmatch(name):
        yield (
            at,
            f"${{{name}}} is not a placeholder: a name has letters, digits and _{nearest(name, known) or _instead(name)}",
        )
    else:
        yield at, f"${{{name}}} has no value{nearest(name, known) or hint}"


def of_time(name: str) -> str | None:
    """Return what is wrong with a text that was probably meant as a time, None if it was not."""
    if not name.startswith("now") or NAME.fullmatch(name):
        return None
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    hint = "write a time as in ${now-90s}, ${now+5m}, ${now+2h} or ${now+30d}"
    return f"${{{shown}}} is not a time of the years {YEARS[0]} to {YEARS[-1]}; {hint}"


def _instead(name: str) -> str:
    """Return what to write instead of a text that is no name, if that is likely."""
    first, dot, rest = name.partition(".")
    if dot and (close := difflib.get_close_matches(first, ("env", "secret", "account"), n=1, cutoff=0.5)):
        return f"; write ${{{close[0]}.{rest or 'NAME'}}}"
    plain = re.sub(r"\W+", "_", name.strip())
    return f"; write ${{{plain}}}" if NAME.fullmatch(plain) else ""


def _meant(word: str, known: Collection[str]) -> str | None:
    """Return the known name that a word is, or nearly is."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)
    return close[0] if close else None

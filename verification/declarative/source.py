"""Reads YAML with lines and columns, as JSON's types only: no dates, no yes and no, no repeated key, no number that JSON does not have."""

from __future__ import annotations

import codecs
import gc
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from yaml.reader import Reader

Step = str | int

DEEPEST = 100
LARGEST = 1_000_000
_MERGE = "<<"
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks in YAML 1.1, which editors do not show as such."""
_BEGIN = yaml.Mark("", 0, 0, 0, None, 0)
_MISSING = object()
_WORDS = {"null": None, "true": True, "false": False}
_OTHER_WORDS = {"~": "null", "null": "null", "true": "true", "false": "false"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# Texts that YAML 1.1, YAML 1.2 or a person reads as a number: 0x1F, 0o17, 1_000, 010, 12:30 (base 60), .5, +1, .inf.
_LIKE_A_NUMBER = re.compile(
    r"""[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    |(?:[0-9][0-9_]*\.?|\.[0-9])[0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)


class InvalidChecks(ValueError):
    """A file of checks that cannot be used: file, line, column, what was wrong, what to write instead; a line for each mistake."""


class Mark(Protocol):
    """A place in a text; line and column begin at 0."""

    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """A document and the places of its parts.

    ``marks`` maps the ``id`` of a dict or list of ``value`` to the place of its start and the places of its keys or
    items.
    """

    file: str
    value: Any
    marks: dict[int, tuple[Mark, Any]] = field(repr=False)

    def line(self, path: Sequence[Step]) -> int:
        """Return the line of a part, given by its keys and indices: the line of its key, else of the nearest part around it."""
        return self._mark(path).line + 1

    def error(self, path: Sequence[Step], what: str) -> str:
        """Return one line of an InvalidChecks."""
        return f"{self.file}:{_place(self._mark(path))}: {what}"

    def _mark(self, path: Sequence[Step]) -> Mark:
        part, mark = self.value, self.marks[id(self.value)][0] if id(self.value) in self.marks else _BEGIN
        for step in path:
            inner = self.marks.get(id(part), (mark, None))[1]
            try:
                mark, part = inner[step], part[step]
            except (LookupError, TypeError):
                break
        return mark


def read(path: Path, shown: str) -> Source:
    """Return a file's document. Raise InvalidChecks, which names the file as ``shown``, if it cannot be read as JSON's types."""
    return parse(read_bytes(path, shown), shown)


def read_bytes(path: Path, shown: str) -> bytes:
    """Return a file's content. Raise InvalidChecks, which names the file as ``shown``, if it cannot be read."""
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():  # reading it may never end
            raise InvalidChecks(f"{shown}:1:1: this is a pipe or a device, and a file is expected")
        return path.read_bytes()
    except OSError as error:
        raise InvalidChecks(f"{shown}:1:1: the file cannot be read: {error.strerror or type(error).__name__}") from None


_OF_INDENTATION = ("did not find expected '-' indicator", "did not find expected key")
# The parser sees this mistake on the next line.
_AT_ITS_BEGINNING = ("could not find expected ':'",)


def _hint(problem: str, line: str) -> str:
    """Return what to write instead, for the mistakes that people make most; an empty text for others."""
    if "tab character" in problem or (line.lstrip(" ").startswith("\t") and "cannot start any token" in problem):
        return "; indent with spaces"
    if problem in _AT_ITS_BEGINNING:
        return "; write a colon and a blank after the key, as in 'request: GET /health'"
    if problem == "mapping values are not allowed in this context":
        return "; put a text with a colon in quotes, or correct the indentation"
    if problem in _OF_INDENTATION:
        return "; correct the indentation (keys of a check stand below each other, lines of a list begin with -) or a text's quotes"
    if "${" in line and problem.startswith("did not find expected ','"):
        return '; inside of {…} put a text with ${…} in quotes, as in "GET /orders/${id}"'
    return ""


def parse(data: bytes, shown: str) -> Source:
    """Return the document in these bytes. Raise InvalidChecks as ``read`` does."""
    text = _text(data, shown)
    composer = _Composer(shown)
    try:
        with without_garbage_collection():
            composer.compose(text)
    except yaml.MarkedYAMLError as error:
        last = text.rstrip("\n").count("\n") + 1  # libyaml counts the end of the file as a line of its own
        mark = error.context_mark if error.problem in _AT_ITS_BEGINNING else error.problem_mark
        mark = mark or _BEGIN
        line, column = (mark.line + 1, mark.column + 1) if mark.line < last else (last, 1)
        hint = _hint(str(error.problem), text.splitlines()[line - 1] if text else "")
        raise InvalidChecks(f"{shown}:{line}:{column}: this is not YAML: {error.problem}{hint}") from None
    except yaml.YAMLError as error:
        raise InvalidChecks(f"{shown}:1:1: this is not YAML: {error}") from None
    if composer.mistakes:
        raise InvalidChecks("\n".join(composer.mistakes))
    return Source(shown, composer.value, composer.marks)


def _text(data: bytes, shown: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidChecks(f"{shown}:1:1: the file is encoded in UTF-16 or UTF-32; save it in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        raise InvalidChecks(
            f"{shown}:{_end_of(before)}: byte 0x{data[error.start]:02x} is not UTF-8; save the file in UTF-8"
        ) from None
    if found := _LINE_BREAKS.search(text):
        raise InvalidChecks(
            f"{shown}:{_end_of(text[: found.start()])}: character U+{ord(found[0]):04X} would begin a new line here; "
            f'delete it, or write "\\u{ord(found[0]):04X}" in double quotes'
        )
    if found := Reader.NON_PRINTABLE.search(text):
        raise InvalidChecks(
            f"{shown}:{_end_of(text[: found.start()])}: character U+{ord(found[0]):04X} is not allowed in YAML; "
            'write an escape in double quotes, such as "\\0"'
        )
    return text


def _end_of(text: str) -> str:
    """Return line and column of the character after a text."""
    return f"{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}"


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which would repeatedly search a document of many small objects, none of them garbage."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _mark(event: yaml.Event) -> Mark:
    return event.start_mark or _BEGIN


def _place(mark: Mark) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"


class _Frame:
    """A dict or list that is not complete yet."""

    __slots__ = ("anchor", "key", "key_mark", "mark", "marks", "merges", "size", "value")

    def __init__(self, value: Any, marks: Any, mark: Mark, anchor: str | None) -> None:
        self.value, self.marks, self.mark, self.anchor = value, marks, mark, anchor
        self.key: Any = _MISSING
        self.key_mark = mark
        self.merges: list[Any] = []
        self.size = 1


class _Composer:
    """Builds values from the parser's events, without recursion, so that depth and size have limits and each message has its place."""

    def __init__(self, shown: str) -> None:
        self.value: Any = _MISSING
        self.marks: dict[int, tuple[Mark, Any]] = {}
        self.mistakes: list[str] = []
        self._shown = shown
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}  # the value, and how many values it contains

    def compose(self, text: str) -> None:
        """Read the whole text. Raise InvalidChecks if the structure is broken; other mistakes are collected."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML was built with libyaml
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent):
                self._begin({}, {}, event)
            elif isinstance(event, yaml.SequenceStartEvent):
                self._begin([], [], event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self.value is not _MISSING:
                raise self._broken(event, "a second document begins; write one document, with one list of checks")
        if self.value is _MISSING or self.value is None:
            raise InvalidChecks(
                f"{self._shown}:1:1: the file is empty; begin with 'checks:', and in service.yaml with 'service:'"
            )

    def _broken(self, event: yaml.Event, what: str) -> InvalidChecks:
        return InvalidChecks(f"{self._shown}:{_place(_mark(event))}: {what}")

    def _mistake(self, mark: Mark, what: str) -> None:
        self.mistakes.append(f"{self._shown}:{_place(mark)}: {what}")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        mark = _mark(event)
        plain, text = event.implicit[0], event.value
        if event.tag is not None:
            raise self._broken(event, f"tag {event.tag} is not allowed; write JSON's types, and a text in quotes")
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is _MISSING and isinstance(top.value, dict):
            self._key(top, text, plain, mark)
            return
        value = self._plain(text, mark) if plain else text
        if event.anchor is not None:
            self._anchors[event.anchor] = value, 1
        self._add(value, mark, 1)

    def _key(self, top: _Frame, text: str, plain: bool, mark: Mark) -> None:
        if plain and not text:
            self._mistake(mark, "a key is empty; write a name before the colon")
        if text in top.marks:
            self._mistake(mark, f"key {text!r} stands there twice; the first would be lost")
        top.key, top.key_mark, top.marks[text] = text, mark, mark
        if plain and text == _MERGE:
            top.key = _MERGE, True  # not a text, so that a quoted "<<" stays a key

    def _plain(self, text: str, mark: Mark) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        number = _NUMBER.fullmatch(text)
        if number:
            return self._number(text, whole=number[1] is None and number[2] is None, mark=mark)
        if not text:
            self._mistake(
                mark, "a value is missing; indent the lines that belong to it, or write null, or '' for an empty text"
            )
        elif text.lower() in _OTHER_WORDS:
            word = _OTHER_WORDS[text.lower()]
            self._mistake(mark, f"{text} is not a value of JSON; write {word}, or '{text}' in quotes for a text")
        elif _LIKE_A_NUMBER.fullmatch(text):
            self._mistake(
                mark, f"{text} is not a number of JSON; write its digits alone, or '{text}' in quotes for a text"
            )
        return text

    def _number(self, text: str, whole: bool, mark: Mark) -> float | int:
        try:
            value: float | int = int(text) if whole else float(text)
        except ValueError:  # Python does not convert integers of more than 4,300 digits
            value = math.inf
        if isinstance(value, float) and math.isinf(value):
            self._mistake(mark, f"{text[:40]} is too large for a number; write '{text[:40]}' in quotes for a text")
            return 0
        return value

    def _begin(self, value: Any, marks: Any, event: yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            raise self._broken(event, f"tag {event.tag} is not allowed; write JSON's types")
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is _MISSING:
            raise self._broken(event, "a key is a mapping or a list; write a text")
        if len(self._stack) >= DEEPEST:
            raise self._broken(event, f"values are nested more than {DEEPEST} levels deep")
        self._stack.append(_Frame(value, marks, _mark(event), event.anchor))

    def _end(self) -> None:
        frame = self._stack.pop()
        for merged in frame.merges:
            for key, value in merged.items():
                if key not in frame.value:
                    frame.value[key] = value
                    frame.marks[key] = frame.marks[_MERGE]
        self.marks[id(frame.value)] = frame.mark, frame.marks
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.value, frame.size
        self._add(frame.value, frame.mark, frame.size)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name, mark = event.anchor, _mark(event)
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is _MISSING:
            raise self._broken(event, f"alias *{name} is used as a key; write a text")
        if any(frame.anchor == name for frame in self._stack):
            raise self._broken(event, f"alias *{name} stands inside of its own anchor &{name}")
        if name not in self._anchors:
            raise self._broken(event, f"alias *{name} has no anchor &{name} before it")
        value, size = self._anchors[name]
        self._add(value, mark, size)

    def _add(self, value: Any, mark: Mark, size: int) -> None:
        if not self._stack:
            self.value = value
            return
        top = self._stack[-1]
        top.size += size
        if top.size > LARGEST:
            raise InvalidChecks(
                f"{self._shown}:{_place(mark)}: the file has more than {LARGEST:,} values, aliases included"
            )
        if isinstance(top.value, list):
            top.value.append(value)
            top.marks.append(mark)
        elif isinstance(top.key, tuple):
            self._merge(top, value)
            top.key = _MISSING
        else:
            top.value[top.key] = value
            top.key = _MISSING

    def _merge(self, top: _Frame, value: Any) -> None:
        several = value if isinstance(value, list) else [value]
        if all(isinstance(one, dict) for one in several):
            top.merges += several
        else:
            self._mistake(top.key_mark, "<< merges mappings; write an alias of a mapping, such as <<: *common")

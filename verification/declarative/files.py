"""Files that a file of checks names: rows of a CSV file as parameters, and files to send. All lie inside ``suites/``."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.journeys.placeholders import NAME

LARGEST = 50_000_000
SUITES = "suites"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


class UnusableFile(ValueError):
    """A file that a check names and that cannot be used; the text says why."""


@dataclass(frozen=True)
class Folder:
    """The folder of a file of checks. ``inside`` is the folder that its files must not leave."""

    path: Path
    inside: Path

    @classmethod
    def of(cls, file: Path) -> Folder:
        """Return the folder of a file: its files must stay in ``suites/``, or beside the file if it lies elsewhere."""
        folder = file.resolve().parent
        return cls(folder, next((one for one in (folder, *folder.parents) if one.name == SUITES), folder))

    @property
    def gate(self) -> str:
        """The folder of ``suites/`` that the file belongs to; empty if it lies elsewhere."""
        parts = self.path.relative_to(self.inside).parts
        return parts[0] if parts and self.inside.name == SUITES else ""

    def find(self, name: str) -> Path:
        """Return the path of a file that a check names. Raise UnusableFile."""
        if "\0" in name:
            raise UnusableFile(f"{json.dumps(name)} has the character NUL, and no name of a file has it; delete it")
        try:
            path = (self.path / name).resolve()
            if not path.is_relative_to(self.inside):
                raise UnusableFile(f"{name} lies outside of {self.inside.name}/; copy it beside the checks")
            if path.is_dir():
                raise UnusableFile(f"{name} is a folder; name a file in it")
            if not path.is_file():
                raise UnusableFile(f"file {name} does not exist; the path is relative to the file of checks")
            if (size := path.stat().st_size) > LARGEST:
                raise UnusableFile(f"{name} has {size:,} bytes; the limit is {LARGEST:,}")
            with path.open("rb"):
                return path
        except (OSError, RuntimeError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise UnusableFile(f"{name} cannot be read: {problem}") from None


def rows(path: Path, name: str, types: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a set of parameters for each row; the first line names the columns, ``types`` names the columns that are not texts.

    Raise UnusableFile with the line of the first mistake, which calls the file ``name``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # a line break inside of quotes stays as it is
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UnusableFile(f"{name}:{line}: the file is not UTF-8") from None
    except OSError as error:
        raise UnusableFile(f"{name} cannot be read: {error.strerror}") from None
    return list(_rows(text, name, types))


def _rows(text: str, name: str, types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnusableFile(f"{name}:{line}: the character NUL is not allowed")
    # Only CR and LF end a line: a cell may have the other line breaks of Unicode. Empty lines at the end are no rows.
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), strict=True)
    columns: list[str] = []
    found = False
    try:
        for cells in reader:
            line = reader.line_num
            if not columns:
                columns = cells
                _check_columns(columns, types, f"{name}:{line}")
                continue
            if len(cells) != len(columns):
                raise UnusableFile(f"{name}:{line}: the row has {len(cells)} cells, expected {len(columns)}")
            found = True
            yield {
                column: _cell(cell, types.get(column, "string"), f"{name}:{line}: {column}")
                for column, cell in zip(columns, cells, strict=True)
            }
    except csv.Error as error:
        raise UnusableFile(f"{name}:{reader.line_num}: this is not CSV: {error}") from None
    if not found:
        raise UnusableFile(
            f"{name} has no row; write the names of the parameters in the first line, then a row for each check"
        )


def _check_columns(columns: list[str], types: Mapping[str, str], place: str) -> None:
    for column in columns:
        if not NAME.fullmatch(column) or not column.isascii():
            raise UnusableFile(f"{place}: {column!r} is not a name of letters, digits and _")
        if columns.count(column) > 1:
            raise UnusableFile(f"{place}: two columns are named {column!r}")
    for column in types:
        if column not in columns:
            raise UnusableFile(
                f"{place}: types names the column {column!r}, which is missing; there are {', '.join(columns)}"
            )


def _cell(cell: str, type_: str, place: str) -> Any:
    if type_ == "string":
        return cell
    if type_ == "boolean" and cell in ("true", "false"):
        return cell == "true"
    if type_ in ("integer", "number") and _NUMBER.fullmatch(cell) and len(cell) < 100:
        value = float(cell)
        if value.is_integer() and cell.lstrip("-").isdigit():
            return int(cell)
        if type_ == "number":
            return value
    raise UnusableFile(f"{place}: {cell[:40]!r} is not of type {type_}")

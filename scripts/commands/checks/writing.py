"""Writes checks as YAML that the framework's own reader accepts: strict about numbers, words and placeholders."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deployment.errors import Refused
from verification.declarative.checks import load
from verification.declarative.source import InvalidChecks

ONE_LINE = ("request", "expect", "capture")
_WIDTH = 120
_WORDS = re.compile(r"[A-Za-z/][A-Za-z0-9 _./?=&${}+-]*[A-Za-z0-9/}]|[A-Za-z]")
_NOT_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that anything could read as something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own parameter
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own parameter
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    plain = _WORDS.fullmatch(value) and value.lower() not in _NOT_WORDS and " #" not in value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, None if plain else '"')


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _OneLine, lambda dumper, value: dumper.represent_mapping(dumper.DEFAULT_MAPPING_TAG, value, True)
)


def text_of(checks: Sequence[Mapping[str, Any]]) -> str:
    """Return the file of these checks, with an empty line between two of them."""
    parts = [
        yaml.dump(
            {"checks": [_styled(check)]}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
        ).removeprefix("checks:\n")
        for check in checks
    ]
    return "checks:\n" + "\n".join(parts)


def _styled(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        kind = _OneLine if key in ONE_LINE and len(str(value)) < _WIDTH else dict
        return kind({name: _styled(inner, name) for name, inner in value.items()})
    return [_styled(inner) for inner in value] if isinstance(value, list | tuple) else value


def mistakes(checks: Sequence[Mapping[str, Any]], shown: str, schemas: Collection[str] | None) -> list[str]:
    """Return the mistakes that the framework's reader finds in the file of these checks."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checks.yaml"
        file.write_text(text_of(checks), encoding="utf-8")
        try:
            load(file, shown, schemas)
        except InvalidChecks as error:
            return str(error).splitlines()
    return []


def refuse_existing(file: Path, shown: str) -> None:
    """Raise Refused if the file exists."""
    if os.path.lexists(file):
        raise Refused(f"{shown} exists already", hint="Choose another name, or add the check to that file by hand.")


def write(file: Path, shown: str, checks: Sequence[Mapping[str, Any]]) -> None:
    """Write a new file of checks, whole or not at all. Raises Refused if it exists or cannot be written."""
    refuse_existing(file, shown)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, prefix=".new-", suffix=".txt", encoding="utf-8", delete=False
        ) as staged:
            staged.write(text_of(checks))
        try:
            os.chmod(staged.name, 0o644)
            os.link(staged.name, file)  # fails if another process has made the file meanwhile
        finally:
            with contextlib.suppress(OSError):
                Path(staged.name).unlink()
    except OSError as error:
        raise Refused(f"{shown} cannot be written: {error.strerror}") from None

"""Takes the secrets out of a recorded request: each becomes ``${secret.NAME}``, and its name and place are remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from verification.redaction.redactor import MARK, Redactor, is_secret_name, is_secret_number

_SHAPES = Redactor(())
_SHORTEST = 6
"""Shorter values are part of many words, so they are not searched for in other places."""
_LEAST = 8
"""``${secret.NAME}`` refuses shorter values, and a shorter number is one only by the name of a PIN or a password."""
_ELEMENT = re.compile(r"<([\w:.-]+)[^<>]*>[^<>]+</\1>")
_PAIR = re.compile(r"[\"']?([\w.-]+)[\"']?\s*[=:]")


class Secrets:
    """The secrets that were found, each with the name of its variable and the places where it stood."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._places: dict[str, list[str]] = {}

    @property
    def places(self) -> Mapping[str, list[str]]:
        """The names of the variables, each with the places of its value."""
        return self._places

    def hide(self, name: str, value: str, place: str) -> str:
        """Return the placeholder for a secret; the same value has one name."""
        if value not in self._names:
            stem = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name), flags=re.ASCII).strip("_").upper()
            stem = stem if stem[:1].isalpha() else f"SECRET_{stem}".rstrip("_")
            taken = self._places
            self._names[value] = next(
                one for one in (stem, *(f"{stem}_{number}" for number in range(2, 10_000))) if one not in taken
            )
        found = self._places.setdefault(self._names[value], [])
        if place not in found:
            found.append(place)
        return f"${{secret.{self._names[value]}}}"

    def value(self, name: str, value: Any, place: str) -> Any:
        """Return a JSON value without its secrets; ``name`` is the field that holds it."""
        if isinstance(value, Mapping):
            return {key: self.value(key, inner, place) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(name, inner, place) for inner in value]
        if value is None or isinstance(value, bool) or value == "":
            return value
        if isinstance(value, int | float) and len(str(value)) < _LEAST and not is_secret_number(name):
            return value
        if is_secret_name(name) or (isinstance(value, str) and has_shape_of_secret(value)):
            return self.hide(name or "value", str(value), place)
        return value

    def text(self, value: str, place: str) -> str:
        """Return a body that is neither JSON nor a form: as a whole a placeholder if it holds a secret."""
        named = [*_ELEMENT.findall(value), *_PAIR.findall(value)]
        secret = has_shape_of_secret(value) or any(is_secret_name(name.rpartition(":")[2]) for name in named)
        return self.hide("body", value, place) if secret else value

    def everywhere(self, value: Any) -> Any:
        """Return a JSON value in which no known secret is left, wherever it stands in a text."""
        if isinstance(value, Mapping):
            return {self.everywhere(key): self.everywhere(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.everywhere(inner) for inner in value]
        if not isinstance(value, str):
            return value
        for secret in sorted(self._names, key=len, reverse=True):
            if len(secret) >= _SHORTEST and secret in value:
                value = value.replace(secret, f"${{secret.{self._names[secret]}}}")
        return value


def has_shape_of_secret(value: str) -> bool:
    """Return whether redaction would hide a part of a text by its shape: a token, a key, a password in a URL."""
    return MARK not in value and _SHAPES.clean(value) != value

"""Placeholders in requests and expectations.

``${id}`` is a captured value, ``${account.email}`` a field of the smoke user; ``${marker}``, ``${now+30d}``, ``${uuid}`` and
``${uuid.hex}`` are made;
``${env.NAME}`` is a variable of the process. ``${secret.NAME}`` is a secret that the deployment's environment gives, else a
variable of the process; no output shows it.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

NAME = re.compile(r"[A-Za-z_]\w*")
_HOLE = re.compile(r"\$\{([^{}]*)\}")
_NOW = re.compile(r"now(?:([+-])([0-9]{1,15})([smhd]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
YEARS = range(2, 9999)
"""The years in which ``${now+…}`` may lie: Python's times end with the year 9999, and a check may run in a later year."""
_ACCOUNT = "account."
UUIDS = frozenset({"uuid", "uuid.hex"})
MADE = UUIDS | {"marker"}
"""Texts that are different in each run."""
_VARIABLES = re.compile(r"(?:env|secret)\.([A-Za-z_]\w*)")


SHORTEST_SECRET = 8
"""Redaction leaves shorter values alone, because they are part of many words."""
_SECRETS: dict[str, str] = {}


def provide_secrets(values: Mapping[str, str], *, unless_in: Mapping[str, str] | None = None) -> None:
    """Use these values for ``${secret.NAME}`` in this process from now on, by NAME, and no others that were provided before.

    A name in ``unless_in`` keeps the value that it has there: in a verification, variables of the process go first.
    """
    _SECRETS.clear()
    _SECRETS.update({name: value for name, value in values.items() if name not in (unless_in or {})})


def provided_secrets() -> dict[str, str]:
    """Return the provided secrets by name, for another process of this run; never for a log."""
    return dict(_SECRETS)


def secret_values(names: Iterable[str]) -> tuple[str, ...]:
    """Return the values of those of these placeholders that are ``secret.NAME`` and have one, for redaction."""
    own = [variable(name) for name in names if name.startswith("secret.")]
    return tuple(found for one in own if one and (found := _SECRETS.get(one, os.environ.get(one))))


class UnknownPlaceholder(KeyError):
    """A placeholder that has no value; its only argument is the name."""


def holes(text: str) -> list[str]:
    """Return the text between the braces of every ``${…}`` of a text."""
    return _HOLE.findall(text)


def names_in(value: Any) -> set[str]:
    """Return the placeholders in all texts of a JSON value, keys included."""
    if isinstance(value, Mapping):
        return {name for pair in value.items() for one in pair for name in names_in(one)}
    if isinstance(value, list | tuple):
        return {name for one in value for name in names_in(one)}
    return set(holes(value)) if isinstance(value, str) else set()


def is_builtin(name: str) -> bool:
    """Return whether the name always has a value: ``marker``, ``uuid``, ``now``, ``now+30d``, ``account.…``."""
    return name in MADE or _is_time(name) or name.startswith(_ACCOUNT)


def _time(now: re.Match[str]) -> datetime:
    """Return the time that a placeholder means. Raises OverflowError if it lies before the year 1 or after the year 9999."""
    sign, number, unit = now.groups()
    moved = timedelta(**{_UNITS[unit]: int(number)}) if unit else timedelta()
    return datetime.now(UTC) + (-moved if sign == "-" else moved)


def _is_time(name: str) -> bool:
    now = _NOW.fullmatch(name)
    try:
        return now is not None and _time(now).year in YEARS
    except OverflowError:
        return False


def variable(name: str) -> str | None:
    """Return the variable that ``env.NAME`` or ``secret.NAME`` means, None for any other name."""
    found = _VARIABLES.fullmatch(name)
    return found[1] if found else None


def spelt(value: Any) -> str:
    """Return a value as it is written inside a text: ``true``, not ``True``."""
    return value if isinstance(value, str) else json.dumps(value)


class Values:
    """The values of placeholders in one run of a journey: captured ones, the account's, the run's marker, the time."""

    def __init__(
        self, account: Mapping[str, str] | None, marker: str, captured: Mapping[str, Any] | None = None
    ) -> None:
        """``account`` holds the smoke user's fields (``email``, ``password``); None without a session."""
        self._account = account or {}
        self._marker = marker
        self._captured: dict[str, Any] = dict(captured or {})
        self._uuid = str(uuid.uuid4())

    @property
    def account(self) -> Mapping[str, str]:
        """Return the smoke user's fields, empty without a session; never to be logged."""
        return self._account

    @property
    def captured(self) -> Mapping[str, Any]:
        """Return the captured values, by name."""
        return self._captured

    def with_captured(self, captured: Mapping[str, Any]) -> Values:
        """Return the same values with other captured ones."""
        made = Values(self._account, self._marker, captured)
        made._uuid = self._uuid
        return made

    def learn(self, captured: Mapping[str, Any]) -> None:
        """Add captured values."""
        self._captured.update(captured)

    def value(self, name: str) -> Any:
        """Return the value of a placeholder. Raises UnknownPlaceholder."""
        if name in self._captured:
            return self._captured[name]
        if name == "marker":
            return self._marker
        if (own := variable(name)) is not None:
            if name.startswith("secret.") and own in _SECRETS:
                return _SECRETS[own]
            if own in os.environ:
                return os.environ[own]
        if name == "uuid":
            return self._uuid
        if name == "uuid.hex":
            return self._uuid.replace("-", "")
        if (now := _NOW.fullmatch(name)) is not None:
            with suppress(OverflowError):
                return _time(now).isoformat(timespec="seconds").replace("+00:00", "Z")
        field = name.removeprefix(_ACCOUNT)
        if field != name and field in self._account:
            return self._account[field]
        raise UnknownPlaceholder(name)

    def fill(self, value: Any) -> Any:
        """Return the JSON value with its placeholders filled; a text that is one placeholder becomes the value itself.

        Raises UnknownPlaceholder.
        """
        if isinstance(value, str):
            if "${" not in value:
                return value
            whole = _HOLE.fullmatch(value)
            return self.value(whole[1]) if whole else _HOLE.sub(lambda hole: spelt(self.value(hole[1])), value)
        if isinstance(value, Mapping):
            return {key: self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(inner) for inner in value]
        return value

    def fill_expected(self, value: Any) -> Any:
        """Return ``fill`` of a part of an expectation. In ``{matches: …}`` a placeholder stands for its text, not for a pattern."""
        if isinstance(value, Mapping):
            if list(value) == ["matches"] and isinstance(pattern := value["matches"], str):
                return {"matches": _HOLE.sub(lambda hole: re.escape(spelt(self.value(hole[1]))), pattern)}
            return {key: self.fill_expected(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill_expected(inner) for inner in value]
        return self.fill(value)

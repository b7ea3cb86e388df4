"""The declaration of checks in this package: a function of fixtures, its gate, and the subjects for which it is repeated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verification.journeys.model import Service

Function = Callable[..., None]
Subjects = Callable[[Service], Sequence[tuple[str, Mapping[str, Any]]]]
"""Returns the subjects of a check: for each, the end of its name, and the arguments that are not fixtures."""

_REGISTERED: list[tuple[str, str, Function, Subjects, str]] = []


@dataclass(frozen=True)
class DescribedCheck:
    """One check: its gate, its name, the function, and the arguments that do not come from fixtures.

    ``when``: the fixture that names the moment, such as ``loaded``, which the function does not take; empty if it has none.
    """

    gate: str
    name: str
    function: Function
    arguments: Mapping[str, Any] = field(default_factory=dict)
    when: str = ""

    @property
    def fixtures(self) -> list[str]:
        """Return the names of the fixtures that the function takes."""
        return [name for name in inspect.signature(self.function).parameters if name not in self.arguments]


def once(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return one subject: the check is not repeated."""
    del service
    return (("", {}),)


def check(gate: str, name: str, subjects: Subjects = once, *, when: str = "") -> Callable[[Function], Function]:
    """Declare a check of a gate; each of ``subjects`` is a check of its own. A function can be declared for several moments."""

    def register(function: Function) -> Function:
        _REGISTERED.append((gate, name, function, subjects, when))
        return function

    return register


def checks_of(service: Service) -> Iterator[DescribedCheck]:
    """Yield every check that this service gets from its description, in the order of the modules."""
    from plugins.described import auth, colours, endpoints, health, latency, measured, stores  # noqa: F401 - each registers its checks

    for gate, name, function, subjects, when in _REGISTERED:
        for end, arguments in subjects(service):
            yield DescribedCheck(gate, f"{name} {end}".strip(), function, arguments, when)

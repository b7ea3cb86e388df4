"""What a history says: which processes there are, what happens to their calls, and whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can happen to one call."""

    CALL_LOST = "no answer and no effect"
    ANSWER_LOST = "an effect and no answer"
    DELAYED = "no answer, and an effect much later"
    DIES_BEFORE = "the process dies before it"
    DIES_AFTER = "the process dies after it"
    SUSPENDED = "the process sleeps past its lease before it"
    INTERRUPTED = "SIGINT before it"


class Kind(StrEnum):
    """What a process was started for."""

    DEPLOY = "deploy"
    RECOVER = "recover"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Command:
    """One process. ``passes``: its gates; ``reckless``: it asks for promotion all the same; ``faults``: by number of call."""

    kind: Kind
    here: bool = True
    passes: bool = True
    reckless: bool = False
    sick: bool = False
    harmed: bool = False
    faults: tuple[tuple[int, Fault], ...] = ()


@dataclass(frozen=True)
class History:
    """Processes, and whose turn it is: pairs of a number (which of those still running) and how many calls.

    ``promoted``: another deployment came first, and nothing happened to it.
    """

    commands: tuple[Command, ...]
    promoted: bool = False
    turns: tuple[tuple[int, int], ...] = ()

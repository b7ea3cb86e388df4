"""The plan of a history: its processes, the faults of their calls, and the order of their turns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A fault of one call."""

    CALL_LOST = "no answer and no effect"
    ANSWER_LOST = "an effect and no answer"
    DELAYED = "no answer, and an effect much later"
    DIES_BEFORE = "the process dies before it"
    DIES_AFTER = "the process dies after it"
    SUSPENDED = "the process is suspended past its lease before it"
    INTERRUPTED = "SIGINT before it"
    DISK_FULL = "the disk takes no line of the journal from then on"


class Kind(StrEnum):
    """The command of a process."""

    DEPLOY = "deploy"
    RECOVER = "recover"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Command:
    """One process.

    ``here``: it runs on the shared host. ``passes``: its gates pass. ``reckless``: it asks for the promotion although
    they fail. ``sick``: its release answers with errors. ``harmed``: users see errors during the bake. ``faults``: pairs
    of the number of a call and its fault.
    """

    kind: Kind
    here: bool = True
    passes: bool = True
    reckless: bool = False
    sick: bool = False
    harmed: bool = False
    faults: tuple[tuple[int, Fault], ...] = ()


@dataclass(frozen=True)
class History:
    """Processes and their turns: pairs of the index among the running processes and a number of calls.

    ``promoted``: a deployment without faults is promoted first.
    """

    commands: tuple[Command, ...]
    promoted: bool = False
    turns: tuple[tuple[int, int], ...] = ()

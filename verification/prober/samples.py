"""One request of the availability prober, as its process writes it and the controlling process reads it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

ConnectionKind = Literal["kept", "fresh"]


@dataclass(frozen=True)
class Sample:
    """The result of one request to the live domain.

    ``at`` is the moment of sending, ``done`` that of the answer's last byte or of giving up, both in epoch seconds on
    one clock that never steps back. ``operation`` is that of the step (see ``Step``). ``colour`` and ``generation`` are
    those of the front door's headers, ``version`` is the one that the health check named; None if the answer did not
    name it. ``problem`` is None exactly if ``ok``. ``control``: the request went to the previous colour at its own
    address, which no user uses.
    """

    at: float
    done: float
    ok: bool
    kind: ConnectionKind
    operation: str
    status: int | None
    colour: str | None = None
    generation: int | None = None
    version: str | None = None
    problem: str | None = None
    control: bool = False

    @property
    def elapsed_ms(self) -> float:
        """Return the time from sending to the end of the answer (ms)."""
        return (self.done - self.at) * 1000

    def to_line(self) -> str:
        """Return one line of JSON, with its line feed."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> Sample:
        """Return the sample of a line. Raises ValueError if the line is not a sample."""
        value: Any = json.loads(line)
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise ValueError("not a sample of the prober")
        return cls(**value)

"""Plays a journey without sending anything: returns the next request, and learns from its answer.

The caller sends the requests in its own way: the checks with httpx, the prober on its own connections, the load in
Locust.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from verification.journeys.expectations import Answer, NotCaptured, capturable, capture, problems
from verification.journeys.ledger import Entry
from verification.journeys.model import Expectation, Journey, Request, Step
from verification.journeys.placeholders import UnknownPlaceholder, Values, names_in, spelt
from verification.redaction.spellings import SAFE_IN_A_PATH

_CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
    "file": "application/octet-stream",
}


@dataclass(frozen=True)
class Prepared:
    """A request that can be sent: path with its query, all headers (session included; never to be logged), body."""

    step: Step
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    expect: Expectation = field(repr=False)


def prepare(step: Step, values: Values, session: Mapping[str, str], *, undoing: bool = False) -> Prepared:
    """Return the step's request with its placeholders filled; ``session`` holds the headers of the session.

    If ``undoing``, an expectation that lacks a value is reduced to the status: the written data must be removed in any
    case. Raises UnknownPlaceholder.
    """
    request = step.request
    body, content_type = _body(request, values)
    headers = {"Accept": "application/json"}
    for more in ({} if content_type is None else {"Content-Type": content_type}, session, values.fill(request.headers)):
        for name, value in _texts(more).items():
            for same in [other for other in headers if other.lower() == name.lower()]:
                del headers[same]
            headers[name] = value
    expect = step.expect
    if expect.has_body or expect.headers or expect.json or expect.schema is not None:
        try:
            filled = {name: values.fill_expected(getattr(expect, name)) for name in ("headers", "body", "json")}
            expect = replace(expect, schema=values.fill(expect.schema), **filled)
        except UnknownPlaceholder:
            if not undoing:
                raise
            expect = Expectation(expect.statuses)
    return Prepared(step, request.method, _path(request, values), headers, body, expect)


def _path(request: Request, values: Values) -> str:
    path = str(values.fill(request.path))
    if "://" in path:  # a captured Location may be a whole URL; the request still goes to the colour under test
        try:
            parts = urlsplit(path)
        except ValueError:  # its host is not one, such as "[::1"; it is not asked anyway
            parts = urlsplit("/" + path.partition("://")[2].partition("/")[2])
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    path = quote(path, safe=SAFE_IN_A_PATH)
    if not request.query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(_texts(values.fill(request.query)))}"


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: spelt(value) for name, value in values.items()}


def _body(request: Request, values: Values) -> tuple[bytes | None, str | None]:
    """Return the body and its content type, None for both without a body. Raises OSError if a file cannot be read."""
    if request.body_kind == "multipart":
        return _multipart(values.fill(request.body))
    content: bytes | None = None
    match request.body_kind:
        case "json":
            content = json.dumps(values.fill(request.body)).encode()
        case "form":
            content = urlencode(_texts(values.fill(request.body))).encode()
        case "text":
            content = spelt(values.fill(request.body)).encode()
        case "file":
            content = Path(request.body).read_bytes()
    return content, _CONTENT_TYPES.get(request.body_kind)


def _multipart(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    import httpx  # a heavy import, which the prober's process does not need for other requests

    parts: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            path = Path(value["file"])
            content_type = value.get("content_type", "application/octet-stream")
            parts.append((name, (value.get("name", path.name), path.read_bytes(), content_type)))
        else:
            parts.append((name, (None, spelt(value).encode())))  # without a file name it is an ordinary field
    made = httpx.Request("POST", "http://localhost/", files=parts)
    return made.read(), made.headers["Content-Type"]


class Play:
    """One run of a journey by one user. Not safe to use from two threads."""

    def __init__(self, journey: Journey, values: Values, entry: Entry | None = None) -> None:
        """``values`` belong to this run alone: captured values are added to them. ``entry``: its lines in the run's ledger."""
        self.journey = journey
        self.values = values
        self.entry = entry or Entry()
        self._next = 0
        self._undone = 0
        self._failed = False
        self._wrote = False
        self._lost = False  # a request that writes got no answer
        self._removed: set[int] = set()  # positions of the undo steps that succeeded
        self._undo_failed = False

    @property
    def failed(self) -> bool:
        """Return whether a step failed; the steps after it are not sent."""
        return self._failed

    @property
    def finished(self) -> bool:
        """Return whether no request is left."""
        return self.next() is None

    @property
    def left_something(self) -> bool:
        """Return whether the journey wrote something that an ``undo`` step could remove, and is not known to have removed."""
        return self._wrote and self._can_remove_more

    @property
    def _can_remove_more(self) -> bool:
        return any(
            step.request.writes and position not in self._removed and self._can_fill(step)
            for position, step in enumerate(self.journey.undo)
        )

    @property
    def undo_failed(self) -> bool:
        """Return whether an ``undo`` step was not answered as expected."""
        return self._undo_failed

    @property
    def asked(self) -> int:
        """Return how many of the journey's own steps were sent or skipped."""
        return self._next

    def next(self) -> Step | None:
        """Return the next step: the journey's, then its ``undo`` steps that have the values they need; None at the end.

        After a failed ``undo`` step, the steps that only check whether something is gone are left out: the fault is
        known.
        """
        if not self._undoing:
            return self.journey.steps[self._next]
        while self._undone < len(self.journey.undo):
            step = self.journey.undo[self._undone]
            if self._can_fill(step) and not (self._undo_failed and step.only_looks):
                return step
            self._undone += 1
        return None

    def prepare(self, session: Mapping[str, str]) -> Prepared:
        """Return the next request. Raises UnknownPlaceholder, or LookupError at the end."""
        step = self.next()
        if step is None:
            raise LookupError("the journey has no further step")
        prepared = prepare(step, self.values, session, undoing=self._undoing)
        if step.request.writes and not self._undoing:
            self.entry.begin(self.values, session)
        return prepared

    def learn(self, prepared: Prepared, answer: Answer | None, *, quote: bool = True) -> str | None:
        """Take in the answer to the next step (None: there was none) and return what is wrong with it, None if it is as expected.

        Without ``quote`` the text has no value of the answer.
        """
        if self._undoing:
            problem = self._learn_undo(prepared, answer, quote=quote)
        else:
            self._next += 1
            self._wrote = self._wrote or prepared.step.request.writes
            self._lost = self._lost or (answer is None and prepared.step.request.writes)
            problem = self._judge(prepared, answer, quote=quote)
            self._failed = self._failed or answer is None or problem is not None
            self.entry.learned(self.values)
        if self.entry.is_open and not self._lost and self.finished and not self._can_remove_more:
            self.entry.close()
        return problem

    def settle(self) -> None:
        """Note that nothing of this run is left, because its entries were looked for and removed."""
        self._lost = False
        self.entry.close()

    def _learn_undo(self, prepared: Prepared, answer: Answer | None, *, quote: bool) -> str | None:
        position = self._undone
        self._undone += 1
        problem = self._judge(prepared, answer, quote=quote)
        if prepared.step.request.writes:
            gone = answer is not None and answer.status in (404, 410)
            if gone and self._failed:  # the journey failed already: perhaps it wrote nothing
                problem = None
            if gone or (answer is not None and problem is None):
                self._removed.add(position)
        self._undo_failed = self._undo_failed or answer is None or problem is not None
        return problem

    def _judge(self, prepared: Prepared, answer: Answer | None, *, quote: bool) -> str | None:
        if answer is None:
            return None
        problem = judge(prepared, answer, quote=quote) or self._capture(prepared.step, answer)
        if problem is not None:
            self.values.learn(capturable(prepared.step.capture, answer))
        return problem

    def skip(self) -> None:
        """Skip the next step without sending it."""
        if self._undoing:
            self._undone += 1
        else:
            self._next += 1

    def abandon(self) -> None:
        """Skip the remaining steps; the ``undo`` steps follow."""
        self._failed = True

    def undo_again(self) -> None:
        """Send the ``undo`` steps again, from the first one, if something is left."""
        self._undone = 0 if self.left_something else len(self.journey.undo)
        self._failed, self._undo_failed = True, False

    @property
    def _undoing(self) -> bool:
        return self._failed or self._next >= len(self.journey.steps)

    def _capture(self, step: Step, answer: Answer) -> str | None:
        try:
            self.values.learn(capture(step.capture, answer))
        except NotCaptured as problem:
            return str(problem)
        return None

    def _can_fill(self, step: Step) -> bool:
        try:
            for name in names_in(
                [step.request.path, dict(step.request.query), dict(step.request.headers), step.request.body]
            ):
                self.values.value(name)
        except UnknownPlaceholder:
            return False
        return True


def judge(prepared: Prepared, answer: Answer, *, quote: bool = True) -> str | None:
    """Return everything that is wrong with an answer, as parts of a sentence; None if it is as expected.

    Without ``quote`` the text has no value of the answer.
    """
    found = list(problems(prepared.expect, answer, quote=quote))
    return "; ".join(found) if found else None

"""The order of the prober's requests while answers are still pending."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPMessage

from verification.http.raw_http import Answer
from verification.journeys.accounts import SmokeUser
from verification.prober.config import ProberConfig
from verification.prober.requests import Ask, Script

CONFIG = ProberConfig("http://127.0.0.1:1", SmokeUser("one@smoke.example", "canary-password-1"))
ROUND = 40  # requests, a few cycles


def answer(ask: Ask, number: int = 0) -> Answer:
    body = {"login": {"access_token": "token"}, "createConsult": {"id": f"c-{number}"}}.get(ask.operation, {})
    return Answer(ask.expected, HTTPMessage(), json.dumps(body).encode())


def signed_in() -> Script:
    script = Script(CONFIG)
    login = next(ask for ask in iter(script.next, None) if ask.operation == "login")
    script.learn(login, answer(login), None)
    return script


def requests_of(script: Script, *, slow: str) -> Iterator[Ask]:
    """Yield the requests while the operation ``slow`` gets no answers."""
    for number in range(ROUND):
        ask = script.next()
        yield ask
        if ask.operation != slow:
            script.learn(ask, answer(ask, number), None)


def test_consult_is_not_cancelled_while_it_is_read() -> None:
    """On another connection the cancellation could overtake the read, whose 404 would then count as a failure."""
    script = signed_in()
    waiting = list(requests_of(script, slow="readConsult"))
    read = [ask for ask in waiting if ask.operation == "readConsult"]
    assert read
    assert [ask for ask in waiting if ask.operation == "cancelConsult"] == []
    assert {ask.consult for ask in read} <= set(script.written()), (
        "a consult that is being read is still deleted at the end"
    )
    script.learn(read[0], answer(read[0]), None)
    later = [ask.consult for ask in requests_of(script, slow="readConsult") if ask.operation == "cancelConsult"]
    assert later == [read[0].consult]


def test_consult_of_a_lost_read_is_cancelled() -> None:
    script = signed_in()
    read = next(ask for ask in requests_of(script, slow="readConsult") if ask.operation == "readConsult")
    script.learn(read, None, "timed out")
    assert read.consult in [
        ask.consult for ask in requests_of(script, slow="readConsult") if ask.operation == "cancelConsult"
    ]

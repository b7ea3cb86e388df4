"""`undo` of checks in YAML removes what a request wrote, also if its answer was unexpected."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.verification.test_yaml_vocabulary import STEPS, World, loaded, shop


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, json={"id": 7}, headers={"Location": "/orders/7"}), "status 200, expected 201"),
        (httpx.Response(201, json={"id": 7}), "the answer has no header Location"),
    ],
)
def test_an_unexpected_answer_is_undone(tmp_path: Path, answer: httpx.Response, words: str) -> None:
    """The request wrote something, and the answer says what, so that nothing stays in the service."""
    world = World(lambda request: answer if request.method == "POST" else shop(request))
    assert words in world.fails(loaded(tmp_path, STEPS))
    assert [(one.method, one.url.path) for one in world.seen] == [("POST", "/orders"), ("DELETE", "/orders/7")]


def test_undo_needs_only_the_values_of_its_request(tmp_path: Path) -> None:
    """The expectation of an ``undo`` step may use a value that was not captured: then only its status counts."""
    text = STEPS.replace("$.id, place: header Location", "$.id").replace("GET ${place}", "GET /orders/${id}")
    text = text.replace('body: {id: "${id}", size: "${size}"}}', 'body: {id: "${id}"}}, capture: {size_read: $.size}')
    text = text.replace("204}}", '204, headers: {X-Size: "${size_read}"}}}')
    world = World(lambda request: shop(request, broken="/orders/7" if request.method == "GET" else ""))
    assert "step 'read': GET /orders/7: status 500" in world.fails(loaded(tmp_path, text))
    assert [one.method for one in world.seen] == ["POST", "GET", "DELETE"]

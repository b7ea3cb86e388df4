"""Answers are compared with the contract behind an address with a path, and a request that the contract lacks is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugins.test_verify_an_address import Shopping, shopping
from tests.verification.shop_server import DESCRIPTION

__all__ = ["shopping"]
UP = {"200": {"description": "up", "content": {"text/plain": {}}}}
ANY = {"default": {"description": "any", "content": {"*/*": {}}}}
PATHS: dict[str, Any] = {
    "/up": {"get": {"responses": UP}},
    "/goods": {"get": {"responses": ANY}},
    "/orders": {"post": {"responses": ANY}},
    "/notes/{id}": {one: {"responses": ANY} for one in ("get", "put")},
    "/complaints": {one: {"responses": ANY} for one in ("get", "post")},
    "/complaints/{id}": {"get": {"responses": ANY}},
}
HOW = "correct the request or the contract, or write `contract: false` into its expect"
GOODS = "not compared with the contract: GET /goods is none of its operations; nearest: GET /good; " + HOW
JSON = {"/up": {"get": {"responses": {"200": {"description": "up", "content": {"application/json": {}}}}}}}


def document(shopping: Shopping, *changes: tuple[str, str], paths: dict[str, Any] | None = None, **more: Any) -> None:
    """Write a contract of the shop, and its description with these words replaced."""
    text = DESCRIPTION.replace("service: shop\n", "service: shop\ncontract: contract/c.json\n")
    for word, other in changes:
        assert text.count(word) == 1, word
        text = text.replace(word, other)
    (shopping.path / "suites" / "service.yaml").write_text(text)
    (shopping.path / "suites" / "contract").mkdir(exist_ok=True)
    info = {"title": "shop", "version": "1"}
    contract = {"openapi": "3.1.0", "info": info, "paths": PATHS if paths is None else paths, **more}
    (shopping.path / "suites" / "contract" / "c.json").write_text(json.dumps(contract))


def renamed() -> dict[str, Any]:
    return {("/good" if path == "/goods" else path): item for path, item in PATHS.items()}


@pytest.mark.parametrize("base", ["", "/api", "/api/v2/"])
@pytest.mark.parametrize("paths", [PATHS, PATHS | JSON], ids=["right", "wrong"])
def test_an_address_with_a_path(shopping: Shopping, base: str, paths: dict[str, Any]) -> None:
    """The shop answers in plain text, which the wrong contract does not allow."""
    shopping.shop.base = base.rstrip("/")
    document(shopping, paths=paths)
    code, output, report = shopping.run(
        f"--base-url={shopping.shop.url}{base}", "suites/service.yaml::health", url=False
    )
    assert "not compared with the contract" not in output
    if paths is PATHS:
        assert (code, report["reason"]) == (0, None), output
        return
    assert code == 1, output
    assert "content type text/plain, expected application/json" in report["reason"]


def test_a_contract_behind_another_path_refuses(shopping: Shopping) -> None:
    document(shopping, servers=[{"url": "https://shop.example.com/v1"}])
    code, output, report = shopping.run()
    assert (code, report["verdict"]) == (4, "refused"), output
    said = "service.yaml: contract/c.json has no operation for any request of the description, such as GET /up; nearest: GET /v1/up"
    assert said in " ".join(output.split())
    assert shopping.shop.seen == []


def test_a_journey_that_the_contract_does_not_have_refuses(shopping: Shopping) -> None:
    document(shopping, paths=renamed())
    code, output, _ = shopping.run()
    assert code == 4, output
    assert "any request of journey look around, such as GET /goods; nearest: GET /good" in " ".join(output.split())


def test_a_journey_may_say_that_the_contract_does_not_have_it(shopping: Shopping) -> None:
    own = 'expect: {status: 200, headers: {Content-Type: {matches: "^text/html"}}}'
    document(shopping, (own, own.replace("200,", "200, contract: false,")), paths=renamed())
    code, output, _ = shopping.run("-k", "look and endpoints")
    assert (code, "not compared" in output) == (0, False), output


def test_a_single_request_that_the_contract_does_not_have_is_named(shopping: Shopping) -> None:
    """Also if it stands in a check in YAML; one that says so itself is not named."""
    goods = "      - {name: look, request: GET /goods, "
    document(shopping, (goods, "      - {name: up, request: GET /up}\n" + goods), paths=renamed())
    (shopping.path / "suites" / "endpoints").mkdir()
    (shopping.path / "suites" / "endpoints" / "pages.yaml").write_text(
        "checks:\n"
        "  - {name: goods, request: 'GET /goods?page=1', expect: {status: 200}}\n"
        "  - {name: none, request: GET /goods, expect: {status: 200, contract: false}}\n"
    )
    code, output, _ = shopping.run("suites", "-k", "endpoints and (look or goods or none)")
    assert code == 0, output
    assert shopping.journal("warning") == [{"gate": "endpoints", "text": GOODS}]
    assert "endpoints: not compared with the contract: GET /goods" in output

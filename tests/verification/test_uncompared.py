"""A request that is no operation of the contract is named with the nearest operation, and a description without any is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from verification.contract.openapi import Contract, ContractViolation
from verification.contract.uncompared import may_be_compared, nearest, uncompared
from verification.declarative.checks import load
from verification.declarative.demands import uncompared_checks, uncompared_parts, undescribed
from verification.declarative.judge import Asker
from verification.declarative.service import load_service
from verification.journeys.model import Service
from verification.journeys.placeholders import Values

ORDERS = {"/orders": ("get", "post"), "/orders/{id}": ("get", "delete"), "/orders/all": ("get",), "/up": ("get",)}
V1 = [{"url": "https://api.example.com/v1"}]
ROOT = Path(__file__).resolve().parents[2]
HOW = "correct the request or the contract, or write `contract: false` into its expect"
SERVICE = """
service: shop
contract: contract.json
health: {request: GET /up, version: none}
dependencies: none
sessions: none
journeys:
  see that it is up:
    steps: [{name: up, request: GET /up}]
  order:
    live: true
    steps:
      - {name: order, request: POST /orders, expect: {status: 201}, capture: {id: $.id}}
      - {name: read, request: "GET /orders/${id}"}
    undo: [{name: cancel, request: "DELETE /orders/${id}", expect: {status: 204}}]
"""


def made(paths: Mapping[str, tuple[str, ...]] = ORDERS, servers: list[dict[str, Any]] | None = None) -> Contract:
    every = {
        path: {one: {"responses": {"200": {"description": "ok"}}} for one in methods} for path, methods in paths.items()
    }
    info = {"title": "t", "version": "1"}
    return Contract({"openapi": "3.1.0", "info": info, "paths": every, **({"servers": servers} if servers else {})})


def sent(method: str, url: str) -> httpx.Request:
    return httpx.Request(method, url)


@pytest.mark.parametrize(
    ("servers", "addresses", "url", "known"),
    [
        (None, (), "http://h/orders", True),
        (None, (), "http://h/api/orders", False),
        (None, ("http://h/api",), "http://h/api/orders", True),
        (None, ("http://h/api/",), "http://h/api/orders/5", True),
        (None, ("http://h/api",), "http://h/apiorders", False),
        (None, ("http://h", None, "http://h/a%20b"), "http://h/a%20b/orders", True),
        (None, (), "http://h/orders/", False),
        (V1, (), "http://h/v1/orders", True),
        (V1, (), "http://h/orders", False),
        (V1, ("http://h/v1",), "http://h/v1/orders", True),
        (V1, ("http://h/stage",), "http://h/stage/v1/orders", True),
        (V1, ("http://h/stage",), "http://h/stage/orders", False),
    ],
)
def test_path_of_an_address_and_of_a_server(
    servers: list[dict[str, Any]] | None, addresses: tuple[str | None, ...], url: str, known: bool
) -> None:
    contract = made(servers=servers).at(*addresses)
    request = sent("GET", url)
    assert (uncompared(contract, request, "/orders") is None) is known
    response = httpx.Response(500, request=request)
    with pytest.raises(ContractViolation, match="status 500" if known else "no such operation"):
        contract.check(response)


@pytest.mark.parametrize(
    ("servers", "request_", "nearest"),
    [
        (None, "GET /orders/", "; nearest: GET /orders"),
        (None, "GET /ordres/${id}", "; nearest: GET /orders/{id}"),
        (None, "PUT /orders/${id}", "; nearest: GET /orders/{id}"),
        (V1, "GET /orders?limit=1", "; nearest: GET /v1/orders"),
        (V1, "DELETE /v2/orders/7", "; nearest: DELETE /v1/orders/{id}"),
        ([{"url": "/{stage}/api.v1"}], "GET /orders", "; nearest: GET /*/api.v1/orders"),
    ],
)
def test_the_nearest_operation_is_named(servers: list[dict[str, Any]] | None, request_: str, nearest: str) -> None:
    method, path = request_.split(" ")
    shown = request_.partition("?")[0]
    found = uncompared(made(servers=servers), sent(method, f"http://h{path.replace('${id}', '7')}"), path)
    assert found == f"not compared with the contract: {shown} is none of its operations{nearest}; {HOW}"


def test_a_contract_without_operations_has_no_nearest_one() -> None:
    found = uncompared(made({}), sent("GET", "http://h/orders"), "/orders")
    assert found == f"not compared with the contract: GET /orders is none of its operations; {HOW}"


@pytest.mark.parametrize(
    ("servers", "path", "maybe"),
    [
        (None, "/orders/${id}", True),
        (None, "/${part}", True),  # /orders, or /up
        (None, "${where}", True),  # a whole path
        (None, "/orders/${id}/", False),
        (None, "/ordres/${id}", False),
        (V1, "/orders/${id}", False),
        (V1, "/v1/${part}", True),
        ([{"url": "/{stage}", "variables": {"stage": {"default": "a", "enum": ["a", "b"]}}}], "/${stage}/orders", True),
    ],
)
def test_a_placeholder_may_have_any_value(servers: list[dict[str, Any]] | None, path: str, maybe: bool) -> None:
    assert may_be_compared(made(servers=servers), "GET", path) is maybe


def described(tmp_path: Path, text: str = SERVICE) -> Service:
    (tmp_path / "contract.json").write_text(
        '{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}', encoding="utf-8"
    )
    (tmp_path / "service.yaml").write_text(text, encoding="utf-8")
    return load_service(tmp_path / "service.yaml", "suites/service.yaml")


def test_a_description_without_any_operation(tmp_path: Path) -> None:
    service = described(tmp_path)
    assert undescribed(service, made()) is None
    assert undescribed(service, made(servers=V1)) == ("the description", "GET /up; nearest: GET /v1/up")
    assert undescribed(service, made(servers=V1).at("http://h/v1"), "/v1") is None
    assert undescribed(service, made().at("http://h/api"), "/api") is None


def test_a_journey_without_any_operation(tmp_path: Path) -> None:
    """A journey may ask only for an undocumented health check, and says of any other request that it is outside."""
    service = described(tmp_path)
    assert undescribed(service, made({path: ORDERS[path] for path in ("/orders", "/orders/{id}")})) is None
    renamed = {"/purchases": ("get", "post"), "/up": ("get",)}
    assert undescribed(service, made(renamed)) == ("journey order", "POST /orders; nearest: POST /purchases")
    one_left = {"/orders/{id}": ("delete",), "/up": ("get",)}
    assert undescribed(service, made(one_left)) is None
    text = SERVICE.replace("expect: {status: 201}", "expect: {status: 201, contract: false}")
    text = text.replace('"GET /orders/${id}"}', '"GET /orders/${id}", expect: {status: 200, contract: false}}')
    text = text.replace("expect: {status: 204}", "expect: {status: 204, contract: false}")
    assert undescribed(described(tmp_path, text), made(renamed)) is None


def test_each_part_of_a_description_is_named(tmp_path: Path) -> None:
    found = list(uncompared_parts(described(tmp_path), made({"/orders": ("get", "post")})))
    begins = [one.partition(" is none")[0].replace("not compared with the contract: ", "") for one in found]
    assert begins == [
        "health, health: GET /up",
        "journey see that it is up, up: GET /up",
        "journey order, read: GET /orders/${id}",
        "journey order, cancel: DELETE /orders/${id}",
    ]


@pytest.mark.parametrize("project", ["suites", "examples/httpbin/suites"])
def test_every_request_of_a_shipped_description_is_compared(project: str) -> None:
    file = ROOT / project / "service.yaml"
    service = load_service(file, file.name)
    contract = Contract.load(file.parent / (service.contract or ""))
    assert undescribed(service, contract) is None
    assert list(uncompared_parts(service, contract)) == []


CHECKS = """
checks:
  - name: a page
    request: GET /orders/?limit=1
    expect: {status: 200}
  - name: another page
    request: GET /pages
    expect: {status: 200, contract: false}
"""


def test_a_check_warns_of_a_request_that_the_contract_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "pages.yaml").write_text(CHECKS, encoding="utf-8")
    checks = load(tmp_path / "pages.yaml", "suites/endpoints/pages.yaml")
    warned: list[str] = []
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(base_url="http://h", transport=transport) as client:
        for check in checks:
            asker = Asker(client, made(), warn=warned.append)
            client.event_hooks = {"response": [lambda response: setattr(response, "elapsed", timedelta())]}
            asker.play(check, check.cases[0], Values(None, "marker"))
    text = f"not compared with the contract: GET /orders/ is none of its operations; nearest: GET /orders; {HOW}"
    assert warned == [text]
    assert list(uncompared_checks(checks, made())) == [f"suites/endpoints/pages.yaml:3: {text}"]


class Counted(tuple[Any, ...]):
    """Counts how often it is read as a whole."""

    read = 0

    def __iter__(self) -> Iterator[Any]:
        self.read += 1
        return super().__iter__()


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [("GET", "/ups", "; nearest: GET /up"), ("POST", "/api/orders", "; nearest: POST /orders")],
)
def test_the_nearest_operation_is_searched_once_for_each_request(method: str, path: str, hint: str) -> None:
    """A gate sends such a request hundreds of times, and with 300 operations the search took 12 ms."""
    contract = made()
    contract.operations = counted = Counted(contract.operations)
    assert nearest(contract, method, path) == hint
    once = counted.read
    assert {nearest(contract, method, path) for _ in range(100)} == {hint}
    assert {nearest(contract.at("http://h/v1"), method, path) for _ in range(100)} == {hint}
    assert (once > 0, counted.read) == (True, once)
    assert nearest(contract, "DELETE", "/orders/") == "; nearest: DELETE /orders/{id}"

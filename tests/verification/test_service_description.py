"""``suites/service.yaml``: the shipped description, and a message with line and hint for each kind of mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from verification.declarative.check_schema import SCHEMA_FILE as CHECKS_FILE
from verification.declarative.service import SCHEMA_FILE, InvalidService, load_service
from verification.journeys.model import Service

ROOT = Path(__file__).resolve().parents[2]
GOOD = """\
service: shop
health:
  request: GET /up
  version: none
dependencies: none
sessions:
  customer: {kind: basic}
journeys:
  buy:
    as: customer
    live: true
    steps:
      - {name: order, request: {method: POST, path: /orders, json: {tag: "${marker}"}}, expect: {status: 201}, capture: {id: $.id}}
      - {name: read, request: "GET /orders/${id}", private: true}
    undo:
      - {name: cancel, request: "DELETE /orders/${id}", expect: {status: 204}}
"""
SWEEP = 'sweep: {request: GET /orders, items: $.items, where: {tag: "${marker}"}, capture: {id: $.id}}\n    '


def described(tmp_path: Path, text: str) -> Service:
    path = tmp_path / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_service(path, "suites/service.yaml")


def test_the_shipped_description() -> None:
    service = load_service(ROOT / "suites" / "service.yaml", "suites/service.yaml")
    assert [journey.name for journey in service.journeys] == [
        "see that it is up",
        "look at the consults",
        "book a consult",
    ]
    assert [step.operation for step in service.journeys[2].undo] == ["cancelConsult", "readConsult"]
    again = Service.from_json(json.loads(json.dumps(service.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(service.to_json())
    assert again.journeys[2].steps == service.journeys[2].steps


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def test_a_small_description(tmp_path: Path) -> None:
    service = described(tmp_path, GOOD)
    assert (service.repository, service.health.version, dict(service.dependencies)) == (
        "shop",
        None,
        {"database": None, "redis": None},
    )
    assert [step.operation for step in service.journeys[0].steps] == ["POST /orders", "GET /orders/${id}"]
    assert service.signed_in is service.sessions["customer"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("journeys:", "journies:", "suites/service.yaml:8:1: unknown key 'journies'; did you mean 'journeys'?"),
        (
            "    live: true",
            "    lives: true",
            "suites/service.yaml:11:5: unknown key 'lives' in journeys.buy; did you mean 'live'?",
        ),
        ("service: shop\n", "", "suites/service.yaml:1:1: 'service' is missing"),
        (
            "as: customer",
            "as: costumer",
            "suites/service.yaml:10:5: there is no session 'costumer'; did you mean 'customer'?",
        ),
        (
            "GET /orders/${id}",
            "GET /orders/${idd}",
            "${idd} has no value here; captured before: id; did you mean 'id'?",
        ),
        (
            "DELETE /orders/${id}",
            "DELETE /orders/{id}",
            "'{id}' in a path is not a placeholder; write ${name}",
        ),
        ("capture: {id: $.id}", "capture: {id: .id}", "'.id' does not say where the value is"),
        (
            "{kind: basic}",
            "{kind: basics}",
            "expected one of none, basic, api-key, bearer, cookie, oauth2-client-credentials, cognito; did you mean 'basic'?",
        ),
        ("{kind: basic}", "{kind: bearer}", "a session of kind bearer needs sign_in"),
        ("dependencies: none", "dependencies: {database: none}", "'redis' is missing in dependencies"),
        ("dependencies: none", "dependencies: nothing", "expected 'none', or an object"),
        ("request: GET /up", "request: /up", "expected a method and a path, as in 'GET /health'"),
        ("request: GET /up", "request: 'GET /up/${account.email}'", "${account.email} needs a session"),
        ("${marker}", "${account.name}", "${account.name} is unknown"),
        ("status: 201}", "status: 201, body: {}}", "{} accepts every object"),
        ("status: 201}", "status: 201, body: {a: {matches: '('}}}", "is not a regular expression"),
        ("{name: read,", "{name: order,", "two steps are named 'order'"),
        ("version: none", "version: {heading: X}", "unknown key 'heading'"),
        ("service: shop", "service: shop\ncontract: none.yaml", "the contract none.yaml cannot be used: No such file"),
        ("service: shop", "service: shop\nservice: shop", "key 'service'"),
        ("version: none", "version: $version", "'$version' does not say where the version is"),
        ("    as: customer\n", "", "private needs a session"),
        ("status: 204}}", "status: 204}, private: true}", "private has no effect in undo"),
        ("{kind: basic}", "{kind: basic, header: X-Key}", "header belongs to a session of kind api-key"),
        ("{kind: basic}", "{kind: none, sign_out: {request: GET /bye}}", "sign_out belongs to a session of kind basic"),
        ("{kind: basic}", "{kind: basic, token: {format: jwt}}", "token belongs to a session of kind api-key"),
        ("{kind: basic}", "{kind: basic, username: '${acount.email}'}", "${acount.email} has no value here"),
        ("{kind: basic}", "{kind: basic, username: '${account.email'}", "'${account.email' is not a placeholder"),
        ("{kind: basic}", "{kind: api-key, key: '${env.A KEY}'}", "${env.A KEY} has no value here"),
        (
            "undo:",
            f"{SWEEP.replace('id: $.id', 'idd: $.id')}undo:",
            "undo does not use the value 'idd'; did you mean 'id'?",
        ),
        ("undo:", f"{SWEEP.replace('id: $.id', 'idd: $.id')}undo:", "sweep must capture 'id', which undo uses"),
        ("undo:", f"{SWEEP.replace('$.items', 'header X-Items')}undo:", "'header X-Items' is not a place in the body"),
        ("dependencies: none", "dependencies: none\nprivate_fields: [tagg]", "did you mean 'tag'?"),
    ],
)
def test_a_mistake_names_line_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(InvalidService) as caught:
        described(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value)
    assert str(caught.value).startswith("suites/service.yaml:")


def test_a_journey_that_writes_on_live_is_undone(tmp_path: Path) -> None:
    with pytest.raises(InvalidService, match="it needs undo"):
        described(tmp_path, GOOD[: GOOD.index("    undo:")])


def test_a_sweep_without_undo(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("    undo:")].replace("live: true", "live: false")
    with pytest.raises(InvalidService, match="sweep has no effect without undo"):
        described(tmp_path, f"{text}    {SWEEP}")


def test_private_fields_that_only_the_contract_knows(tmp_path: Path) -> None:
    """A name that no field nearly has is accepted: a service without a contract may answer with any."""
    contract = f"contract: {ROOT / 'suites' / 'contract' / 'telehealth.openapi.yaml'}"
    for names in ("patient", "surname", "patients, patient"):
        service = described(tmp_path, f"{GOOD}private_fields: [{names}]\n{contract}\n")
        assert list(service.private_fields) == names.split(", ")
    with pytest.raises(InvalidService, match=r"yaml:17:18: neither .* has a field 'patents'; did you mean 'patient'"):
        described(tmp_path, f"{GOOD}private_fields: [patents]\n{contract}\n")


def test_a_value_that_nothing_uses(tmp_path: Path) -> None:
    with pytest.raises(InvalidService, match="nothing uses the captured value 'id'"):
        described(tmp_path, GOOD.replace("/${id}", "/1"))


def test_requests_and_expectations_have_the_words_of_checks() -> None:
    service, checks = (json.loads(file.read_text(encoding="utf-8"))["$defs"] for file in (SCHEMA_FILE, CHECKS_FILE))
    assert {name: service[name] for name in ("request", "scalar", "part", "status", "header")} == {
        name: checks[name] for name in ("request", "scalar", "part", "status", "header")
    }
    own, other = service["expect"]["properties"], checks["expect"]["properties"]
    assert other.keys() - own.keys() == {"schema", "within_ms"}
    assert {name: own[name] for name in own if name != "status"} == {
        name: other[name] for name in own if name != "status"
    }


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("{method: PUT, path: /scan, file: scan.png}", "suites/service.yaml:3:3: file scan.png does not exist"),
        ("{method: PUT, path: /scan, form: {a: 1}, json: 2}", "a request has json or form, not both"),
        ("{method: GTE, path: /up}", "expected one of"),
        ("{method: GET, path: '/up?a=1', query: {b: 2}}", "the path has a query already"),
    ],
)
def test_requests_have_the_rules_of_checks(tmp_path: Path, request_: str, message: str) -> None:
    with pytest.raises(InvalidService) as caught:
        described(tmp_path, GOOD.replace("GET /up", request_, 1))
    assert message in str(caught.value)

"""The words of YAML checks: steps, until, bodies, operators, JSONPath, CSV files, variables, and the mistakes with each."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.judge import Asker, CheckFailed, differences
from verification.declarative.source import InvalidChecks
from verification.http.pool import Turn
from verification.journeys.placeholders import Values

FILE = "suites/orders/orders.yaml"


def loaded(tmp_path: Path, text: str) -> DeclaredCheck:
    folder = tmp_path / "suites" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders.yaml").write_text(text)
    (check,) = load(folder / "orders.yaml", FILE)
    return check


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(InvalidChecks) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def one(request: str = "GET /orders", expect: str = "{status: 200}", more: str = "") -> str:
    return f"checks:\n  - name: an order\n    request: {request}\n    expect: {expect}\n{more}"


class World:
    """Answers requests with a function, remembers them, and has a clock that only a pause moves."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.seen: list[httpx.Request] = []
        self.time = 0.0
        self._answer = answer

    def _send(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        response = self._answer(request)
        response.elapsed = timedelta(milliseconds=1)
        return response

    def _pause(self, seconds: float) -> None:
        self.time += seconds

    def play(self, check: DeclaredCheck, account: dict[str, str] | None = None) -> list[httpx.Response]:
        """Play each case of the check; return the answers of the last one."""
        answers: list[httpx.Response] = []
        with httpx.Client(base_url="http://api.example", transport=httpx.MockTransport(self._send)) as client:
            asker = Asker(client, turn=Turn(now=lambda: self.time, sleep=self._pause))
            for case in check.cases:
                answers = asker.play(check, case, Values(account, "run-1"))
        return answers

    def fails(self, check: DeclaredCheck) -> str:
        with pytest.raises(CheckFailed) as caught:
            self.play(check)
        return str(caught.value)


def always(status: int = 200, value: Any = None, **headers: str) -> World:
    return World(lambda _: httpx.Response(status, json=value, headers=headers))


# -- steps ------------------------------------------------------------------------------------------------------------------

STEPS = """
checks:
  - name: an order is read
    parameters: [{id: three, size: 3}]
    steps:
      - name: order
        request: {method: POST, path: /orders, json: {size: "${size}", tag: "${marker}"}}
        expect: {status: 201}
        capture: {id: $.id, place: header Location}
      - {name: read, request: "GET ${place}", expect: {status: 200, body: {id: "${id}", size: "${size}"}}}
      - {name: list, request: GET /orders, expect: {status: 200, body: {items: {contains: {id: "${id}"}}}}}
    undo:
      - {name: cancel, request: "DELETE /orders/${id}", expect: {status: 204}}
"""


def shop(request: httpx.Request, broken: str = "") -> httpx.Response:
    if request.url.path == broken:
        return httpx.Response(500)
    if request.method == "POST":
        return httpx.Response(201, json={"id": 7}, headers={"Location": "http://other.example/orders/7"})
    if request.method == "DELETE":
        return httpx.Response(204)
    order = {"id": 7, "size": 3}
    return httpx.Response(200, json={"items": [order]} if request.url.path == "/orders" else order)


def test_steps_use_captured_values(tmp_path: Path) -> None:
    world = World(shop)
    assert len(world.play(loaded(tmp_path, STEPS))) == 3
    assert [(one.method, str(one.url)) for one in world.seen] == [
        ("POST", "http://api.example/orders"),
        ("GET", "http://api.example/orders/7"),
        ("GET", "http://api.example/orders"),
        ("DELETE", "http://api.example/orders/7"),
    ]
    assert json.loads(world.seen[0].content) == {"size": 3, "tag": "run-1"}


def test_a_failed_step_ends_the_check_but_is_undone(tmp_path: Path) -> None:
    world = World(lambda request: shop(request, broken="/orders/7" if request.method == "GET" else ""))
    message = world.fails(loaded(tmp_path, STEPS))
    assert message.splitlines()[0] == f"{FILE}:10: step 'read': GET /orders/7: status 500, expected 200"
    assert "not asked: list" in message
    assert [one.method for one in world.seen] == ["POST", "GET", "DELETE"]


def test_nothing_is_undone_if_nothing_was_captured(tmp_path: Path) -> None:
    world = World(lambda request: shop(request, broken="/orders"))
    assert "step 'order'" in world.fails(loaded(tmp_path, STEPS))
    assert len(world.seen) == 1


def test_a_value_that_cannot_be_captured(tmp_path: Path) -> None:
    message = always(201).fails(loaded(tmp_path, STEPS))
    assert "step 'order': POST /orders: the body has no $.id" in message.replace(
        "the body is not JSON", "the body has no $.id"
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("GET ${place}", "GET /orders/1", 9, "nothing uses the captured value 'place'"),
        (
            "$.id, place",
            "$.id, plaec",
            10,
            "${place} has no value in request of step 'read' of check 'an order is read'; did you mean 'plaec'?",
        ),
        ("{id: $.id,", "{id: id,", 9, "'id' is not a place in an answer"),
        ("{id: $.id,", "{size: $.id,", 9, "'size' cannot be captured"),
        ("name: list", "name: read", 5, "several steps are named 'read'"),
        ("    undo:", "    request: GET /orders\n    undo:", 12, "a check has request or steps, not both"),
        ("GET /orders, expect", "'GET /orders/{id}', expect", 11, "'{id}' in a path is not a placeholder"),
        ("- {name: read, request", "- {name: read, requst", 10, "unknown key 'requst'"),
        ("POST, path: /orders", "POST, path: '/orders/${id}'", 7, "${id} has no value"),
    ],
)
def test_mistakes_in_steps(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in STEPS
    message = refusal(tmp_path, STEPS.replace(old, new, 1))
    assert words in message, message
    assert any(one.startswith(f"{FILE}:{line}:") and words in one for one in message.splitlines()), message


@pytest.mark.parametrize("how", [KeyboardInterrupt, pytest.fail.Exception])
def test_undo_steps_are_sent_if_a_signal_or_a_verdict_ends_the_check(tmp_path: Path, how: type[BaseException]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise how("the check ends here")
        return shop(request)

    world = World(answer)
    with pytest.raises(how, match="the check ends here"):
        world.play(loaded(tmp_path, STEPS))
    assert [request.method for request in world.seen] == ["POST", "GET", "DELETE"]


# -- until ------------------------------------------------------------------------------------------------------------------

UNTIL = "    until: {within: 10s, every: 2s}\n"


def test_a_request_is_repeated_until_its_answer_is_as_expected(tmp_path: Path) -> None:
    check = loaded(tmp_path, one(expect="{status: 200, body: {state: done}}", more=UNTIL))
    world = World(lambda _: httpx.Response(200, json={"state": "done" if world.time >= 6 else "open"}))
    world.play(check)
    assert (len(world.seen), world.time) == (4, 6)


def test_the_deadline_ends_the_repetition(tmp_path: Path) -> None:
    world = always(200, {"state": "open"})
    message = world.fails(loaded(tmp_path, one(expect="{status: 200, body: {state: done}}", more=UNTIL)))
    assert '$.state is "open", expected "done", 6 times in 10 s' in message
    assert (len(world.seen), world.time) == (6, 10)


def test_no_answer_is_not_waited_for(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone", request=request)

    world = World(answer)
    assert "no answer (ReadError: gone)" in world.fails(loaded(tmp_path, one(more=UNTIL)))
    assert len(world.seen) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (one("POST /orders", more=UNTIL), "POST is not repeated, because it changes something"),
        (one(more="    until: {within: 10}\n"), "expected a duration such as 500ms, 10s or 2m; write 10s for seconds"),
        (one(more="    until: {within: 10 s}\n"), "expected a duration such as 500ms, 10s or 2m"),
        (one(more="    until: {within: 0s}\n"), "expected a duration such as"),
        (one(more="    until: {within: 11m}\n"), "the longest time is 10m"),
        (one(more="    until: {within: 1s, every: 1s}\n"), "the pause must be shorter"),
        (one(more="    until: {every: 1s}\n"), "'within' is missing"),
    ],
)
def test_mistakes_in_until(tmp_path: Path, text: str, words: str) -> None:
    message = refusal(tmp_path, text)
    assert words in message
    assert message.startswith((f"{FILE}:5:", f"{FILE}:3:")), message


# -- bodies of requests ------------------------------------------------------------------------------------------------------


def sent(tmp_path: Path, request: str, more: str = "") -> httpx.Request:
    world = always()
    world.play(loaded(tmp_path, one(request, more=more)))
    world.seen[-1].read()
    return world.seen[-1]


def test_a_form(tmp_path: Path) -> None:
    request = sent(
        tmp_path,
        '{method: POST, path: /o, form: {a: "x & y", b: 2, c: true, d: "${n}"}}',
        "    parameters: [{n: 0.5}]\n",
    )
    assert (request.content, request.headers["content-type"]) == (
        b"a=x+%26+y&b=2&c=true&d=0.5",
        "application/x-www-form-urlencoded",
    )


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "suites" / "data").mkdir(parents=True)
    (tmp_path / "suites" / "data" / "scan.bin").write_bytes(b"\x00\xff")
    request = sent(tmp_path, "{method: PUT, path: /o, file: ../data/scan.bin}")
    assert (request.content, request.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")
    request = sent(tmp_path, "{method: PUT, path: /o, file: ../data/scan.bin, headers: {content-type: image/png}}")
    assert request.headers.get_list("content-type") == ["image/png"]


def test_a_multipart_form(tmp_path: Path) -> None:
    (tmp_path / "suites" / "orders").mkdir(parents=True)
    (tmp_path / "suites" / "orders" / "scan.png").write_bytes(b"\x89PNG")
    request = sent(
        tmp_path,
        '{method: POST, path: /o, multipart: {title: "A ${n}", scan: {file: scan.png, name: a.png, content_type: image/png}}}',
        "    parameters: [{n: 1}]\n",
    )
    kind, _, boundary = request.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    assert request.content.decode("latin-1").split(f"--{boundary}")[1:-1] == [
        '\r\nContent-Disposition: form-data; name="title"\r\n\r\nA 1\r\n',
        '\r\nContent-Disposition: form-data; name="scan"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n',
    ]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            "{method: PUT, path: /o, file: scan.png}",
            "file scan.png does not exist in request of check 'an order'; the path is relative",
        ),
        ("{method: PUT, path: /o, file: ../../secret}", "../../secret lies outside of suites/"),
        ("{method: PUT, path: /o, file: /etc/passwd}", "/etc/passwd lies outside of suites/"),
        ("{method: PUT, path: /o, file: link}", "link lies outside of suites/"),
        ("{method: PUT, path: /o, file: ..}", ".. is a folder"),
        ("{method: POST, path: /o, form: {a: 1}, json: 2}", "a request has json or form, not both"),
        ("{method: POST, path: /o, multipart: {a: {fil: x}}}", "unknown key 'fil'"),
        ("{method: POST, path: /o, multipart: {a: {file: x, content_type: png}}}", "is not allowed"),
    ],
)
def test_mistakes_in_bodies(tmp_path: Path, request_: str, words: str) -> None:
    (tmp_path / "suites" / "orders").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "suites" / "orders" / "link").symlink_to(tmp_path / "secret")
    message = refusal(tmp_path, one(request_))
    assert message.startswith(f"{FILE}:3:"), message
    assert words in message


# -- expectations ------------------------------------------------------------------------------------------------------------

ITEMS = {"items": [{"id": "a-1", "n": 1}, {"id": "a-2", "n": 2}], "total": 2, "token": "canary-1"}
ITEMS |= {"at": "2026-03-01T10:00:00.25Z", "day": "2026-03-01", "text": "later"}


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ('json: {"$.items[0].id": {type: string}}', ""),
        ('json: {"$.items[*].id": {matches: ^a-}, "$.total": 2}', ""),
        ('json: {"$.items[?@.n > 1].id": a-2}', ""),
        ('json: {"$.items[*].gone": {absent: true}}', ""),
        ('json: {"$.items[*].n": {less: 2}}', "$['items'][1]['n'] is 2, expected less 2"),
        ('json: {"$.items[*].i": {type: string}}', '$.items[*].i is missing, expected type "string"'),
        ('json: {"$.items[0].id": {absent: true}}', "is there, expected it not to be there"),
        ('json: {"$.token": x}', "$['token'] is not what was expected (hidden)"),
        ("body: {items: {length: 2}, total: {greater: 1}}", ""),
        ("body: {items: {contains: {id: a-3}}}", '$.items is an array of 2, expected contains {"id": "a-3"}'),
        ("body: {token: {matches: ^x}}", "$.token is not what was expected (hidden)"),
        ("body: {totl: {type: integer}}", "$.totl is missing, expected type \"integer\"; did you mean 'total'?"),
        ("body: {total: {equals: {a: 1}}}", '$.total is 2, expected equals {"a": 1}'),
        ('body: {at: {less: "${now}"}}', ""),
        ('body: {at: {greater: "2026-03-01T11:00:00.1+01:00"}, day: {greater: 2026-02-28}}', ""),
        ("body: {at: {less: 2026-03-01T10:00:00Z}}", 'expected less "2026-03-01T10:00:00Z"'),
        ('body: {at: {greater: "${now-1h}"}}', "$.at is "),
        ("body: {day: {less: 2026-03-01}}", 'expected less "2026-03-01"'),
        ("body: {day: {less: 2026-03-02T00:00:00Z}}", "$.day is "),
        ('body: {text: {greater: "2026-03-01T10:00:00Z"}}', "$.text is "),
        ("body: {at: {greater: 1}}", "$.at is "),
    ],
)
def test_operators_and_json_paths(tmp_path: Path, expect: str, problem: str) -> None:
    check = loaded(tmp_path, one(expect=f"{{status: 200, {expect}}}"))
    world = always(200, ITEMS)
    if problem:
        message = world.fails(check)
        assert problem in message
        assert "canary" not in message
    else:
        world.play(check)


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("json: {items: 1}", "'items' is not a JSONPath"),
        ('json: {"$.items[": 1}', "is not a JSONPath"),
        ("json: {}", "must not be empty"),
        ('json: {"$.a": {}}', "{} accepts every object"),
        ("body: {a: {matches: '('}}", "'(' is not a regular expression"),
        ("body: {a: {matches: ''}}", "expected a regular expression"),
        ("body: {a: {type: str}}", "\"str\" is not a type in expect of check 'an order'; expected array"),
        ("body: {a: {length: -1}}", "expected a whole number"),
        ("body: {a: {length: two}}", "expected a whole number"),
        ("body: {a: {greater: x}}", 'greater has "x"'),
        ("body: {a: {less: 2026-03-01T10:00:00}}", "expected a number, a time such as ${now-1h}, or a date"),
        ("body: {a: {less: 2026-13-01}}", "expected a number, a time"),
        ("body: {a: {absent: maybe}}", "expected true"),
        ("body: {a: {contains: ''}}", "every text contains an empty one"),
        ("body: {a: {contains: {}}}", "{} accepts every object"),
        ("body: {a: {greater: 1, less: 3}}", "greater and less stand in one object"),
    ],
)
def test_mistakes_in_expectations(tmp_path: Path, expect: str, words: str) -> None:
    message = refusal(tmp_path, one(expect=f"{{status: 200, {expect}}}"))
    assert message.startswith(f"{FILE}:4:"), message
    assert words in message


# -- parameters of a CSV file, variables ---------------------------------------------------------------------------------------

FROM_CSV = "    parameters: {csv: sizes.csv, types: {size: integer}}\n"
SIZED = one('{method: POST, path: /o, json: {size: "${size}", name: "${name}"}}', more=FROM_CSV)


def csv(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "suites" / "orders" / "sizes.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_row_of_a_csv_file_is_a_case(tmp_path: Path) -> None:
    path = csv(tmp_path, '\ufeffid,size,name\nsmall,1,010\nlarge,20,"a, ""b""\nc"\n')
    world = always()
    check = loaded(tmp_path, SIZED)
    world.play(check)
    assert [case.id for case in check.cases] == ["small", "large"]
    assert [json.loads(one.content) for one in world.seen] == [
        {"size": 1, "name": "010"},
        {"size": 20, "name": 'a, "b"\nc'},
    ]
    path.write_text("size,name\n1,a\n2,b\n3,c\n")
    assert len(loaded(tmp_path, SIZED).cases) == 3  # the file of checks is the same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size,name\n", "sizes.csv has no row"),
        ("", "sizes.csv has no row"),
        ("size,name\n1\n", "sizes.csv:2: the row has 1 cells, expected 2"),
        ("size,name\n1,a\nx,b\n", "sizes.csv:3: size: 'x' is not of type integer"),
        ("size,name\n1.5,a\n", "'1.5' is not of type integer"),
        ("size,my name\n1,a\n", "sizes.csv:1: 'my name' is not a name"),
        ("size,size\n1,a\n", "two columns are named 'size'"),
        ("sise,name\n1,a\n", "types names the column 'size', which is missing"),
        ("size,name,more\n1,a,b\n", "nothing uses the parameter 'more'"),
        ("size,nam\n1,a\n", "${name} has no value in request of check 'an order'; did you mean 'nam'?"),
        ('size,name\n1,"a\n', "sizes.csv:2: this is not CSV"),
        (b"size,name\n1,\xff\n", "sizes.csv:2: the file is not UTF-8"),
    ],
)
def test_mistakes_in_a_csv_file(tmp_path: Path, text: str | bytes, words: str) -> None:
    csv(tmp_path, text)
    message = refusal(tmp_path, SIZED)
    assert message.startswith(FILE)
    assert words in message


def test_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "eu")
    monkeypatch.setenv("API_KEY", "canary-secret")
    check = loaded(tmp_path, one('{method: GET, path: "/o/${env.REGION}", headers: {X-Key: "${secret.API_KEY}"}}'))
    world = always()
    world.play(check)
    assert check.variables == ("env.REGION", "secret.API_KEY")
    assert (world.seen[0].url.path, world.seen[0].headers["x-key"]) == ("/o/eu", "canary-secret")


@pytest.mark.parametrize("name", ["secrets.KEY", "env.MY-KEY", "secret.", "env", "ENV.KEY"])
def test_names_that_are_no_variables(tmp_path: Path, name: str) -> None:
    assert f"${{{name}}}" in refusal(tmp_path, one(f"GET /o/${{{name}}}"))


def test_fields_of_the_account_need_a_session(tmp_path: Path) -> None:
    text = one('{method: POST, path: /o, json: {mail: "${account.email}"}}')
    assert "${account.email} has no value" in refusal(tmp_path, text)
    world = always()
    world.play(loaded(tmp_path, text + "    signed_in: true\n"), {"email": "a@b.example"})
    assert json.loads(world.seen[0].content) == {"mail": "a@b.example"}
    assert "${account.mail} has no value" in refusal(
        tmp_path, text.replace("account.email", "account.mail") + "    as: user\n"
    )


# -- both colours ------------------------------------------------------------------------------------------------------------

BOTH = '    on: both\n    differ: [$.version, "$.items[*].at"]\n'


@pytest.mark.parametrize(
    ("candidate", "live", "problem"),
    [
        ({"version": "2", "items": [{"at": 1, "n": 1}]}, {"version": "1", "items": [{"at": 2, "n": 1}]}, ""),
        ({"version": "2", "items": [{"at": 1, "n": 1}]}, {"version": "1", "items": [{"at": 2, "n": 2}]},
         "$.items[0].n is 1 on the candidate, 2 on live"),
        ({"version": "2", "items": [{"at": 1}], "new": 1}, {"version": "1", "items": [{"at": 2}]}, "$.new is only on the candidate"),
        ({"items": [{"at": 1}]}, {"items": [{"at": 2}]}, "differ names $.version, which neither answer has"),
        ({"version": "2", "items": [{"at": 1}], "token": "canary-1"}, {"version": "1", "items": [{"at": 1}], "token": "canary-2"},
         "$.token (hidden)"),
    ],
)  # fmt: skip
def test_both_colours_agree(tmp_path: Path, candidate: Any, live: Any, problem: str) -> None:
    check = loaded(tmp_path, one(more=BOTH))
    found = list(differences(check, always(200, candidate).play(check), always(200, live).play(check)))
    assert [problem in one for one in found] == ([True] if problem else []), found
    assert "canary" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (one(more="    on: all\n"), "expected one of (candidate, live, both, each)"),
        (one(more="    differ: [$.a]\n"), "differ has no effect without on: both"),
        (one(more="    on: both\n    differ: [a]\n"), "'a' is not a JSONPath"),
        (STEPS.replace("    steps:", "    on: both\n    steps:"), "on: both is for one request"),
        (one(more="    as: user\n    signed_in: true\n"), "a check has signed_in or as, not both"),
        (
            one(more="    undo: [{name: a, request: GET /a, expect: {status: 200}}]\n"),
            "undo belongs to a check with steps",
        ),
    ],
)
def test_mistakes_about_colours_and_sessions(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)

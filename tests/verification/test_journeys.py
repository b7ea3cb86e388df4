"""Journeys: placeholders, expectations, captures, and which request of a journey comes next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from verification.journeys.expectations import NotCaptured, body_problems, find, is_query, problems, version_of
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Expectation, Health, Journey, Request, Session, Step, Sweep
from verification.journeys.placeholders import UnknownPlaceholder, Values, is_builtin, names_in
from verification.journeys.player import Play, prepare
from verification.journeys.sessions import NotSignedIn, credentials, sign_in_request, without_request

ACCOUNT = {"email": "a@b.example", "password": "p w"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: httpx.Headers = field(default_factory=httpx.Headers)


def answer(status: int, value: Any = None, **headers: str) -> Answer:
    return Answer(status, b"" if value is None else json.dumps(value).encode(), httpx.Headers(headers))


def step(name: str, request: Request, status: int, capture: Mapping[str, str] | None = None) -> Step:
    return Step(name, str(request), request, Expectation((status,)), capture or {})


JOURNEY = Journey(
    "write",
    (
        step("create", Request("POST", "/things", body_kind="json", body={"tag": "${marker}"}), 201, {"id": "$.id"}),
        step("read", Request("GET", "/things/${id}"), 200),
        step("list", Request("GET", "/things"), 200),
    ),
    (step("delete", Request("DELETE", "/things/${id}"), 204), step("gone", Request("GET", "/things/${id}"), 404)),
)


def play(journey: Journey = JOURNEY) -> Play:
    return Play(journey, Values(ACCOUNT, "run-1"))


def go(played: Play, *answers: Answer | None) -> list[tuple[str, str | None]]:
    """Answer each next request in turn; return its step's name and the problem."""
    seen = []
    for one in answers:
        prepared = played.prepare({})
        seen.append((prepared.step.name, played.learn(prepared, one)))
    return seen


# -- placeholders -----------------------------------------------------------------------------------------------------------


def test_placeholders_keep_the_type_of_a_value() -> None:
    values = Values(ACCOUNT, "run-1", {"id": 7})
    assert values.fill({"a": "${id}", "b": ["no ${id} of ${marker}"], "c": True}) == {
        "a": 7,
        "b": ["no 7 of run-1"],
        "c": True,
    }
    assert values.fill("${account.email}") == "a@b.example"


def test_a_unique_text_of_letters_and_digits() -> None:
    """For names that allow no hyphen; it is the same UUID in every step of one run."""
    one, other = Values(None, "m"), Values(None, "m")
    assert one.fill("a${uuid.hex}") == f"a{one.value('uuid').replace('-', '')}"
    assert one.value("uuid.hex").isalnum()
    assert one.value("uuid.hex") != other.value("uuid.hex")


def test_times_are_utc() -> None:
    now, later = Values(None, "m").fill(["${now}", "${now+30d}"])
    assert now.endswith("Z")
    assert later > now


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("now+999999d", True),
        ("now-700000d", True),
        ("now+3000000d", False),
        ("now-800000d", False),
        ("now+1" + "0" * 30 + "s", False),
    ],
)
def test_a_time_that_python_cannot_write_has_no_value(name: str, known: bool) -> None:
    assert is_builtin(name) is known
    if known:
        assert Values(None, "m").value(name).endswith("Z")
    else:
        with pytest.raises(UnknownPlaceholder):
            Values(None, "m").value(name)


def test_an_unknown_placeholder_is_an_error() -> None:
    with pytest.raises(UnknownPlaceholder, match="id"):
        Values(ACCOUNT, "m").fill("/things/${id}")
    assert names_in({"${a}": ["${b}", {"c": "${account.email}"}]}) == {"a", "b", "account.email"}


# -- expectations -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ({"a": 1}, {"a": 1, "more": 2}),
        ({"a": 1}, {"a": 1.0}),
        ([1, {"b": 2}], [1, {"b": 2, "c": 3}]),
        ({"items": {"contains": {"id": 7}}}, {"items": [{"id": 6}, {"id": 7, "x": 1}]}),
        ({"text": {"contains": "ell"}}, {"text": "hello"}),
        ({"text": {"matches": "^h.*o$"}}, {"text": "hello"}),
        ({"n": {"type": "integer"}}, {"n": 3}),
        ({"n": {"greater": 2}}, {"n": 2.5}),
        ({"n": {"less": 2}}, {"n": -1}),
        ({"l": {"length": 2}}, {"l": [1, 2]}),
        ({"gone": {"absent": True}}, {}),
        ({"object": {"equals": {"type": "x"}}}, {"object": {"type": "x"}}),
    ],
)
def test_a_body_as_expected(wanted: Any, got: Any) -> None:
    assert list(body_problems(wanted, got)) == []


@pytest.mark.parametrize(
    ("wanted", "got", "problem"),
    [
        ({"a": 1}, {}, "$.a is missing, expected 1"),
        ({"a": 1}, {"a": True}, "$.a is true, expected 1"),
        ({"a": True}, {"a": 1}, "$.a is 1, expected true"),
        ({"a": None}, {}, "$.a is missing, expected null"),
        ([1], [1, 2], "$ has 2 elements, expected 1"),
        (
            {"items": {"contains": {"id": 7}}},
            {"items": [{"id": 6}]},
            '$.items is an array of 1, expected contains {"id": 7}',
        ),
        ({"items": {"contains": {"id": 7}}}, {}, '$.items is missing, expected contains {"id": 7}'),
        ({"n": {"type": "integer"}}, {"n": True}, '$.n is true, expected type "integer"'),
        ({"n": {"greater": 2}}, {"n": "3"}, '$.n is "3", expected greater 2'),
        ({"gone": {"absent": True}}, {"gone": None}, "$.gone is there, expected it not to be there"),
        (
            {"object": {"equals": {"a": 1}}},
            {"object": {"a": 1, "b": 2}},
            '$.object is an object with a, b, expected equals {"a": 1}',
        ),
        ({"password": "x"}, {"password": "canary"}, "$.password is not what was expected (hidden)"),
        ({"a": {"b": 1}}, {"a": 5}, '$.a is 5, expected {"b": 1}'),
    ],
)
def test_a_body_not_as_expected(wanted: Any, got: Any, problem: str) -> None:
    assert list(body_problems(wanted, got)) == [problem]


def test_where_a_value_is() -> None:
    found = answer(200, {"items": [{"the id": "x"}]}, Location="/things/1")
    assert find("$.items[0]['the id']", found) == "x"
    assert find("header Location", found) == "/things/1"
    for query in ("$.items[1].id", "$.other", "header X-None"):
        with pytest.raises(NotCaptured):
            find(query, found)
    assert [is_query(one) for one in ("$.a", "$", "$.a[0]['b c']", "header X-A", "$..a", "a", "$.a[*]", "header")] == [
        True, True, True, True, False, False, False, False,
    ]  # fmt: skip


# -- plays ------------------------------------------------------------------------------------------------------------------


def test_a_journey_is_played_and_undone() -> None:
    played = play()
    made = go(played, answer(201, {"id": "7"}), answer(200, {}), answer(200, {}), answer(204), answer(404))
    assert made == [("create", None), ("read", None), ("list", None), ("delete", None), ("gone", None)]
    assert (played.finished, played.failed, played.left_something) == (True, False, False)


def test_after_a_failure_no_step_is_asked_but_undo_is() -> None:
    played = play()
    assert go(played, answer(201, {"id": "7"}), answer(500)) == [
        ("create", None),
        ("read", "status 500, expected 200"),
    ]
    assert (played.failed, played.asked) == (True, 2)
    assert go(played, answer(204), answer(404)) == [("delete", None), ("gone", None)]
    assert played.finished
    assert not played.left_something


def test_nothing_to_undo_without_a_captured_value() -> None:
    played = play()
    assert go(played, answer(201, {"name": "x"})) == [("create", "the body has no $.id")]
    assert played.finished


def test_an_unexpected_answer_to_a_request_that_wrote_is_undone() -> None:
    played = play()
    assert go(played, answer(200, {"id": "7"})) == [("create", "status 200, expected 201")]
    assert (played.failed, played.left_something) == (True, True)
    assert go(played, answer(204), answer(404)) == [("delete", None), ("gone", None)]
    assert not played.left_something


def test_an_answer_that_refuses_gives_nothing_to_undo() -> None:
    played = play()
    assert go(played, answer(409, {"id": "7"})) == [("create", "status 409, expected 201")]
    assert played.finished


def test_a_lost_answer_to_undo_leaves_something() -> None:
    """Whether it is gone is not asked: it is not, and that would count one fault twice."""
    played = play()
    go(played, answer(201, {"id": "7"}), answer(200, {}), answer(200, {}), None)
    assert played.finished
    assert played.left_something
    played.undo_again()
    assert go(played, answer(404), answer(404)) == [("delete", None), ("gone", None)]
    assert not played.left_something


def test_undo_of_a_whole_play_must_find_what_was_written() -> None:
    played = play()
    go(played, answer(201, {"id": "7"}), answer(200, {}), answer(200, {}))
    assert go(played, answer(404)) == [("delete", "status 404, expected 204")]
    assert (played.finished, played.left_something) == (True, False)


NAMED = Journey(
    "put",
    (step("put", Request("PUT", "/files/${marker}"), 201),),
    (
        step("drop", Request("DELETE", "/files/${marker}"), 204),
        step("forget", Request("DELETE", "/tags/${marker}"), 204),
    ),
)


def test_undo_that_needs_no_captured_value() -> None:
    """The run's marker identifies data that a request with a lost answer may have written."""
    for lost in (None, answer(201)):
        played = play(NAMED)
        assert not played.left_something
        go(played, lost)
        assert played.left_something
        go(played, answer(204))
        assert played.left_something, "each undo step removes something of its own"
        assert go(played, answer(204)) == [("forget", None)]
        assert (played.finished, played.left_something) == (True, False)
    refused = play(NAMED)
    assert go(refused, answer(500), answer(404), answer(410)) == [
        ("put", "status 500, expected 201"),
        ("drop", None),
        ("forget", None),
    ]


def test_a_step_can_be_skipped() -> None:
    played = play()
    go(played, answer(201, {"id": "7"}))
    played.skip()
    played.skip()
    assert go(played, answer(204)) == [("delete", None)]
    played.skip()
    assert played.finished
    assert not played.left_something


def test_undo_without_the_steps_that_only_look() -> None:
    tag = step("ask for its version", Request("GET", "/things/${id}"), 200, {"version": "header ETag"})
    journey = Journey("write", JOURNEY.steps, (tag, *JOURNEY.undo)).without_looks()
    assert [one.name for one in journey.undo] == ["ask for its version", "delete"]


def test_what_may_be_played_on_live() -> None:
    reading = JOURNEY.on_live()
    assert reading is not None
    assert [one.name for one in reading.steps] == ["list"]
    assert reading.undo == ()


# -- requests and sessions --------------------------------------------------------------------------------------------------


def test_a_request_is_prepared() -> None:
    request = Request("POST", "/a/${id}?x=1", {"q": "a b", "flag": True}, {"X-A": "${marker}"}, "form", {"k": "${id}"})
    prepared = prepare(step("s", request, 200), Values(None, "m", {"id": "7 8"}), {"Authorization": "Bearer t"})
    assert prepared.path == "/a/7%208?x=1&q=a+b&flag=true"
    assert prepared.body == b"k=7+8"
    assert prepared.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert prepared.headers["Authorization"] == "Bearer t"
    assert "Bearer" not in repr(prepared)


@pytest.mark.parametrize("host", ["other.example", "xn--a", "a:x", "[::1"])
def test_a_captured_address_keeps_its_path(host: str) -> None:
    values = Values(None, "m", {"where": f"http://{host}/things/7?v=1"})
    assert prepare(step("s", Request("GET", "${where}"), 200), values, {}).path == "/things/7?v=1"


SIGN_IN = step("sign in", Request("POST", "/in", body_kind="json", body={"user": "${account.email}"}), 200)


def test_bearer_session() -> None:
    session = Session("user", "bearer", sign_in=SIGN_IN, token="$.token")
    asked = sign_in_request(session, Values(ACCOUNT, "m"))
    assert asked is not None
    assert asked.body == b'{"user": "a@b.example"}'
    assert credentials(session, asked, answer(200, {"token": "t"})).headers == {"Authorization": "Bearer t"}
    for bad in (answer(401, {"token": "t"}), answer(200, {}), answer(200, {"token": 7})):
        with pytest.raises(NotSignedIn):
            credentials(session, asked, bad)


def test_cookie_session() -> None:
    session = Session("user", "cookie", sign_in=SIGN_IN)
    asked = sign_in_request(session, Values(ACCOUNT, "m"))
    assert asked is not None
    found = credentials(session, asked, answer(200, {}, **{"set-cookie": "sid=abc; Path=/; HttpOnly"}))
    assert found.headers == {"Cookie": "sid=abc"}
    assert found.lasts_s == float("inf")
    with pytest.raises(NotSignedIn, match="no cookie"):
        credentials(session, asked, answer(200, {}))


def test_a_cookie_session_has_the_lifetime_in_the_answer() -> None:
    session = Session("user", "cookie", sign_in=SIGN_IN, expires_in="$.expires_in")
    asked = sign_in_request(session, Values(ACCOUNT, "m"))
    assert asked is not None
    found = credentials(session, asked, answer(200, {"expires_in": 900}, **{"set-cookie": "sid=abc"}))
    assert (found.headers, found.lasts_s) == ({"Cookie": "sid=abc"}, 900)


def test_sessions_without_a_request() -> None:
    values = Values(ACCOUNT, "m")
    assert without_request(Session("u", "basic"), values).headers == {"Authorization": "Basic YUBiLmV4YW1wbGU6cCB3"}
    assert without_request(Session("u", "api-key", header="X-Api-Key"), values).headers == {"X-Api-Key": "p w"}
    assert without_request(Session("u", "none"), values).headers == {}


# -- what is shown of an answer, and what cannot break the judge --------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "got", "problem"),
    [
        ({"token": {"type": "integer"}}, {"token": "canary"}, "$.token is not what was expected (hidden)"),
        ({"token": {"matches": "^ey"}}, {"token": "canary"}, "$.token is not what was expected (hidden)"),
        ({"session": {"id": "x"}}, {"session": {"id": "canary"}}, "$.session.id is not what was expected (hidden)"),
        ({"password": "canary"}, {}, "$.password is missing (hidden)"),
        ({"n": {"type": "integer"}}, {"n": 0.5}, '$.n is 0.5, expected type "integer"'),
    ],
)
def test_a_secret_field_is_never_shown(wanted: Any, got: Any, problem: str) -> None:
    assert list(body_problems(wanted, got)) == [problem]


def test_without_quotes_a_problem_has_the_place_only() -> None:
    expect = Expectation((200,), {"X-A": "b", "X-B": {"matches": "c"}}, True, {"id": "7", "n": {"less": 3}, "gone": 1})
    body = answer(200, {"id": "canary", "n": 5}, **{"X-A": "canary"})
    assert list(problems(expect, body, quote=False)) == [
        "header X-A is not as expected",
        "header X-B is missing",
        "$.id is not as expected",
        "$.n is not as expected",
        "$.gone is missing",
    ]
    assert sum("canary" in one for one in problems(expect, body)) == 2


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe\x00", b"{'a': 1}"])
def test_a_body_that_no_parser_takes_is_not_json(body: bytes) -> None:
    expect = Expectation((200,), {}, True, {"a": 1})
    assert list(problems(expect, Answer(200, body))) == ["the body is not JSON"]
    with pytest.raises(NotCaptured, match="not JSON"):
        find("$.a", Answer(200, body))


def test_a_number_beyond_floats_is_an_integer() -> None:
    assert list(body_problems({"n": {"type": "integer"}}, {"n": 10**400})) == []


def test_a_failed_sign_in_shows_nothing_of_the_account() -> None:
    asks = step("in", Request("GET", "/in?user=${account.email}&password=${account.password}"), 200)
    session = Session("user", "bearer", sign_in=asks, token="$.token")
    asked = sign_in_request(session, Values({"email": "a@b.example", "password": "canary"}, "m"))
    assert asked is not None
    with pytest.raises(NotSignedIn) as caught:
        credentials(session, asked, answer(401))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "given", "version"),
    [
        ("$.version", answer(200, {"version": "1.2"}), "1.2"),
        ("$.build", answer(503, {"build": 7}), "7"),
        ("header X-Version", answer(200, None, **{"x-version": "v3"}), "v3"),
        ("$.version", answer(200, {"version": {"major": 1}}), None),
        ("$.version", answer(200), None),
        (None, answer(200, {"version": "1.2"}), None),
    ],
)
def test_the_version_that_a_health_check_names(where: str | None, given: Answer, version: str | None) -> None:
    assert version_of(Health(step("health", Request("GET", "/up"), 200), where), given) == version


# -- what a lost answer leaves behind -----------------------------------------------------------------------------------------


def test_entries_with_the_marker_are_found_and_removed() -> None:
    sweep = Sweep(step("sweep", Request("GET", "/things"), 200), "$.things", {"tag": "${marker}"}, {"id": "$.id"})
    listed = answer(200, {"things": [{"id": 1, "tag": "run-1"}, {"id": 2, "tag": "run-2"}, {"id": 3, "tag": "run-1"}]})
    assert swept(sweep, Values(None, "run-1"), listed) == [{"id": 1}, {"id": 3}]
    for bad in (answer(500), answer(200), answer(200, {"things": {}}), answer(200, {"things": [{"tag": "run-1"}]})):
        with pytest.raises(NotCaptured):
            swept(sweep, Values(None, "run-1"), bad)
    asked = removal(JOURNEY, Values(None, "run-1", {"id": 3}))
    assert go(asked, answer(204)) == [("delete", None)]
    assert asked.finished


def test_a_reading_step_that_expects_what_a_writing_one_gives_is_left_out() -> None:
    find_it = Step(
        "find",
        "list",
        Request("GET", "/things"),
        Expectation((200,), {}, True, {"items": {"contains": {"id": "${id}"}}}),
    )
    journey = Journey("write", (*JOURNEY.steps, find_it), JOURNEY.undo)
    reading = journey.on_live()
    assert reading is not None
    assert [one.name for one in reading.steps] == ["list"]


@pytest.mark.parametrize("name", ["uuid", "uuid.hex", "marker"])
def test_a_reading_step_that_names_what_a_writing_one_put_there_is_left_out(name: str) -> None:
    place = f"/notes/${{{name}}}"
    put = Step("put", "put", Request("PUT", place), Expectation((201,)))
    get = Step("get", "get", Request("GET", place), Expectation((200,)))
    look = Step("look", "look", Request("GET", "/notes?of=${account.email}"), Expectation((200,)))
    reading = Journey("keep", (put, get, look)).reading()
    assert reading is not None
    assert [one.name for one in reading.steps] == ["look"]
    assert Journey("keep", (get, put)).reading() == Journey("keep", (get,)), "nothing had been put there yet"
    other = {"uuid": "uuid.hex", "uuid.hex": "uuid"}.get(name, name)
    same = Step("get", "get", Request("GET", f"/notes/${{{other}}}"), Expectation((200,)))
    assert Journey("keep", (put, same)).reading() is None, "both spellings are one text"


def test_undo_is_asked_although_its_expectation_lacks_a_value() -> None:
    sweep_all = Step("clear", "clear", Request("DELETE", "/things"), Expectation((200,), {}, True, {"last": "${id}"}))
    played = play(Journey("write", JOURNEY.steps, (sweep_all,)))
    assert go(played, answer(500), answer(200)) == [("create", "status 500, expected 201"), ("clear", None)]
    assert go(
        play(Journey("write", JOURNEY.steps[:1], (sweep_all,))), answer(201, {"id": 7}), answer(200, {"last": 8})
    ) == [
        ("create", None),
        ("clear", "$.last is 8, expected 7"),
    ]


def test_a_body_that_is_no_json_is_a_text() -> None:
    found = Answer(200, b"BEGIN:VCALENDAR\r\nSUMMARY:probe\r\n")
    for wanted in ({"contains": "SUMMARY:probe"}, {"matches": "^BEGIN:V"}):
        assert list(problems(Expectation((200,), has_body=True, body=wanted), found)) == []
    (problem,) = problems(Expectation((200,), has_body=True, body={"contains": "SUMMARY:other"}), found)
    assert problem.endswith('expected contains "SUMMARY:other"')
    assert list(problems(Expectation((200,), has_body=True, body={"summary": "probe"}), found)) == [
        "the body is not JSON"
    ]


def test_a_step_that_reads_what_was_written_under_the_runs_own_name_is_no_reading_step() -> None:
    steps = (
        step("put", Request("PUT", "/notes/${uuid}", body_kind="text", body="x"), 201),
        step("get", Request("GET", "/notes/${uuid}"), 200),
        step("list", Request("GET", "/notes"), 200),
    )
    reading = Journey("note", steps).reading()
    assert reading is not None
    assert [one.name for one in reading.steps] == ["list"]

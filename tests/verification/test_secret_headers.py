"""Messages about headers that hold a secret, and the cookies and queries in other texts."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.verification.test_journeys import Answer, answer
from verification.journeys.expectations import body_problems, problems
from verification.journeys.model import Expectation, Request, Session, Step
from verification.journeys.placeholders import Values
from verification.journeys.sessions import credentials, sign_in_request
from verification.redaction.redactor import LearningRedactor, Redactor, is_secret_name


def problem(name: str, wanted: Any, got: str | None) -> str:
    """Return the one message about a header."""
    headers = httpx.Headers({} if got is None else {name: got})
    (found,) = problems(Expectation((200,), headers={name: wanted}), Answer(200, b"", headers))
    return found


@pytest.mark.parametrize("name", ["X-Auth-Token", "Authorization", "X-Api-Key", "x-otp"])
@pytest.mark.parametrize("wanted", [None, "canary-other", {"matches": "^canary-[a-f]+$"}])
def test_the_value_of_a_header_with_a_secret_name_is_hidden(name: str, wanted: Any) -> None:
    assert problem(name, wanted, "canary-1") == f"header {name} is not what was expected (hidden)"
    if wanted is not None:
        assert problem(name, wanted, None) == f"header {name} is missing (hidden)"


@pytest.mark.parametrize(
    ("wanted", "got", "shown"),
    [
        (
            {"matches": "HttpOnly"},
            "SESSION=canary-1; Path=/; Secure",
            "is SESSION=[redacted]; Path=/; Secure, expected what matches HttpOnly",
        ),
        (
            {"matches": "SameSite=(Lax|Strict)"},
            "a=canary-1; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=canary=2==; HttpOnly; note=canary",
            "is a=[redacted]; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=[redacted]; HttpOnly, "
            "expected what matches SameSite=(Lax|Strict)",
        ),
        ({"matches": "^SESSION=canary"}, "x=canary", "is x=[redacted], expected what matches ^SESSION=[redacted]"),
        ({"matches": "canary-3"}, "x=canary", "is x=[redacted], expected what matches (hidden)"),
        (
            {"matches": "sid=canary-4;.*Path=/"},
            "sid=canary",
            "is sid=[redacted], expected what matches sid=[redacted];.*Path=/",
        ),
        ("sid=canary-2; Secure", "canary", "is (hidden), expected sid=[redacted]; Secure"),
        (None, "sid=canary", "is sid=[redacted], expected none"),
        ({"matches": "HttpOnly"}, None, "is missing, expected what matches HttpOnly"),
    ],
)
def test_a_cookie_is_named_with_its_attributes_and_without_its_value(wanted: Any, got: str | None, shown: str) -> None:
    for name in ("Set-Cookie", "set-cookie"):
        assert problem(name, wanted, got) == f"header {name} {shown}"


@pytest.mark.parametrize(
    "query",
    [
        "?X-Amz-Credential=canary&X-Amz-Signature=canary",
        "?state=1&amp;code=canary",
        "?sv=2024&sig=canary%3D",
        "?Signature=canary&Key-Pair-Id=canary",
        "?next=/y?code=canary-1",
        "#code=canary&state=1&x_sig=canary",
        "?code=canary&amp;session_state=2&amp;state=1",
        "?code=canary\\u0026state=1",
        "?code=4/0Acanary",
    ],
)
def test_the_secret_in_a_location_is_hidden(query: str) -> None:
    found = problem("Location", "/home", f"https://a.example/cb{query}")
    assert "canary" not in found
    assert "https://a.example/cb" in found


@pytest.mark.parametrize(
    "text",
    [
        *("?country_code=DE", "?design=1", "?status_code=404&signal=x", "code=7", "exit code=7"),
        "GET /countries?code=DE: status 404, expected 200",
        "again: curl -i 'http://a.example/airports?sort=name&code=LHR' with ?state=1",
        "test_it[/zip?code=110001]",
    ],
)
def test_ordinary_values_of_a_query_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "sign up, verify-otp: POST /otp on the release: status 500, expected 200",
        "sign up, refresh-token: GET /t on the candidate: $.a is missing",
        "boarding-pass: 3 of 10 answers were late",
        "api-key: the service's answer 3 was late",
        "continuity, own-session: DELETE /s on live: no answer (ReadTimeout)",
    ],
)
def test_the_reason_after_the_name_of_a_step_or_a_gate_stays(text: str) -> None:
    for one in (text, f"reason: {text}", f'{{"reason": "{text}"}}', f"E   {text}\n"):
        assert Redactor(()).clean(one) == one


@pytest.mark.parametrize(
    "value",
    [
        "canary",
        "Token canary",
        "POST canary",
        "canary-1 2 three",
        "canary1 two three",
        "4111 1111 canary",
        "one 2222 3333 canary",
    ],
)
def test_the_value_of_a_header_with_a_secret_name_that_is_no_sentence_is_hidden(value: str) -> None:
    for start in ("", "a=1; ", "[Accept: x, ", "-H ", "header: ", "GET / HTTP/1.1\r\n"):
        assert Redactor(()).clean(f"{start}X-Api-Token: {value}\nnext") == f"{start}X-Api-Token: [redacted]\nnext"


@pytest.mark.parametrize("name", ["X-Passphrase", "My-Secret", "proxy-auth"])
def test_a_sentence_that_may_be_a_passphrase_is_hidden(name: str) -> None:
    assert Redactor(()).clean(f"{name}: canary horse battery staple") == f"{name}: [redacted]"


@pytest.mark.parametrize("name", ["code", "access_token", "my_key", "X-Amz-Signature"])
def test_the_value_of_a_query_ends_before_the_colon_of_a_message(name: str) -> None:
    for value in ("canary-12", "canary:12:x"):
        text = f"GET /x?{name}={value}: status 404\nPOST /y?{name}={value}:\nnext"
        shown = f"GET /x?{name}=[redacted]: status 404\nPOST /y?{name}=[redacted]:\nnext"
        assert Redactor(()).clean(text) == shown


@pytest.mark.parametrize("cookie", ["SESSION", "connect.sid"])
def test_each_cookie_of_a_session_is_learnt(cookie: str) -> None:
    sign_in = Step("in", "POST /login", Request("POST", "/login"), Expectation((200,)))
    session = Session("web", "cookie", sign_in)
    asked = sign_in_request(session, Values({}, "run-1"))
    assert asked is not None
    headers = httpx.Headers([("set-cookie", "a=1"), ("set-cookie", f"{cookie}=canary-12345678; HttpOnly")])
    found = credentials(session, asked, Answer(200, b"{}", headers))
    redactor = LearningRedactor({})
    redactor.learn(*found.secrets)
    assert redactor.clean(f"the id canary-12345678 of {cookie}") == f"the id [redacted] of {cookie}"
    assert "canary" not in repr(found)


def test_a_session_without_a_secret_has_none_to_learn() -> None:
    sign_in = Step("in", "POST /login", Request("POST", "/login"), Expectation((200,)))
    session = Session("api", "bearer", sign_in)
    asked = sign_in_request(session, Values({}, "run-1"))
    assert asked is not None
    assert credentials(session, asked, answer(200, {"access_token": "t"})).secrets == ("t",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pin_code", "110001"),
        ("pass_rate", 98.5),
        ("credential_type", "public"),
        ("first_pass", True),
        ("passCount", 3),
        ("otp_required", "yes"),
        ("Credential-Id", "7"),
        ("boardingPass", "A1"),
    ],
)
def test_an_ordinary_field_whose_name_has_such_a_word_is_shown(name: str, value: Any) -> None:
    assert list(body_problems({name: "other"}, {name: value})) == [f'$.{name} is {json.dumps(value)}, expected "other"']
    text = json.dumps({name: value})
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize(
    "name",
    [
        *("pass", "pin", "otp", "credential", "credentials", "user_pass", "card_pin", "smtp_credentials", "userPin"),
        *("otp_code", "loginOtpCode", "pin_number", "pass_phrase", "X-Otp", "pin2", "user_pass_1", "credentials_json"),
        *("pass_key", "otp_secret", "credential_token", "password_count"),
    ],
)
def test_a_field_that_ends_in_such_a_word_is_hidden(name: str) -> None:
    assert is_secret_name(name)
    assert list(body_problems({name: 1}, {name: "canary"})) == [f"$.{name} is not what was expected (hidden)"]
    assert "canary" not in Redactor(()).clean(json.dumps({name: "canary"}))

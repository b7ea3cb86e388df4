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


FAILURES = [
    "test_reset: GET /consults: status 500, expected 204",
    "reset: …suites/endpoints/more.yaml:2: POST /auth/x: status 500, expected 204",
    "test_x[a-1]: $.id is missing, expected 1",
    "2 of 5 checks never reported, among them test_x",
    "1 checks were collected, 3 are required",
    "no check was asked: no account",
]
REASONS = [
    "status 500, expected 204",
    "$.id is missing, expected 1",
    'the answer: $.status is "a"',
    "no answer (ConnectError: [Errno 111] Connection refused)",
    "AssertionError: assert 500 == 200",
]


@pytest.mark.parametrize("gate", ["token-refresh", "auth-flow", "password-reset", "session-store", "two-factor-auth"])
@pytest.mark.parametrize("reason", [*FAILURES, *REASONS[:2], *REASONS[3:]])
def test_the_reason_after_the_name_of_a_gate_with_a_secret_word_stays(gate: str, reason: str) -> None:
    for one in (f"{gate}: {reason}", f"REJECTED: {gate}: {reason}", json.dumps({"reason": f"{gate}: {reason}"})):
        assert Redactor(()).clean(one) == one


@pytest.mark.parametrize("gate", ["authorization", "cookie", "set-cookie"])
@pytest.mark.parametrize("reason", FAILURES)
def test_what_the_framework_writes_after_a_gate_with_the_name_of_a_header_stays(gate: str, reason: str) -> None:
    assert Redactor(()).clean(f"{gate}: {reason}") == f"{gate}: {reason}"


@pytest.mark.parametrize(
    "path",
    [
        *("/auth/reset-password", "/forgot-password", "/v1/cookie", "/authorization", "/set-cookie", "/x-api-key"),
        *("/client-secret", "/two-factor-auth", "/basic-auth", "/cookie-consent", "/api-keys", "/access-token"),
        *("/session-info", "/v1.0/secret", "/{tenant}/password"),
    ],
)
def test_the_reason_after_a_path_that_ends_in_a_secret_word_stays(path: str) -> None:
    asked = f"endpoints: reset: …more.yaml:2: POST {path}"
    for reason in [*REASONS, "'email' is a required property", "20000000 ms is too slow"]:
        for one in (f"{asked}: {reason}", f"again: http://a.example{path}: {reason}"):
            assert Redactor(()).clean(one) == one
            assert json.loads(Redactor(()).clean(json.dumps({"reason": one}))) == {"reason": one}


@pytest.mark.parametrize("name", ["test_token", "refreshToken", "reset_password", "password"])
def test_a_message_about_another_field_after_the_name_of_a_check_stays(name: str) -> None:
    for rest in ("'email' is a required property", "GET /x: status 500, expected 200", "status 500, expected 200"):
        assert Redactor(()).clean(f"endpoints: {name}: {rest}") == f"endpoints: {name}: {rest}"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: canary /a",
        "POST /a HTTP/1.1\r\nCookie: a=canary",
        "X-Auth-Token: canary/test_a: x",
        "Cookie: test_canary",
        "GET /x?next=/password&my-password: canary",
        "POST /reset-password: password: 'canary'",
        "token-refresh: test_x: Authorization: Bearer canary",
        "password: 'canary' is too short",
        "password: 'canary' , token: 'canary-1 is wrong'",
        "X-Auth-Password: correct canary battery staple",
        "-Authorization: Basic canary",
    ],
)
def test_a_header_beside_a_path_or_the_name_of_a_check_is_hidden(text: str) -> None:
    assert "canary" not in Redactor(()).clean(text)


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

"""Redaction of secrets in text."""

from __future__ import annotations

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verification.redaction.redactor import MARK, LearningRedactor, Redactor, hide_fields

SECRETS = st.text(string.ascii_letters + string.digits + "+/=&%$\"'\\<>@: é€", min_size=6, max_size=30).filter(
    lambda s: len(s.strip()) >= 6 and s not in MARK
)
ORDINARY = st.sampled_from(
    [
        "sha256:" + "0f" * 32,
        "2026-11-22T22:19:46.123Z",
        "0b0e7a3e-3d5f-4e0b-9d2b-6f0a5f1c2d3e",
        "http://api.telehealth.localhost:8080/consults?limit=5",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:smoke-users-AbCdEf",
        "telehealth-api:1.1.0",
        '{"token": 17, "since": "2026-01-01"}',
        "status 401, expected 200",
        "the bearer of the lease",
        'curl -i -H "Authorization: Bearer $TOKEN" http://a.localhost/x',
        '--data "{\\"password\\": \\"$PASSWORD\\"}"',
    ]
)


@settings(deadline=None)
@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_known_secret_is_redacted_in_every_encoding(secret: str, before: str, after: str) -> None:
    clean = Redactor([secret]).clean
    for form in (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
    ):
        assert form not in clean(f"{before} {form} {after}")


PIECES = st.sampled_from(
    [
        *(
            "password",
            "PassWord",
            "secret_key",
            "api_key",
            "apiKey",
            "x-api-key",
            "Set-Cookie",
            "X-Auth-Token",
            "SessionId",
        ),
        *(
            "author",
            "monkey",
            "name",
            "Bearer ",
            "bearer ",
            "eyJhbGciOiJ9",
            ".abcd",
            "...",
            MARK,
            "-----BEGIN PRIVATE KEY-----",
        ),
        *('"', "'", "\\", ":", "=", ",", " ", "&", "?", "(", ")", "b'", "\n", "http://", "user", "@", "/", "$TOKEN"),
        *("abc0123456789def", "x"),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=25).map("".join))
@example(':"passwordpassword:"')
def test_patterns_that_are_not_tried_would_have_found_nothing(text: str) -> None:
    """Every pattern is tried on a text with a letter beyond ASCII; both texts have a line before, because that may matter."""
    assert Redactor([]).clean(f"é\n{text}")[1:] == Redactor([]).clean(f"e\n{text}")[1:]


@pytest.mark.parametrize("text", ['{"pa\u017f\u017fword": "abcdefgh"}', '{"api_\u212aey": "abcdefgh"}'])
def test_letters_beyond_ascii_that_match_others_in_any_case_hide_no_name(text: str) -> None:
    assert "abcdefgh" not in Redactor([]).clean(text)


@settings(deadline=None)
@given(SECRETS, st.binary(max_size=6), st.binary(max_size=6))
def test_known_secret_is_redacted_inside_base64(secret: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()
    assert MARK in Redactor([secret]).clean(text)


@settings(deadline=None)
@given(st.lists(ORDINARY, max_size=6), SECRETS)
def test_ordinary_text_is_not_redacted(pieces: list[str], secret: str) -> None:
    text = " ".join(pieces)
    if secret not in text:
        assert Redactor([]).clean(text) == text


@settings(deadline=None)
@given(st.text(), st.lists(SECRETS, max_size=3))
def test_redaction_is_idempotent(text: str, secrets: list[str]) -> None:
    clean = Redactor(secrets).clean
    once = clean(text + " password=" + "".join(secrets))
    assert clean(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary.canary",
        "authorization: Basic canary",
        "{'authorization': 'Bearer canary'}",
        "(b'Authorization', b'Bearer canary')",
        "Set-Cookie: sid=canary; Path=/",
        "> Cookie: a=canary",
        "curl -H 'Cookie: a=canary' http://x",
        '{"email": "a@b", "password": "canary\\"canary"}',
        '{"password": "ends in a backslash canary\\\\", "x": 1}',
        '"{\\"password\\": \\"canary\\"}"',
        "{'access_token': 'canary'}",
        "SmokeUser(email='a', password='canary')",
        "POST /x?" + urlencode({"password": "canary", "a": "b"}),
        '{"access_token": "canary cut of',
        "postgresql://app:canary@127.0.0.1:5432/db",
        "redis://:canary@host",
        "postgresql://app:p@canary@127.0.0.1/db",
        "Bearer canary-0123456789abcdef",
        "JWT_SECRET=canary",
        """Response body:\nb'{"Name": "jwt-secret", "SecretString": "canary"}'""",
        """b'{"SecretString": "[{\\\\"email\\\\": \\\\"a@b\\\\", \\\\"password\\\\": \\\\"canary\\\\"}]"}'""",
        '{"authorizationData": [{"authorizationToken": "canary"}]}',
        '{"AuthenticationResult": {"AccessToken": "canary", "IdToken": "canary"}}',
    ],
)
def test_text_shaped_like_a_secret_is_redacted(text: str) -> None:
    cleaned = Redactor([]).clean(f"before {text}\nafter")
    assert "canary" not in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith("\nafter")


def test_whole_jwt_is_redacted() -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLQ"
    assert Redactor([]).clean(f"got {jwt}, expected") == f"got {MARK}, expected"


def test_short_secret_is_redacted_only_as_a_word() -> None:
    assert Redactor(["abc"]).clean("abc abcdef x=abc.") == f"{MARK} abcdef x={MARK}."


def test_redactor_does_not_show_its_secrets() -> None:
    redactor = Redactor(["canary-secret"])
    assert "canary" not in repr(redactor)
    assert redactor.clean("a canary-secret b") == f"a {MARK} b"


@pytest.mark.parametrize(
    "text",
    [
        "X-Auth-Token: canary-12345678",
        "> api-key: canary-12345678",
        "{'X-Auth-Token': 'canary-12345678'}",
        "(b'Api-Key', b'canary-12345678')",
        '{"apiKey": "canary-12345678"}',
        '{"SESSION_ID": "canary-12345678"}',
        "GET /x?limit=5&sessionKey=canary-12345678",
        "csrf_cookie = 'canary-12345678'",
        '{"passphrase": "canary-12345678", "user_pwd": "canary-12345678"}',
        "GET /x?pwd=canary-12345678",
        "<a:password type='text'>canary-12345678</a:password>",
    ],
)
def test_headers_and_fields_with_a_secret_word_are_redacted(text: str) -> None:
    assert "canary" not in Redactor([]).clean(f"before {text}\nafter")


@pytest.mark.parametrize(
    "text",
    [
        "{'author': 'Jane Example'}",
        "KeyError: 'next_cursor'",
        "jose.TokenExpiredError: 'two minutes ago'",
        "X-Monkey-Business: seven of them",
        '{"keyboard": "german", "tokenizer": "words", "authority": "eu-west-1"}',
        "auth: 20 checks passed",
        "REJECTED: session: the login answers 500",
        "?monkey=1234567890",
        "Access-Control-Allow-Credentials: true",
        "X-RateLimit-Tokens: seventeen",
        "<p>the password is wrong</p>",
        "expected one of ['key', 'name']",
    ],
)
def test_words_that_only_contain_a_secret_word_stay(text: str) -> None:
    assert Redactor([]).clean(text) == text


WRITTEN: dict[str, Callable[[str], str]] = {
    "PHP's JSON": lambda text: json.dumps(text).replace("/", "\\/"),
    "Go's JSON": lambda text: text.replace("<", "\\u003c").replace("&", "\\u0026"),
    "Gson": lambda text: text.replace("=", "\\u003d").replace("<", "\\u003c").replace("&", "\\u0026"),
    "JSON of .NET": lambda text: text.replace("+", "\\u002B").replace("<", "\\u003C").replace("&", "\\u0026"),
    "HTML of Go": lambda text: text.replace("&", "&#38;").replace("+", "&#43;").replace("<", "&#60;"),
    "a URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON in a URL": lambda text: quote(json.dumps({"a": text}), safe=""),
    "a form in base64": lambda text: base64.b64encode(urlencode({"p": text}).encode()).decode(),
    "JSON in base64": lambda text: base64.b64encode(json.dumps({"ab": text}).encode()).decode(),
    "the repr of bytes": lambda text: repr(text.encode()),
}


@pytest.mark.parametrize("secret", ["p/ss+w0rd=Xy9&Zq<bcd", "ü/ber+geheim=1&2<3"])
@pytest.mark.parametrize("writer", WRITTEN)
def test_known_secret_is_redacted_as_other_languages_write_it(secret: str, writer: str) -> None:
    written = WRITTEN[writer](secret)
    assert MARK in Redactor([secret]).clean(f"before {written} after")


@pytest.mark.parametrize("upper", [False, True])
def test_known_secret_is_redacted_in_hex(upper: bool) -> None:
    digits = "canary-é-secret".encode().hex()
    assert Redactor(["canary-é-secret"]).clean(f"x{digits.upper() if upper else digits}y") == f"x{MARK}y"


@pytest.mark.parametrize("short", ["release", "1.4.2", "blue", "s3cr3t!", "ü" * 7])
def test_no_value_under_eight_characters_is_learnt(short: str) -> None:
    redactor = LearningRedactor({"DB_PASSWORD": short})
    redactor.learn(short, "longer-secret")
    assert redactor.clean(f"the {short} longer-secret") == f"the {short} {MARK}"


@pytest.mark.parametrize("long", ["12345678", "releases", "ü" * 8])
def test_a_value_of_eight_characters_is_learnt(long: str) -> None:
    redactor = LearningRedactor({})
    redactor.learn(long)
    assert (
        redactor.clean(f"the {long}") == LearningRedactor({"DB_PASSWORD": long}).clean(f"the {long}") == f"the {MARK}"
    )


def test_private_fields_of_a_service_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", set())
    text = '{"Diagnosis": "canary-diagnosis", "reason": "a cough"}'
    assert "canary" in Redactor(()).clean(text)
    hide_fields(["diagnosis"])
    assert Redactor(()).clean(text) == '{"Diagnosis": "[redacted]", "reason": "a cough"}'


def test_a_secret_field_in_a_text_in_a_field_is_hidden() -> None:
    text = str({"body": json.dumps({"x-my-auth": "canary-1", "text": json.dumps({"Api-Key": "canary-2"})})})
    assert "canary" not in Redactor(()).clean(text)
    assert "x-my-auth" in Redactor(()).clean(text)


@pytest.mark.parametrize(
    "text",
    [
        'say "X-Auth-Token: canary" twice',
        "say 'Authorization: Basic canary' twice",
        'curl -H "Cookie: a=canary" http://x',
        'say "password=canary" twice',
        'GET "/x?token=canary" twice',
        'SmokeUser(email="a", password="canary")',
        'postgres "redis://:canary@host" twice',
        "X-Auth-Token: canary\nnext",
    ],
)
def test_a_json_document_is_valid_after_redaction_of_a_quoted_secret(text: str) -> None:
    """The journal cleans its lines as JSON: each must be readable afterwards."""
    for one in (text, json.dumps({"inner": text})):
        cleaned = Redactor(()).clean(json.dumps({"reason": one}))
        assert "canary" not in cleaned
        assert MARK in json.loads(cleaned)["reason"]


@pytest.mark.parametrize(
    "text", ["password='canary", "{'X-Auth-Token': 'canary", "(b'Cookie', b'canary", "my_key = 'canary"]
)
def test_a_cleaned_text_hides_nothing_of_a_document_that_quotes_it(text: str) -> None:
    """A run's files are made from the clean journal and cleaned once more."""
    document = json.dumps({"reason": Redactor(()).clean(text), "next": "it's ordinary"})
    assert "canary" not in document
    assert Redactor(()).clean(document) == document

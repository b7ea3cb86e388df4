"""Known secrets in the curl command that repeats a request: the shell's quoting must not hide them from redaction."""

from __future__ import annotations

import json
import shlex

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verification.test_redaction import SECRETS
from verification.http.client import curl_for
from verification.redaction.redactor import MARK, Redactor, is_secret_name

AWKWARD = ["O'Reilly-2024-xyzw", "Summer$2024abcdef", "back`tick`2024-xyz", 'say "no" \\ 2024-xyz', "a'b\"c$d`e\\f-é"]
URL = "http://a.example/x"


def requests_with(secret: str) -> list[httpx.Request]:
    """Return requests that have the secret where no name says so: JSON in either kind of quotes, a header, a query."""
    return [
        httpx.Request("POST", URL, json={"user": "a@b.c", "text": secret}),
        httpx.Request("POST", URL, json={"password": "p", "text": secret}),
        httpx.Request("POST", URL, data={"password": "p", "text": secret}),
        httpx.Request("GET", URL, params={"text": secret}),
        *([httpx.Request("GET", URL, headers={"x-text": f"a {secret}"})] if secret.isascii() else []),
    ]


@pytest.mark.parametrize("secret", AWKWARD)
def test_known_secret_is_redacted_in_every_argument(secret: str) -> None:
    clean = Redactor([secret]).clean
    for request in requests_with(secret):
        command = clean(curl_for(request))
        assert MARK in command
        assert "2024" not in command
        assert "a'b" not in shlex.split(command)[-1]


@settings(deadline=None)
@given(SECRETS, st.sampled_from(range(4)))
def test_the_arguments_of_a_cleaned_command_lack_the_secret(secret: str, number: int) -> None:
    arguments = shlex.split(Redactor([secret]).clean(curl_for(requests_with(secret)[number])))
    assert not any(secret in one or json.dumps(secret, ensure_ascii=False)[1:-1] in one for one in arguments[1:])


@pytest.mark.parametrize("secret", AWKWARD)
def test_known_secret_is_redacted_in_a_command_that_a_report_has_as_json(secret: str) -> None:
    for request in requests_with(secret):
        text = json.dumps({"reason": f"again: {curl_for(request)}"})
        cleaned = Redactor([secret]).clean(text)
        assert MARK in cleaned
        assert "2024" not in json.loads(cleaned)["reason"]


@pytest.mark.parametrize(
    "name", ["pass", "userPass", "pin", "otp_code", "otp", "X-OTP", "credential", "db_credentials"]
)
def test_a_field_for_a_password_in_other_words_is_a_variable(name: str) -> None:
    command = curl_for(httpx.Request("POST", URL, json={"user": "a@b.c", name: "canary"}))
    assert "canary" not in command
    assert "canary" not in Redactor(()).clean(f'{{"{name}": "canary"}} GET /x?{name}=canary&y=1')


@pytest.mark.parametrize(
    "name",
    [
        *("passed", "passenger", "bypass", "compass", "passport", "shipping", "pinned", "spin", "option", "robotPart"),
        "Access-Control-Allow-Credentials",
    ],
)
def test_words_that_only_contain_a_word_for_a_password_stay(name: str) -> None:
    assert not is_secret_name(name)
    text = f'{{"{name}": "an ordinary value"}} GET /x?{name}=ordinary\n{name}: ordinary'
    assert Redactor(()).clean(text) == text

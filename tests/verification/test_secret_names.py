"""The names of headers and fields that hold a secret: the rule is the same whatever the case of the name."""

from __future__ import annotations

import itertools
import json

import httpx
import pytest

from verification.http.client import curl_for
from verification.redaction.names import says_secret
from verification.redaction.redactor import Redactor, is_secret_name

VALUE = "s3cr3tV4lue9876"
SECRET = (
    *("X-CSRFToken", "X-UserToken", "X-ClientSecret", "X-ServiceKey", "X-LicenseKey", "X-DeviceToken", "X-APIkey"),
    *("JWTtoken", "X-AUTHKEY", "AccessKey", "privateKey", "signingKey", "clientSecret", "userPassword", "dbPassword"),
    *("JSESSIONID", "PHPSESSID", "SessionId", "AccessKeyId", "keyId", "tokenValue", "passwordHash", "API_KEYS"),
    *("apiKeys", "X-Auth-Tokens", "tokens", "userTokens", "OAuth", "OAuth2Token", "sessionCookie", "X-UserPin"),
)
ORDINARY = (
    *("monkey", "Turkey", "survey_monkey", "codemonkey", "Chaos-Monkey", "whiskeys", "monkeyId", "icehockey", "HotKey"),
    *("keyboard", "author", "authority", "tokenizer", "secretary", "possession", "user_repossession", "obsession"),
    *("sessions", "userSessions", "keys", "missing_keys", "primaryKeys", "max_tokens", "promptTokens", "sid"),
    *("X-RateLimit-Tokens", "oldpwd", "oauth-login", "maxKeys", "spin", "bypass", "compass"),
)


def spelled(name: str) -> tuple[str, ...]:
    """Return the name in the cases that libraries write."""
    return (name, name.lower(), name.upper(), name.title())


@pytest.mark.parametrize("name", SECRET)
def test_a_name_of_a_secret_is_one_in_every_case(name: str) -> None:
    for one in spelled(name):
        assert is_secret_name(one), one


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_is_one_in_every_case(name: str) -> None:
    for one in spelled(name):
        assert not is_secret_name(one), one
        text = json.dumps({one: "ordinary value"})
        assert Redactor(()).clean(text) == text


def test_the_case_of_a_name_of_several_words_decides_nothing() -> None:
    firsts = ("X", "CSRF", "user", "Client", "api", "my", "Last", "JWT", "db", "hockey", "Author")
    lasts = ("Token", "token", "Tokens", "SECRET", "Key", "Password", "Session", "SessionId", "cookie", "Auth")
    for first, last, sign in itertools.product(firsts, lasts, ("", "-", "_")):
        name = f"{first}{sign}{last}"
        assert [is_secret_name(one) for one in spelled(name)] == [True] * 4, name


@pytest.mark.parametrize("name", ["X-CSRFToken", "X-ClientSecret", "X-APIkey", "JSESSIONID"])
def test_a_header_as_an_http_library_shows_it_is_hidden(name: str) -> None:
    """The library lower-cases each name, so that the words of X-CSRFToken stand together."""
    request = httpx.Request("GET", "http://a.localhost/x", headers={name: VALUE})
    for text in (repr(request.headers), str(dict(request.headers)), repr(request.headers.raw), curl_for(request)):
        assert name.lower() in text.lower()
        assert VALUE not in Redactor(()).clean(text)
    assert VALUE not in curl_for(request)


@pytest.mark.parametrize(
    "name",
    [
        *("PasswdFile", "apikeyHeader", "token_count", "PrimaryKey", "sessionStart", "X-Auth-Id", "AUTH_DATA"),
        *("x-secret-name", "cookieJar", "PASSWORD_AGE", "key-file"),
    ],
)
def test_a_whole_word_anywhere_in_a_name_says_secret(name: str) -> None:
    assert says_secret(name)

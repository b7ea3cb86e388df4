"""Secrets that stand after their name without quotes, in lists and in the repr of a cookie."""

from __future__ import annotations

import json
import random
import uuid
from base64 import urlsafe_b64encode

import httpx
import pytest

from tests.verification.test_redaction_of_long_texts import run
from verification.redaction.redactor import MARK, Redactor

VALUES = ("s3cr3tV4lue9876", "0b0e7a3e-3d5f-4e0b-9d2b-6f0a5f1c2d3e", "a/b+c9d8e7f6==")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "text",
    [
        "token={}&a=1",
        "session={}",
        "X-Auth-Token={}",
        "curl --token={} http://a",
        "API_KEY={}\nnext",
        "POST /x token={}: status 404",
        "Token: {}",
        "X-Auth-Token : {}",
        "E   Api-Key : {}\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nApikey: {}\r\nAccept: */*",
        "E   Session: {}\n",
        "> x_auth_token: {} \n",
        "curl -H 'Token: {}' http://a",
        '{{"api_key": ["{}"], "rows": ["a1234567"]}}',
        "X-Auth-Token: ['{}', 'other1234']",
        "{{'tokens': [\"[redacted]\", '{}']}}",
        "['X-Auth-Token', '{}']",
        "(b'api.key', b'{}')",
        "GET /x?auth.token={} twice",
        "secret_key={} access-key={} privateKey={} signing_key={} APP_KEY={}",
        "stripe.api.key={} and token.secret={}",
        "session_id={}, cookie_value={}, auth_code={}, X-Public-Token={}",
    ],
)
def test_a_word_that_looks_like_a_token_is_hidden_after_the_name_of_a_secret(text: str, value: str) -> None:
    text = text.format(*[value] * 5)
    cleaned = Redactor(()).clean(text)
    assert value not in cleaned
    assert "other1234" not in cleaned
    assert "a1234567" in cleaned or "rows" not in text
    assert Redactor(()).clean(cleaned) == cleaned
    written = Redactor(()).clean(json.dumps({"reason": text, "next": "ordinary"}))
    assert value not in written
    assert MARK in json.loads(written)["reason"]


def test_the_cookies_of_a_client_are_shown_without_their_values() -> None:
    cookies = httpx.Cookies()
    cookies.set("session", "canary", domain="localhost")
    cookies.set("flavour", "canary for two", domain="a.example", path="/x")
    cleaned = Redactor(()).clean(repr(cookies))
    assert cleaned.count("=[redacted]") == 2
    assert "<Cookie session=[redacted] for localhost />" in cleaned
    assert "canary" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "token_count=5, sessions: 12, retries=3, primary_key=3",
        "session: the login answers 500",
        "auth: 20 checks passed\nsession: passed\nkey: telehealth-api",
        "REJECTED: session: blue-20261130",
        "auth: suites/auth/test_auth2.py\nkey=keys/release2.pem: is missing",
        "session=2026-11-30T10:15:00Z session: 2026-11-30T10:15 token: 20261130T101500Z",
        "key=sha256:0f0f0f0f, key: sha256:0f0f0f0f",
        "token=SecretToken2026(value), token=$TOKEN2026X, token=Token2026[int]",
        "monkey=abcdefgh1, turkey: abcdefgh1, author=jane-2026",
        "expected one of ['key', 'name'], secrets: ['JWT_SECRET', 'DATABASE_URL']",
        '{"required_secrets": ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:a1"]}',
        "['session', 'blue-cookie']",
        "<Cookie monster for all>",
    ],
)
def test_ordinary_words_after_the_name_of_a_secret_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "order key=order-000123: status 404",
        "key=data/2026-11-29/part-0001.parquet is missing",
        "session=data/2026-11-29/part-0001.parquet, auth=keys/release2.markdown",
        "redis key=session-count-2026 missing",
        "i18n key=errors.http404.title missing, row.key=order-000123, Key=order-000123",
        "partition_key=customer-000123, primary_key=a-000123, PARTITION-KEY=a-000123, partitionKey=a-000123",
        "cache_key=user-12345678, idempotency_key=abcd-123456, user_cache_key=user-12345678, partitionkey=a-000123",
        "routing_key=orders.created.v1, feature_key=new-checkout-v2, public_key=a1b2c3d4e5",
        "auth_host=auth1.example.com, token_endpoint=/oauth2/token, AUTH_HOST2=auth2.example.com",
        "session_store=redis-cluster-1, session_table=sessions_2026, cookie_domain=app2.example.com",
        "token_issuer=cognito-idp.eu-central-1.amazonaws.com, tokenIssuer=cognito-idp.eu-central-1.amazonaws.com",
        "auth_type=oauth2_jwt, token_algorithm=RS256-2048, key_alias=alias/bluegreen1, password_policy=v2-strict",
        "key: ['order-000123'], partition_key: ['customer-000123'], ['cache_key', 'user-12345678']",
        "key: order-000123",
    ],
)
def test_values_after_names_that_are_ordinary_without_quotes_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize("gate", ["auth", "session", "token", "pass", "client_session", "oauth"])
@pytest.mark.parametrize(
    "rest",
    [
        *("3-of-4-sessions", "test_login12", "login-works-2nd-time", "401-unauthorized", "run-20261129-blue1"),
        *(
            "all-12-checks",
            "test_oauth2_s256_after_20000000_s",
            "blue_2026-11-29_rc1",
            "release-1.12.3",
            "/oauth2/login",
        ),
        *("took-1200ms-of-900ms", "5xx-after-sign_in"),
    ],
)
def test_words_and_numbers_after_the_name_of_a_gate_stay(gate: str, rest: str) -> None:
    for text in (f"{gate}: {rest}", f"E   {gate}: {rest}\n", f"passed\n{gate}: {rest}\r\nnext", f'"{gate}: {rest}"'):
        assert Redactor(()).clean(text) == text
        assert Redactor(()).clean(json.dumps({"reason": text})) == json.dumps({"reason": text})


@pytest.mark.parametrize(
    "text",
    [
        "Password: correct-horse-42-battery",
        "client_secret: correct-horse-42-battery",
        "token: ab12-cd34-ef56-gh78",
        "session: 12ab-34cd-56ef",
        "session: run-1234567890-abcdef",
        "auth: abcdefgh12",
        "token: test_4eC39HqLyjWDarjtT1zdp7dc",
        "session: user-S3cretword",
        "session: abcd-abcdefghijklmnopqrstuvw1",
    ],
)
def test_other_values_in_a_line_are_hidden(text: str) -> None:
    name, _, _ = text.partition(":")
    assert Redactor(()).clean(text) == f"{name}: {MARK}"


@pytest.mark.parametrize("seed", range(3))
def test_hardly_a_token_consists_of_words_and_short_numbers(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(1000):
        bits = dice.randbytes(16)
        for token in (
            str(uuid.UUID(bytes=bits, version=4)),
            f"a1{bits.hex()}",
            f"a1{urlsafe_b64encode(bits).decode()}",
        ):
            assert Redactor(()).clean(f"token: {token}") == f"token: {MARK}"


def test_private_data_is_hidden_after_such_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", {"key"})
    assert Redactor(()).clean("key=order-000123, a.key=order-000123") == f"key={MARK}, a.key={MARK}"


@pytest.mark.parametrize(
    "text",
    ["patient_name: anna-smith-1984", "E   patient_name: test_anna1", "test_book[patient_name=anna-smith-1984]"],
    ids=["words", "as a check's name", "a parameter of a check"],
)
def test_private_data_that_looks_like_words_is_hidden(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", {"patient_name"})
    cleaned = Redactor(()).clean(text)
    assert MARK in cleaned
    assert "anna" not in cleaned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("patient_name=anna", "patient_name=[redacted]"),
        ("patient_name=anna maria, age=41", "patient_name=[redacted], age=41"),
        ("patient_name=anna maria age=41", "patient_name=[redacted] age=41"),
        ("Consult(patient_name=anna maria, n=3)", "Consult(patient_name=[redacted], n=3)"),
        ("patient_name=anna;b=1\nnext", "patient_name=[redacted];b=1\nnext"),
        ("patient_name=anna: status 404", "patient_name=[redacted]: status 404"),
        ("PATIENT_NAME = anna", "PATIENT_NAME = [redacted]"),
        ("a:\n  patient_name: anna maria\n  b: c", "a:\n  patient_name: [redacted]\n  b: c"),
        ("{age: 3, patient_name: anna maria, b: c}", "{age: 3, patient_name: [redacted], b: c}"),
        ("patient_name: O", "patient_name: [redacted]"),
        (
            "DETAIL:  Key (patient_name)=(anna maria) already exists.",
            "DETAIL:  Key (patient_name)=([redacted]) already exists.",
        ),
        ("<patient_name>anna maria</patient_name>", "<patient_name>[redacted]</patient_name>"),
    ],
)
def test_private_data_without_quotes_is_hidden(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", {"patient_name"})
    assert Redactor(()).clean(text) == shown
    assert Redactor(()).clean(shown) == shown
    assert json.loads(Redactor(()).clean(json.dumps({"reason": text}))) == {"reason": shown}


@pytest.mark.parametrize(
    "text",
    [
        "the field patient_name: is missing, expected a text",
        "$.patient_name is missing; $.patient_name: expected a text",
        "patient_name=None, patient_name=null, weight=70, weight: 70.5",
        "name=anna, the_patient_names=anna, patient_name_count=three",
        "assert patient_name == other",
        "    patient_name = read(page), patient_name=names[0]",
        "POST /patient_name: status 500",
        "test_patient_name: status 500",
        "weight: GET /weights: status 500, expected 200",  # a gate or a check with the name of a field
        "weight: no answer (ConnectError: refused)",
    ],
)
def test_texts_about_private_fields_stay(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", {"patient_name", "weight"})
    assert Redactor(()).clean(text) == text


def test_private_data_is_looked_for_in_a_time_that_grows_with_the_length() -> None:
    program = (
        "from verification.redaction.redactor import Redactor, hide_fields\nhide_fields(['name'])\n"
        "for unit in ('name=', 'name=a ', 'name: ', '{name: a', ' ', ': a', 'a='):\n"
        "    assert 'canary' not in Redactor(()).clean(unit * (50_000 // len(unit)) + '\\nname=canary\\nname: canary')\n"
        "print('done')"
    )
    assert run(program) == "done"


@pytest.mark.parametrize("sign", [":", " ", "-"])
@pytest.mark.parametrize("upper", [False, True])
def test_a_known_secret_is_hidden_in_hex_with_signs_between_its_bytes(sign: str, upper: bool) -> None:
    digits = b"Sm0ke-Pass/word".hex(sign)
    assert Redactor(["Sm0ke-Pass/word"]).clean(f"x {digits.upper() if upper else digits} y") == f"x {MARK} y"


@pytest.mark.parametrize(
    "unit",
    [
        "test_x[token=a1234567 ",
        "test_x",
        "token=",
        "token=a1",
        "token=abcdefg",
        "key: a/",
        "key: ['a1'",
        "['a-key', '",
        "<Cookie a=",
        "token:  ",
        "a.b/",
    ],
)
def test_bare_values_are_looked_for_in_a_time_that_grows_with_the_length(unit: str) -> None:
    program = (
        "from verification.redaction.redactor import Redactor\n"
        f"text = 'key: ' + {unit!r} * {300_000 // len(unit)} + '\\nmy_token=canary-1234567\\n'\n"
        "print('canary' in Redactor(()).clean(text))"
    )
    assert run(program) == "False"


@pytest.mark.parametrize("rest", ["password", "rd", "n", ""])
def test_a_value_after_a_name_that_pytest_cut_is_hidden_if_it_looks_like_a_token(rest: str) -> None:
    """Pytest shortens the repr of a dictionary to its beginning and its end, without regard to names."""
    for value in ("87654321", "'s3cr3tV4lue9876'"):
        text = f"assert {{'session_tok...{rest}': {value}}} == {{}}"
        assert Redactor(()).clean(text) == f"assert {{'session_tok...{rest}': '{MARK}'}} == {{}}"


@pytest.mark.parametrize(
    "text",
    [
        "assert {'session_tok...rd': 'an ordinary value'} == {}",
        "assert {'session_tok...ble': 's3cr3tV4lue9876'} == {}",
        "assert {'session_tok...rd': 1234567, 'rd': 12345678} == {}",
        "the key is ready...: 12 of 30000000",
    ],
)
def test_an_ordinary_value_after_a_name_that_pytest_cut_stays(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize("name", ["key", "eu-session", "token", "page2-auth", "pin", "client_key"])
@pytest.mark.parametrize(
    "check",
    [
        "suites/a/test_a.py::test_x[{}]",
        "suites/a/test_a.py::TestA::test_x[two words-{}]",
        "again: pytest 'suites/a/test_a.py::test_x[{}]' failed",
        "____ test_x[{}] ____",
        "suites/a/checks.yaml::it's a name, of a check (1)[{}]",
    ],
)
def test_the_parameters_of_a_check_stay_so_that_its_name_is_its_own(check: str, name: str) -> None:
    for value in ("eu-central-1", "us-east-2", "12345678", "20261129"):
        text = check.format(f"{name}={value}")
        assert Redactor(()).clean(text) == text
        assert Redactor(()).clean(json.dumps({"check": text})) == json.dumps({"check": text})


@pytest.mark.parametrize(
    "text",
    [
        "suites/a/test_a.py::test_x[eu] token=s3cr3tV4lue9876",
        "suites/a/test_a.py::test_x: Session[id=1, token=s3cr3tV4lue9876]",
        "suites/a/test_a.py::test_x - latest_x[token=s3cr3tV4lue9876]",
        "test_x[Bearer s3cr3tV4lue9876s3cr3tV4lue9876]",
        "test_x[token=eyJhbGciOiJIUzI1NiJ9.s3cr3tV4lue9876.c2ln]",
        "test_x[url=http://a:s3cr3tV4lue9876@b]",
    ],
)
def test_a_secret_beside_a_check_or_of_a_definite_shape_is_hidden(text: str) -> None:
    assert "s3cr3tV4lue9876" not in Redactor(()).clean(text)


def test_a_known_secret_is_hidden_in_the_parameters_of_a_check() -> None:
    assert Redactor(["eu-central-1"]).clean("a.py::test_x[key=eu-central-1]") == f"a.py::test_x[key={MARK}]"


@pytest.mark.parametrize(
    "digits",
    [
        r"\x53\x6d\x30\x6b\x65\x2d\x50\x61\x73\x73",
        r"\x53\x6D\x30\x6B\x65\x2D\x50\x61\x73\x73",
        "0x53, 0x6d, 0x30, 0x6b, 0x65, 0x2d, 0x50, 0x61, 0x73, 0x73",
        "536d 306b 652d 5061 7373",
    ],
    ids=["escapes", "capitals", "a list", "as xxd groups bytes"],
)
def test_a_known_secret_is_hidden_in_the_hex_of_programs(digits: str) -> None:
    assert Redactor(["Sm0ke-Pass"]).clean(f"bytes: {digits} end") == f"bytes: {MARK} end"

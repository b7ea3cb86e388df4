"""Numbers after the name of a secret, in texts."""

from __future__ import annotations

import json

import pytest

from tests.verification.test_redaction_of_long_texts import run
from verification.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            '{"session_token": 912345678901, "password": 87654321}',
            '{"session_token": "[redacted]", "password": "[redacted]"}',
        ),
        ("{'x-authtoken': 91234567}", "{'x-authtoken': '[redacted]'}"),
        ('{"pin":1234,"age":41}', '{"pin":"[redacted]","age":41}'),
        ('{"otp_code": 123456, "a": [1]}', '{"otp_code": "[redacted]", "a": [1]}'),
        ("token      = 912345678901\nnext = 3", "token      = [redacted]\nnext = 3"),
        ("Account(api_key=-912345678.5, number=912345678)", "Account(api_key=[redacted], number=912345678)"),
        ("the sessionId: 91234567.", "the sessionId: [redacted]."),
    ],
)
def test_a_number_after_the_name_of_a_secret_is_hidden(text: str, shown: str) -> None:
    for before, after in (("", ""), ("é ", " é"), ("assert ", "\nE   next: 91234567")):
        assert Redactor(()).clean(before + text + after) == before + shown + after
    assert Redactor(()).clean(shown) == shown


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_json_stays_valid_after_a_number_is_hidden(depth: int) -> None:
    """The journal cleans each line as JSON."""
    text = json.dumps({"clientsecret": 20261130, "rows": 3})
    for _ in range(depth):
        text = json.dumps({"reason": text})
    cleaned = Redactor(()).clean(text)
    assert "20261130" not in cleaned
    for _ in range(depth):
        cleaned = json.loads(cleaned)["reason"]
    assert json.loads(cleaned) == {"clientsecret": "[redacted]", "rows": 3}


@pytest.mark.parametrize(
    "text",
    [
        '{"token": 17, "primary_key": 3, "key": 1764500000, "primaryKey": 1764500000}',
        "sessions: 12, token_count=5, max_tokens: 12345678, tokens: 20000000",
        '{"pass": 1234, "fail": 5678, "pin_code": 110001, "monkey": 12345678}',
        '{"session_expires_at": 1764500000, "token_ttl": 86400000}',
        "session: 2026-11-30 10:00, token: 12345678ms, auth: 12345678/s, session: 10:00:00",
    ],
)
def test_ordinary_numbers_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


def test_a_long_number_of_private_data_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one stays: the journal may have a field of the same name, such as weight."""
    monkeypatch.setattr("verification.redaction.redactor._PRIVATE_FIELDS", {"phone", "weight"})
    text = '{"phone": 491701234567, "weight": 10}'
    assert Redactor(()).clean(text) == '{"phone": "[redacted]", "weight": 10}'


@pytest.mark.parametrize("unit", ["token: ", "token=1234567 ", '\\"pin\\":', "12345678", "token:1"])
def test_numbers_are_looked_for_in_a_time_that_grows_with_the_length(unit: str) -> None:
    program = (
        "from verification.redaction.redactor import Redactor\n"
        f"text = {unit!r} * {300_000 // len(unit)} + ' x; my-token=912345678901,'\n"
        "print('9123' in Redactor(()).clean(text))"
    )
    assert run(program) == "False"

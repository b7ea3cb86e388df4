"""Known secrets that pytest shows shortened: their beginning, their end, or a part of them in a diff."""

from __future__ import annotations

import pytest
from _pytest._io.saferepr import saferepr

from tests.verification.test_redaction_of_long_texts import run
from verification.redaction.redactor import MARK, Redactor

SECRET = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9-ternalZm9yLXJlLWNhbmFyeQ"


def shown_parts(text: str, least: int = 6) -> list[str]:
    """Return the parts of the secret, at least so long, that the text shows."""
    parts = (SECRET[begin : begin + least] for begin in range(len(SECRET) - least + 1))
    return [part for part in parts if part in text]


@pytest.mark.parametrize("longest", [30, 40, 50])
@pytest.mark.parametrize(
    "value",
    [SECRET, f"Bearer {SECRET}", f"{SECRET}; Path=/", {"a": SECRET}, f"sid={SECRET}", [SECRET], SECRET.encode()],
    ids=str,
)
def test_both_ends_of_a_known_secret_are_hidden(value: object, longest: int) -> None:
    text = f"assert {saferepr(value, maxsize=longest)} == 'other'"
    assert "..." in text
    cleaned = Redactor([SECRET, "another-secret"]).clean(text)
    assert shown_parts(cleaned) == []
    assert MARK in cleaned
    assert cleaned.endswith(" == 'other'")
    assert Redactor([SECRET]).clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (SECRET, f"{SECRET}x"),
        (f"{SECRET}x", SECRET),
        (SECRET, f"x{SECRET}"),
        ("x" * 60 + SECRET, "x" * 60 + "other"),
        (SECRET + "y" * 60, "other" + "y" * 60),
    ],
)
def test_a_known_secret_is_hidden_in_a_diff(left: str, right: str, pytestconfig: pytest.Config) -> None:
    [lines] = pytestconfig.hook.pytest_assertrepr_compare(config=pytestconfig, op="==", left=left, right=right)
    cleaned = Redactor([SECRET]).clean("E       " + "\nE         ".join(lines))
    assert shown_parts(cleaned) == []
    assert MARK in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "assert 'an ordinary ...t of a text' == 'x'",
        "waiting ... done, eyJ... and more...",
        "assert 'eyJ...xyz' == 'ab...eQ'",
        "E     Skipping 55 identical leading characters in diff, use -v to show\nE     - an ordinary text\nE     + another",
    ],
)
def test_other_shortened_texts_stay(text: str) -> None:
    assert Redactor([SECRET]).clean(text) == text


def test_shortened_secrets_are_looked_for_in_a_time_that_grows_with_the_length() -> None:
    program = (
        "from verification.redaction.redactor import Redactor\n"
        "for unit in ('eyJhbG...', 'eyJ' * 40 + '...' + 'eyJ' * 40, '.', 'Skipping 5 identical leading characters in diff'):\n"
        "    text = unit * (100_000 // len(unit)) + \" 'eyJhbGci...WNhbmFyeQ'\"\n"
        f"    assert 'FyeQ' not in Redactor([{SECRET!r}]).clean(text), unit\n"
        "print('done')"
    )
    assert run(program) == "done"

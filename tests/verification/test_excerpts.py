"""Excerpts of answers in messages: no part of a secret stays before the cut."""

from __future__ import annotations

import gc
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification.contract import openapi
from verification.contract.leaks import leaks
from verification.journeys import expectations
from verification.journeys.ledger import Ledger
from verification.redaction.excerpt import excerpt
from verification.redaction.redactor import LearningRedactor, Redactor, clean_for_all

SECRETS = ["canary-part-of-a-secret", "canary horse battery staple", "canary,pass;word"]


@pytest.mark.parametrize("show", [expectations.show, openapi.show])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("before", range(90, 125, 3))
def test_a_learnt_secret_across_the_cut_leaves_no_part(show: Callable[[object], str], secret: str, before: int) -> None:
    redactor = LearningRedactor({})
    redactor.learn(secret)
    shown = show("ab " * (before // 3) + secret + " and more words" * 9)
    assert "canary" not in shown
    assert len(shown) <= 120


@pytest.mark.parametrize("show", [expectations.show, openapi.show])
@pytest.mark.parametrize("token", ["canary-" + "0123456789" * 9, "canary." + "aB-_~+/=" * 9])
def test_a_token_across_the_cut_that_another_process_knows_leaves_no_part(
    show: Callable[[object], str], token: str
) -> None:
    for before in range(0, 120, 7):
        shown = show("x " * (before // 2) + token + " and more words" * 9)
        assert "canary" not in Redactor([token]).clean(shown)


@pytest.mark.parametrize("secret", ["canary-part-of-a-secret", "canary;pass,word;2024"])
def test_a_secret_in_a_revealed_connection_string_leaves_no_part(secret: str) -> None:
    redactor = LearningRedactor({})
    redactor.learn(secret)
    (found,) = leaks(httpx.Response(500, text=f"mysql://host/{'d' * 75}?c={secret}&more={'e' * 99}"))
    assert "canary" not in found


def test_a_ledger_without_a_file_learns_secrets_for_messages() -> None:
    """The prober and the load have no other redactor."""
    ledger = Ledger(None, ["canary one-two"])
    ledger.learn("canary three-four")
    text = "words " * 17 + "canary one-two canary three-four " * 3
    assert "canary" not in excerpt(text, 120)
    del ledger
    gc.collect()
    assert "canary" in excerpt("canary one-two", 120)


def test_what_each_redactor_of_the_process_learnt_is_hidden() -> None:
    first, second = LearningRedactor({}), LearningRedactor({})
    first.learn("canary-first")
    second.learn("canary-second")
    assert clean_for_all("canary-first canary-second password=canary") == "[redacted] [redacted] password=[redacted]"


@pytest.mark.parametrize("show", [expectations.show, openapi.show])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("日本語の" * 60, f'"{"日本語の" * 25}日… (242 characters)'),
        ("ภาษา" * 60, f'"{"ภาษา" * 25}ภ… (242 characters)'),
        (f"a{'🎉' * 200}", f'"a{"🎉" * 100}… (203 characters)'),
        (f"https://a.example:8443/orders/12/{'x' * 150}/3", '"https://a.example:8443/orders/12/… (187 characters)'),
        (f"/orders/{'x' * 150}", '"/orders/… (160 characters)'),
        (f"/orders?next={'x' * 150}", '"/orders?… (165 characters)'),
        (f"see /api/v1/{'x' * 150}", '"see /api/v1/… (164 characters)'),
        (f"see /api/?next=/{'x' * 50}/{'y' * 150}", '"see /api/?… (219 characters)'),
        ("x" * 150, '"… (152 characters)'),
        ("one two " * 20, f'"{"one two " * 12}one … (162 characters)'),
    ],
)
def test_a_long_value_without_a_blank_shows_its_beginning_or_its_length(
    show: Callable[[object], str], text: str, shown: str
) -> None:
    assert show(text) == shown


@pytest.mark.parametrize(
    "token",
    [
        "/9j/canary/" + "aB+" * 50,
        "é/canary-" + "aé" * 70,
        "canary/" * 30,
        "ftp://u:canary/" + "a" * 150,
        "https://u:canary/a@a.example/" + "a" * 150,
        "/orders?next=canary/" + "aB+" * 50,
        "https://a.example/?next=canary/" + "aB+" * 50,
        "/a/+canary" + "x" * 150,
        "canary€" * 30,
    ],
)
def test_a_long_value_that_may_be_a_secret_leaves_no_part(token: str) -> None:
    for before in ("", "see ", "日本"):
        assert "canary" not in expectations.show(before + token)


def test_a_known_secret_among_letters_without_blanks_leaves_no_part() -> None:
    redactor = LearningRedactor({})
    redactor.learn("カナリアの秘密の鍵", "/canary/part/of")
    for before in range(85, 125):
        assert "カ" not in expectations.show("日" * before + "カナリアの秘密の鍵" + "本" * 99)
        assert "canary" not in expectations.show("/orders/" + "a/" * (before // 2) + "x/canary/part/of/" + "a/" * 99)


@pytest.mark.parametrize("secret", ["カナリアの" * 200, "canary/" * 200])
def test_a_long_known_secret_leaves_no_part_where_the_reading_ends(secret: str) -> None:
    redactor = LearningRedactor({})
    redactor.learn(secret)
    shown = expectations.show("/orders/" + f"{secret}/" * 9)
    assert "カ" not in shown
    assert "canary" not in shown


@given(st.text(), st.integers(10, 50))
def test_an_excerpt_is_short_and_the_beginning_of_the_text(text: str, longest: int) -> None:
    found = excerpt(text, longest)
    assert len(found) <= longest
    if len(text) > longest and Redactor(()).clean(text) == text:
        assert text.startswith(found.removesuffix("…"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three four", "one two …"),
        ("one two th ree four", "one two th…"),
        ("one two  three four", "one two  …"),
        ("onetwothreefour", "…"),
        ('{"a":1,"b":2,"c":3}', '{"a":1,"b"…'),
        ("one two thr", "one two thr"),
    ],
)
def test_a_text_is_cut_between_two_words(text: str, shown: str) -> None:
    assert excerpt(text, 11) == shown

"""Redaction of long texts that a service may choose: the time must grow with the length, not with its square.

A pattern that holds the interpreter's lock cannot be interrupted from a thread, so that another process cleans the texts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from verification.redaction.redactor import Redactor

ROOT = Path(__file__).resolve().parents[2]
# With patterns that begin again inside a run of characters each of these programs takes minutes to hours.
ENOUGH_S = 30


def run(program: str) -> str:
    """Run a Python program in the project, and return its output; fail after 30 s."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=ENOUGH_S
    ).stdout.strip()


def clean_repeated(unit: str, size: int) -> str:
    """Return a program that cleans a text of many repetitions, and prints whether a secret after it is hidden."""
    text = f"'key: ' + {unit!r} * {size // len(unit)} + ' \"my-token\": \"canary\" @ ://'"
    return f"from verification.redaction.redactor import Redactor\nprint('canary' in Redactor(()).clean({text}))"


@pytest.mark.parametrize(
    ("unit", "size"),
    [("abc-", 2_000_000), ("a.", 300_000), ("\\", 300_000), ('a-key:x"', 300_000), ("?code=1", 300_000)],
)
def test_a_long_text_is_cleaned_in_a_time_that_grows_with_its_length(unit: str, size: int) -> None:
    assert run(clean_repeated(unit, size)) == "False"


@pytest.mark.parametrize(("begin", "unit"), [("File ", "\\"), ("", "-/")])
def test_leaks_are_looked_for_in_a_time_that_grows_with_the_length(begin: str, unit: str) -> None:
    text = f"{begin!r} + {unit!r} * {300_000 // len(unit)} + ' Werkzeug'"
    program = (
        f"import httpx\nfrom verification.contract.leaks import leaks\nprint(leaks(httpx.Response(500, text={text})))"
    )
    assert "Werkzeug" in run(program)


@pytest.mark.parametrize("text", ["'\\x9b' * 200_000 + 'm' * 200_000", "'\\x9d' * 400_000", "'\\x90' * 400_000"])
def test_control_characters_are_removed_in_a_time_that_grows_with_the_length(text: str) -> None:
    program = f"from verification.redaction.printable import printable\nprint(printable({text} + 'end').isprintable())"
    assert run(program) == "True"


@pytest.mark.parametrize("module", ["verification.journeys.expectations", "verification.contract.openapi"])
def test_only_the_beginning_of_an_answer_is_cleaned_for_a_message(module: str) -> None:
    """An answer can have 16 MB."""
    program = (
        f"from {module} import show\ntext = show('my key: ' + 'abc-' * 4_000_000)\nprint(len(text) <= 120, text[:8])"
    )
    assert run(program) == 'True "my key:'


@pytest.mark.parametrize(
    "text",
    [
        "note-x: seven; X-Auth-Token: canary",
        "GET /x?next=/y?token=canary",
        "--my-password='canary'",
        "x" * 200 + "-token: canary",
    ],
)
def test_a_secret_after_a_name_that_is_read_backwards_is_hidden(text: str) -> None:
    assert "canary" not in Redactor(()).clean(text)

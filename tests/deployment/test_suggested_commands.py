"""A suggested command works on the environment that the failed one named."""

from __future__ import annotations

import pytest

from deployment.evidence.sentence import name_environment

BEFORE = "Wait; `python scripts/deploy.py status` shows it, `python scripts/deploy.py recover` recovers it."
AFTER = (
    "Wait; `python scripts/deploy.py status --environment eu` shows it, "
    "`python scripts/deploy.py recover --environment eu` recovers it."
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (BEFORE, AFTER),
        (AFTER, AFTER),
        (
            "`python scripts/deploy.py recover --keep-live REASON`",
            "`python scripts/deploy.py recover --environment eu --keep-live REASON`",
        ),
        (
            "`python scripts/deploy.py rollback --redeploy --environment us`, or `python scripts/deploy.py status`",
            "`python scripts/deploy.py rollback --redeploy --environment us`, or `python scripts/deploy.py status --environment eu`",
        ),
        ("start one: python scripts/deploy.py up", "start one: python scripts/deploy.py up --environment eu"),
        ("python scripts/deploy.py down, then up", "python scripts/deploy.py down, then up"),
        ("python scripts/deploy.py audit verify", "python scripts/deploy.py audit verify"),
    ],
)
def test_suggested_commands_name_the_environment(text: str, named: str) -> None:
    assert name_environment(text, "eu") == named
    assert name_environment(text, None) == text

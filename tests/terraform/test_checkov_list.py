"""How checkov's results are judged; `make checkov` runs checkov itself, which is too large for `make test`."""

from __future__ import annotations

import tomllib

from tests.terraform.checkov_run import LISTED, judge

LIST = {"passes": ["CKV_1"], "fails": {"CKV_2": "for a reason"}}


def test_as_listed() -> None:
    assert judge(LIST, [("CKV_1", "a"), ("CKV_9", "a")], [("CKV_2", "b")]) == []


def test_each_difference_is_told() -> None:
    """A new failure, a check that was run on nothing, and an exception that nothing needs any more."""
    assert judge(LIST, [], [("CKV_3", "b")]) == [
        "CKV_3 fails on b",
        "CKV_1 was run on nothing",
        "CKV_2 fails nowhere any more: take it off the list",
    ]


def test_every_exception_has_its_reason() -> None:
    listed = tomllib.loads(LISTED.read_text(encoding="utf-8"))
    assert len(listed["passes"]) > 20
    assert all(len(reason) >= 8 for reason in listed["fails"].values())
    assert not set(listed["passes"]) & set(listed["fails"])

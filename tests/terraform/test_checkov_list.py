"""The comparison of checkov's results with the list; `make checkov` runs checkov itself, too large for `make test`."""

from __future__ import annotations

import tomllib

from tests.terraform.checkov_run import LISTED, judge

LIST = {"passes": ["CKV_1"], "fails": {"CKV_2": "for a reason"}}


def test_results_as_listed() -> None:
    assert judge(LIST, [("CKV_1", "a"), ("CKV_9", "a")], [("CKV_2", "b")]) == []


def test_each_difference_is_reported() -> None:
    """A new failure, a check that ran on no resource, and an exception that no check needs any more."""
    assert judge(LIST, [], [("CKV_3", "b")]) == [
        "CKV_3 fails on b",
        "CKV_1 ran on no resource",
        "CKV_2 no longer fails anywhere: remove it from the list",
    ]


def test_every_exception_has_its_reason() -> None:
    listed = tomllib.loads(LISTED.read_text(encoding="utf-8"))
    assert len(listed["passes"]) > 20
    assert all(len(reason) >= 8 for reason in listed["fails"].values())
    assert not set(listed["passes"]) & set(listed["fails"])

"""A mistake in a statement or key of the description: no check fails because of it, but a warning reports it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gates.verifying import Bench, changed_description

FIND, REVOKED = "FROM consults WHERE id = %s", "telehealth:revoked:{sha256}"
CHECKS = ("database/test_database.py", "redis/test_redis.py")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("right", "wrong", "warning"),
    [
        (FIND, FIND.replace("consults", "consultations"), "database: the setting stores.database.find does not find"),
        (FIND, f"{FIND} AND user_id IS NULL", "database: the setting stores.database.find does not find"),
        (REVOKED, REVOKED.replace("revoked", "revoke"), "redis: the setting stores.redis.revoked names no key"),
        (REVOKED, REVOKED, None),
    ],
    ids=["another table", "finds nothing", "another key", "as shipped"],
)
def test_mistake_is_a_warning(bench: Bench, tmp_path: Path, right: str, wrong: str, warning: str | None) -> None:
    own = changed_description(tmp_path, right, wrong)
    with bench.serving(None) as service, bench.live() as live:
        ran = bench.verify(service, CHECKS, settings=own, beside=live)
    assert ran.code == 0, ran.output
    warnings = [line.strip() for line in ran.output.splitlines() if "WARNING" in line]
    assert [line.startswith(f"WARNING  {warning}") for line in warnings] == ([] if warning is None else [True])

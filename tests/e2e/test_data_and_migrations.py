"""The effect of a candidate on the live colour's users and data: rollback, irreversible migrations, harmful migrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.bookings import Bookings
from tests.e2e.conftest import open_sandbox
from tests.e2e.images import FAILS_WHEN_LIVE, Fault, make_registry
from tests.e2e.sandbox import Sandbox
from tests.gates.faults_stores import MIGRATIONS

WANTS_A_COLUMN = next(one.fault for one in MIGRATIONS if one.name == "wants-a-column")
ONE_WAY = Fault(
    "one-way",
    FAILS_WHEN_LIVE.file,
    FAILS_WHEN_LIVE.before,
    FAILS_WHEN_LIVE.after,
    (("MIGRATION", "", "irreversible\n"),),
)


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a sandbox of this file's own, 1.0.0 live on blue: the last test leaves a database that no other test can use."""
    registry: Path = make_registry(tmp_path_factory.mktemp("beside") / "registry", (WANTS_A_COLUMN, ONE_WAY))
    with open_sandbox(registry) as made:
        ran = made.script("up")
        assert ran.code == 0, ran.output
        yield made


@pytest.mark.soak
def test_data_survives_promotion_and_rollback(own_sandbox: Sandbox) -> None:
    """A session and rows of before and after the promotion are kept on 1.0.0, on 1.1.0, and on 1.0.0 again."""
    bookings = Bookings(own_sandbox)
    before = bookings.book()
    assert own_sandbox.pytest("--environment=quick", "--target=green").code == 0
    during = bookings.book(notes="which 1.0.0 does not know")
    bookings.assert_kept({**before, "notes": None})
    assert own_sandbox.undo("rollback").code == 0
    own_sandbox.assert_live("blue", images.OLD)
    for booked in (before, during):
        bookings.assert_kept(booked)
    bookings.close()


@pytest.mark.soak
def test_irreversible_release(own_sandbox: Sandbox) -> None:
    """Refused without the option; frozen if it fails after the switch; then only a person's decision moves traffic."""
    options = ("--environment=quick", "--target=green", f"--image-tag={ONE_WAY.tag}")
    refused = own_sandbox.pytest(*options)
    assert (refused.code, refused.facts["verdict"]) == (4, "refused"), refused.output
    frozen = own_sandbox.pytest(*options, "--allow-irreversible=we know")
    assert (frozen.code, frozen.facts["verdict"]) == (11, "rollback_failed"), frozen.output
    assert "; frozen: the migration of telehealth-api:1.1.0-one-way is irreversible" in frozen.facts["reason"]
    assert "FROZEN: " in frozen.output
    status = own_sandbox.status()
    assert (status["live"]["colour"], status["deployment"]["phase"]) == ("green", "HALTED")
    for command, code in (
        (("recover",), 11),
        (("recover", "--keep-live", "it is ill, though"), 11),
        (("rollback", "--allow-irreversible", "the lock is another's"), 4),
        (("recover", "--allow-irreversible", "1.0.0 reads it"), 0),
    ):
        ran = own_sandbox.script(*command, "--reports", str(own_sandbox.reports))
        assert ran.code == code, ran.output
        assert "Traceback" not in ran.output
    own_sandbox.assert_live("blue", images.OLD)


@pytest.mark.soak  # tests/gates tries such a migration in `make test`
def test_migration_that_harms_live_is_rejected(own_sandbox: Sandbox) -> None:
    """Rejected before the candidate's gates run; the reason names the harm to live's users and the next step."""
    ran = own_sandbox.pytest("--target=green", f"--image-tag={WANTS_A_COLUMN.tag}")
    assert ran.code == 1, ran.output
    assert (ran.facts["verdict"], ran.facts["live_harmed"]) == ("rejected", True)
    reason = ran.facts["reason"]
    assert reason.startswith("bystander: live is well after the start (book a consult): "), reason
    assert "live blue (1.0.0) is harmed: book a consult, book: POST /consults on live: status 500" in reason
    assert "to do: " in reason
    assert {ran.gate(name)["outcome"] for name in ("auth", "endpoints", "load", "live")} == {"not_run"}
    assert own_sandbox.status()["live"]["colour"] == "blue"

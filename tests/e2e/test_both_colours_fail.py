"""The database that both colours use is gone during the bake: the run goes back, and the reason has the figures of both."""

from __future__ import annotations

import re
import signal

import pytest

from infrastructure.embedded.layout import Layout
from infrastructure.embedded.processes import lifecycle
from tests.e2e import images
from tests.e2e.sandbox import Sandbox

BOTH = r"both colours failed: green \d+ of \d+ requests through the live domain, blue \d+ of \d+ requests at its own address"


def stop_database(sandbox: Sandbox) -> None:
    """Stop PostgreSQL as the environment does."""
    layout = Layout(sandbox.state.resolve())
    server = lifecycle.recorded(layout, "postgres")
    assert server is not None
    assert lifecycle.stop(layout, server, signal.SIGINT)


@pytest.mark.soak
@pytest.mark.parametrize("repaired", [True, False], ids=["repaired", "lost"])
def test_database_is_gone_during_the_bake(sandbox: Sandbox, repaired: bool) -> None:
    """10 if the database is back before ``rollback_timeout``; 11 if not, because the previous colour cannot be verified."""
    assert sandbox.script("up").code == 0
    running = sandbox.begin_pytest("--target=green")
    running.wait_for("intent", "bake")
    stop_database(sandbox)
    if repaired:
        running.wait_for("intent", "rollback")
        assert sandbox.script("up").code == 0, "up repairs the environment"
    ran = sandbox.wait(running)
    print(ran.facts["reason"])
    assert (ran.code, ran.facts["verdict"]) == ((10, "rolled_back") if repaired else (11, "rollback_failed")), (
        ran.output
    )
    assert re.search(BOTH, ran.facts["reason"]), ran.facts["reason"]
    assert re.match("bake: .*" + BOTH, ran.facts["rollback"]["reason"]), ran.facts["rollback"]
    if not repaired:
        assert ran.facts["reason"].startswith("rollback: traffic is back on blue, but "), ran.facts["reason"]
        assert sandbox.script("up").code == 0
        assert sandbox.undo("recover").code == 0
    sandbox.assert_live("blue", images.OLD)

"""Invalid options are refused before anything is touched, with a message and a report."""

from __future__ import annotations

import pytest

from tests.e2e import images
from tests.e2e.sandbox import Sandbox
from tests.soak import sample

REFUSALS = {
    "unknown tag": (["--target=green", "--image-tag=9.9.9"], "9.9.9"),
    "unknown environment": (["--target=green", "--environment=prod"], "prod"),
    "unknown colour": (["--target=purple"], "purple"),
    "image without target": (["--image-tag=1.1.0"], "--target"),
    "address and target": (["--target=green", "--base-url=http://127.0.0.1:1"], "--base-url"),
    "-k": (["--target=green", "-k", "health"], "-k"),
    "-m": (["--target=green", "-m", "not slow"], "-m"),
    "--deselect": (["--target=green", "--deselect=suites/service.yaml::live::bake"], "--deselect"),
    "--lf": (["--target=green", "--lf"], "--lf"),
    "a path": (["--target=green", "suites/health"], "a path"),
    "with workers": (["--target=green", "-k", "health", "-n", "2"], "-k"),
    "live colour": (["--target=blue"], "blue is live"),
}


# tests/plugins tries all of them in milliseconds; here one runs as a process, as a user types it.
TYPED = {"unknown tag"}


@pytest.mark.parametrize("case", sample(REFUSALS, *TYPED))
def test_refused(up_sandbox: Sandbox, case: str) -> None:
    """Exit 4, the message names the option or value, no step, no gate, nothing touched."""
    options, word = REFUSALS[case]
    before = up_sandbox.running()
    ran = up_sandbox.pytest(*options)
    assert ran.code == 4, ran.output
    assert word in ran.output.partition("= verdict =")[2]
    assert (ran.facts["verdict"], ran.facts["exit_code"], ran.facts["steps"]) == ("refused", 4, [])
    assert {gate["outcome"] for gate in ran.facts["gates"]} == {"not_run"}
    assert (ran.facts["promotion"], ran.facts["rollback"]) == (None, None)
    assert word in ran.facts["reason"]
    assert up_sandbox.running() == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param(["--collect-only", "-q"], 0, marks=pytest.mark.soak),
        pytest.param(["--collect-only", "-q", "--target=green"], 0, marks=pytest.mark.soak),
        (["tests/verification/test_statistics.py", "-q", "-p", "no:cacheprovider"], 0),
        (["--target=green", "--plan"], 0),
        pytest.param(["--target=green", "--plan", "--image-tag=9.9.9"], 4, marks=pytest.mark.soak),
        pytest.param(["--target=blue", "--plan"], 4, marks=pytest.mark.soak),
    ],
    ids=["collect", "collect a deployment", "ordinary", "plan", "plan of an unknown tag", "plan for the live colour"],
)
def test_no_report(up_sandbox: Sandbox, options: list[str], code: int) -> None:
    """A command that neither deploys nor verifies writes no report and changes nothing."""
    before = up_sandbox.running()
    ran = up_sandbox.pytest(*options)
    assert ran.code == code, ran.output
    assert ran.folder is None
    assert up_sandbox.running() == before


def test_rollback_without_a_promotion(up_sandbox: Sandbox) -> None:
    """`rollback` is refused in an environment that never promoted."""
    ran = up_sandbox.undo("rollback")
    assert ran.code == 4, ran.output
    assert "no promotion can be undone" in ran.output


@pytest.mark.soak
def test_recover_without_a_deployment(up_sandbox: Sandbox) -> None:
    """`recover` with nothing to do succeeds, also if it is repeated."""
    for _ in range(2):
        ran = up_sandbox.undo("recover")
        assert ran.code == 0, ran.output
        assert "nothing to recover" in ran.output
    up_sandbox.assert_live("blue", images.OLD)

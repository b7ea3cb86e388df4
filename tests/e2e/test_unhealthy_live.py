"""The live colour is unhealthy: a deployment is rejected unless ``--allow-unhealthy-live`` gives the reason to deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.conftest import open_sandbox
from tests.e2e.images import make_registry

LIST = '        limit = _limit(request.query_params.get("limit"))\n'
HEALTH = '        return JSONResponse({"status": "ok", "version": self._version}'
SICK = '        raise RuntimeError("sick")\n' + LIST
DEPLOY = ("--environment=quick", "--target=green")


@pytest.mark.soak
def test_unhealthy_live_needs_the_option(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Live's health is ok but its list answers 500: rejected before provisioning, then promoted with a recorded reason."""
    registry = make_registry(tmp_path_factory.mktemp("sick") / "registry")
    _spoil(registry / images.REPOSITORY / images.OLD / "app" / "consults.py")
    with open_sandbox(registry) as sandbox:
        assert sandbox.script("up").code == 0
        refused = sandbox.pytest(*DEPLOY)
        assert (refused.code, refused.facts["verdict"], refused.facts["live_harmed"]) == (1, "rejected", False)
        assert refused.facts["reason"].startswith("lease: blue is live and already unhealthy: "), refused.facts[
            "reason"
        ]
        assert refused.intents("provision") == 0
        mended = sandbox.pytest(*DEPLOY, "--allow-unhealthy-live=1.1.0 lists again")
        assert (mended.code, mended.facts["verdict"], mended.facts["live_harmed"]) == (0, "promoted", False), (
            mended.output
        )
        sandbox.assert_live("green", images.NEW)
        bystander = mended.gate("bystander")
        assert bystander["outcome"] == "failed"
        assert "the live colour was already unhealthy: 1.1.0 lists again (by arn:" in bystander["waived"]
        assert mended.gate("live")["outcome"] == "passed"
        back = sandbox.undo("rollback")
        assert back.code == 1, "a rollback to an unhealthy colour moves no traffic"
        assert "the previous colour blue is not (GET /consults" in back.facts["reason"], back.facts["reason"]
        sandbox.assert_live("green", images.NEW)


@pytest.mark.soak
def test_rollback_to_a_live_colour_that_was_unhealthy_before(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Live's list answers 500 before and after the rollback: exit 10, and the reason names it."""
    fault = images.FAILS_LATER
    registry = make_registry(tmp_path_factory.mktemp("sick") / "registry", (fault,))
    _spoil(registry / images.REPOSITORY / images.OLD / "app" / "consults.py")
    with open_sandbox(registry) as sandbox:
        assert sandbox.script("up").code == 0
        ran = sandbox.pytest(
            "--target=green", f"--image-tag={fault.tag}", "--allow-unhealthy-live=this release lists again"
        )
        assert (ran.code, ran.facts["verdict"]) == (10, "rolled_back"), ran.output
        reason = ran.facts["reason"]
        assert "still wrong with blue, as before the deployment: GET /consults" in reason, reason
        (sick,) = ran.journal("sick")
        assert (sick["reason"], sick["problems"]) == (
            "this release lists again",
            [f"GET /consults?limit={limit}: status 500, expected 200" for limit in (20, 100)],
        )
        sandbox.assert_live("blue", images.OLD)


@pytest.mark.soak
def test_rollback_to_a_health_check_that_failed_before(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Live's health check answers 503 before and after the rollback; all else works: exit 10."""
    fault, folder = images.FAILS_LATER, tmp_path_factory.mktemp("sick")
    registry = make_registry(folder / "registry", (fault,))
    sick = f"        if __import__('os').path.exists({str(folder / 'sick')!r}):\n            return problem_response(503, 'sick')\n"
    _spoil(registry / images.REPOSITORY / images.OLD / "app" / "health.py", HEALTH, sick + HEALTH)
    with open_sandbox(registry) as sandbox:
        assert sandbox.script("up").code == 0
        (folder / "sick").touch()
        ran = sandbox.pytest(
            "--target=green", f"--image-tag={fault.tag}", "--allow-unhealthy-live=this release is healthy again"
        )
        assert (ran.code, ran.facts["verdict"]) == (10, "rolled_back"), ran.output
        still = "still wrong with blue, as before the deployment: GET /health: status 503, expected 200"
        assert still in ran.facts["reason"], ran.facts["reason"]
        (folder / "sick").unlink()
        sandbox.assert_live("blue", images.OLD)


def _spoil(source: Path, before: str = LIST, after: str = SICK) -> None:
    text = source.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"the patch no longer fits {source.name}"
    source.write_text(text.replace(before, after), encoding="utf-8")

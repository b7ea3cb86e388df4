"""What is live is sick already: nothing is deployed on top of it, unless somebody says that the release mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.conftest import open_desk
from tests.e2e.images import make_registry

LIST = '        limit = _limit(request.query_params.get("limit"))\n'
SICK = '        raise RuntimeError("sick")\n' + LIST
DEPLOY = ("--environment=quick", "--target=green")


@pytest.mark.soak
def test_the_release_that_mends_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Live's health is good and its list answers 500: rejected before provisioning, then promoted with a reason, on the record."""
    registry = make_registry(tmp_path_factory.mktemp("sick") / "registry")
    _spoil(registry / images.REPOSITORY / images.OLD / "app" / "consults.py")
    with open_desk(registry) as desk:
        assert desk.script("up").code == 0
        refused = desk.pytest(*DEPLOY)
        assert (refused.code, refused.facts["verdict"], refused.facts["live_harmed"]) == (1, "rejected", False)
        assert refused.facts["reason"].startswith("lease: blue is live and already sick: "), refused.facts["reason"]
        assert refused.intents("provision") == 0
        mended = desk.pytest(*DEPLOY, "--allow-unhealthy-live=1.1.0 lists again")
        assert (mended.code, mended.facts["verdict"], mended.facts["live_harmed"]) == (0, "promoted", False), (
            mended.output
        )
        desk.assert_live("green", images.NEW)
        bystander = mended.gate("bystander")
        assert bystander["outcome"] == "failed"
        assert "live was sick already: 1.1.0 lists again (by arn:" in bystander["waived"]
        assert mended.gate("live")["outcome"] == "passed"
        back = desk.undo("rollback")
        assert back.code == 1, "nobody is sent back to a colour that is not well"
        assert "the previous colour blue is not (GET /consults" in back.facts["reason"], back.facts["reason"]
        desk.assert_live("green", images.NEW)


def _spoil(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert text.count(LIST) == 1, f"the patch does not fit {source.name} any more"
    source.write_text(text.replace(LIST, SICK), encoding="utf-8")

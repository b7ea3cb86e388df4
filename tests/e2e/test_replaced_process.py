"""A check that ends or replaces pytest's process after the switch: ``deploy`` recovers the run and does not end with 0."""

from __future__ import annotations

import json

import pytest

from tests.docs.checkout import Checkout, checkout

ENDS = {
    "exit": "    ctypes.CDLL(None)._exit(0)\n",
    "execv": '    os.execv("/bin/true", ["/bin/true"])\n',
}


@pytest.mark.soak
@pytest.mark.parametrize("how", ENDS)
def test_exit_0_after_the_switch_is_rolled_back(how: str) -> None:
    """The issue's input: traffic is on green, no report is written, and the process exits with 0."""
    with checkout() as copy:
        check = f"import ctypes\nimport os\n\n\ndef test_last_word(live):\n{ENDS[how]}"
        path = copy.folder / "suites" / "live" / "test_a_last_word.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(check, encoding="utf-8")
        assert copy.bash("python scripts/deploy.py up").code == 0
        before = receipts(copy)
        ran = copy.bash("python scripts/deploy.py deploy --image-tag 1.1.0 --target green")
        assert ran.code == 10, ran.output
        assert "has no closed report with this exit code: recovering it" in ran.output
        (report,) = receipts(copy) - before
        facts = json.loads((copy.folder / "reports" / report / "verification.json").read_text(encoding="utf-8"))
        assert (facts["verdict"], facts["recovered"]) == ("rolled_back", True)
        status = json.loads(copy.bash("python scripts/deploy.py status --json").output)
        assert (status["live"]["colour"], status["deployment"], status["lock"]) == ("blue", None, None)


def receipts(copy: Checkout) -> set[str]:
    return {path.parent.name for path in copy.reports()}

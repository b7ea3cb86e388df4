"""The script that starts the tests for `make test`, with their temporary files in memory if there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("in_memory.sh")


def test_exit_code_is_the_commands_and_nothing_is_left() -> None:
    """The folder is where Python puts temporary files; it is gone afterwards, unless it is the machine's own."""
    program = "import tempfile; print(tempfile.mkdtemp()); raise SystemExit(3)"
    ran = subprocess.run([SCRIPT, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    made = Path(ran.stdout.strip())
    assert (ran.returncode, ran.stderr) == (3, "")
    if made.parent.parent == Path("/dev/shm"):  # noqa: S108  # the folder that the script uses
        assert not made.parent.exists()
    else:
        made.rmdir()

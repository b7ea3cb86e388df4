"""How long a page of 10,000 checks takes in Chromium until it is loaded, and until a search shows its result.

python benchmarks/page.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.page import browser, runs

ROUNDS = 5


def main() -> int:
    """Print the times of each round; return the exit code."""
    if problem := browser.missing():
        sys.exit(problem)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        page = runs.many(Path(folder) / "many") / "report.html"
        print(
            f"built in {time.monotonic() - begin:.1f} s, {page.stat().st_size / 1e6:.1f} MB; load {os.getloadavg()[0]:.1f}"
        )
        looks = [browser.Look(str(n), page.as_uri(), axe=False, search="operation 9867 ") for n in range(ROUNDS)]
        for found in browser.look(*looks).values():
            print(f"loaded after {found['loaded_ms']:.0f} ms, searched in {found['searched']['ms']:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())

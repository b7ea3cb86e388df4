"""How long a release that turns bad once it is live harms users of the live domain: measured in whole deployments.

    python benchmarks/detection.py [--repeats 3] [--fault errors some-errors slow]

Each release is 1.1.0 with one change: after three seconds of users' requests, all of its answers are errors, a random fifth of
them are, or each takes 16 ms longer, which is five times the usual. It marks such an answer with a header. Beside the prober, a
user sends requests in a closed loop; the harm lasts from the first marked answer to the last one. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "infrastructure" / "embedded" / "registry"
IMAGES = "telehealth-api"
GOAL_S = {"errors": 2.0, "some-errors": 5.0, "slow": 10.0}
MARK = "x-fault"

_ENTRY = "        status = 0\n\n        async def watched"
# Only users send requests with the live domain's host without a pause.
_TURNS_BAD = """        now = time.monotonic()
        if any(n == b"x-forwarded-host" and v.startswith(b"api.") for n, v in scope["headers"]):
            if now - getattr(self, "last", 0.0) > 1.0:
                self.since = now
            self.last = now
            bad = now - self.since > 3.0
        else:
            bad = False
"""
_ANSWERS_500 = """        if bad{when}:
            async def marked(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-fault", b"1")]
                await send(message)
            await problem_response(500)(scope, receive, marked)
            return
"""
_SLEEPS = """        if bad:
            await __import__("asyncio").sleep(0.016)
            inner = send
            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-fault", b"1")]
                await inner(message)
"""
FAULTS = {
    "errors": _ANSWERS_500.format(when=""),
    "some-errors": _ANSWERS_500.format(when=' and __import__("random").random() < 0.2'),
    "slow": _SLEEPS,
}


def registry(folder: Path) -> Path:
    """Write a registry with the two good releases and one release for each fault; return its folder."""
    shutil.copytree(SHIPPED / IMAGES, folder / IMAGES, ignore=shutil.ignore_patterns("__pycache__"))
    for name, change in FAULTS.items():
        image = folder / IMAGES / f"1.1.0-{name}"
        shutil.copytree(folder / IMAGES / "1.1.0", image)
        (image / "VERSION").write_text(f"{image.name}\n", encoding="utf-8")
        guard = image / "app" / "guard.py"
        text = guard.read_text(encoding="utf-8")
        if text.count(_ENTRY) != 1:
            raise SystemExit(f"the change no longer fits {guard}")
        guard.write_text(text.replace(_ENTRY, _TURNS_BAD + change + _ENTRY), encoding="utf-8")
    return folder


class User:
    """Requests the live domain's health in a closed loop, and records the time of each marked answer."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self.marked: list[float] = []
        self.asked = 0

    def __enter__(self) -> User:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _loop(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(self._host.rpartition(":")[2]), timeout=15)
        while not self._stop.wait(0.02):
            self.asked += 1
            connection.request("GET", "/health", headers={"Host": self._host})
            response = connection.getresponse()
            response.read()
            if response.headers.get(MARK):
                self.marked.append(time.monotonic())
        connection.close()


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command and wait for its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def harm(environment: dict[str, str], fault: str, reports: Path) -> tuple[float, dict[str, object]]:
    """Deploy the release; return the seconds from the user's first marked answer to the last (0 if none), and the report."""
    status = json.loads(run(environment, "scripts/deploy.py", "status", "--json").stdout)
    with User(status["live_url"]) as user:
        done = run(
            environment,
            *("-m", "pytest", "--target=auto", f"--image-tag=1.1.0-{fault}", "-q", f"--reports={reports}"),
        )
    report = json.loads((reports / "latest" / "verification.json").read_text(encoding="utf-8"))
    if done.returncode != 10:
        raise SystemExit(f"{fault}: exit code {done.returncode}, expected 10: {report['reason']}")
    # The prober may meet the fault and traffic may be back before this user gets a marked answer.
    return user.marked[-1] - user.marked[0] if user.marked else 0.0, report


def main() -> None:
    """Run the deployments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fault", choices=sorted(FAULTS), nargs="+", default=list(FAULTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user passes through it
        environment = {
            **os.environ,
            "EMBEDDED_STATE": str(folder / "state"),
            "EMBEDDED_REGISTRY": str(registry(folder / "registry")),
        }
        up = run(environment, "scripts/deploy.py", "up")
        if up.returncode != 0:
            raise SystemExit(up.stdout + up.stderr)
        try:
            for fault in options.fault:
                seconds = []
                for _ in range(options.repeats):
                    took, report = harm(environment, fault, folder / "reports")
                    seconds.append(took)
                    rollback: dict[str, object] = report["rollback"]  # type: ignore[assignment]  # docs/read-a-report.md
                    back = f"back by {rollback['switch_s']} s after the write"
                    print(f"  {fault}: {took:.2f} s, {back}; {report['reason']}", flush=True)
                most = f"minimum {min(seconds):.2f}, median {median(seconds):.2f}, maximum {max(seconds):.2f} s"
                print(
                    f"{fault}: first to last bad answer over {options.repeats} deployments: {most}; goal {GOAL_S[fault]:g} s"
                )
        finally:
            run(environment, "scripts/deploy.py", "down")


if __name__ == "__main__":
    main()

"""Deployments of a good release, each killed at a random moment and recovered by `recover`: is every resulting state safe?

    python benchmarks/random_kills.py [--runs 50] [--at-once 2] [--seed 1] [--seconds 240] [--table]

Each run is `make deploy`'s command in its own environment. Its pytest process gets SIGKILL; its prober, its Locust and the
environment stay alive. A state is safe if all of this holds after `recover` (and `up`, if the run died before its environment
was up): one healthy colour takes all traffic on the version that follows from the journal, the lock is free, no deployment is
under way, every journal is closed and has its report, the evidence verifies, and no request of a prober on the live domain
failed. Each result is appended to the file at once, so that a second call continues where the first one ended, for example
after `--seconds`. `--table` only prints.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from benchmarks.ending import clean_up_on_sigterm  # noqa: E402  # the path had to be set first
from deployment.evidence.journal import JOURNAL_FILE, read  # noqa: E402  # the path had to be set first
from deployment.recovery.status import describe  # noqa: E402
from deployment.settings import load  # noqa: E402
from infrastructure import compose, stopping  # noqa: E402
from infrastructure.description import service_of  # noqa: E402
from scripts.commands import audit  # noqa: E402
from tests.checkout import CHECKOUT, SETTINGS_FILE  # noqa: E402
from verification.prober.config import ProberConfig  # noqa: E402
from verification.prober.prober import Prober, ProberFailed  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "random-kills.jsonl"
OLD, NEW = ("blue", "1.0.0"), ("green", "1.1.0")
ANSWERS = 20
LONGEST_S = 300.0
Line = Mapping[str, Any]


@contextmanager
def room() -> Iterator[Path]:
    """Yield a folder for state and reports; kill every process that still runs in it afterwards, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="random-kills-"))
    folder.chmod(0o755)  # PostgreSQL's user passes through
    os.environ["EMBEDDED_STATE"] = str(folder / "state")
    try:
        yield folder
    finally:
        stopping.stop(CHECKOUT, force=True)
        for process in psutil.process_iter(["cmdline"]):
            if any(str(folder) in word for word in process.info["cmdline"] or ()):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Start `make deploy`'s command."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--target=green", f"--reports={folder / 'reports'}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def script(*arguments: str) -> tuple[int, str]:
    """Run `scripts/deploy.py ARGUMENTS`; return its exit code and its output."""
    command = [sys.executable, "scripts/deploy.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def undisturbed() -> float:
    """Return the seconds that a run takes on this machine if it is not killed."""
    with room() as folder:
        began = time.monotonic()
        code = begin(folder).wait(LONGEST_S)
        if code != 0:
            raise SystemExit(f"an undisturbed run ended with {code}")
        return time.monotonic() - began


def watch(folder: Path, process: subprocess.Popen[bytes], until: float) -> Prober | None:
    """Start a prober on the run's live domain once it is up; return None if ``until`` comes first."""
    settings = load(SETTINGS_FILE, None)
    while time.monotonic() < until and process.poll() is None:
        if (folder / "state" / "outputs.json").exists() and compose.is_up(settings):
            world = compose.connect(settings)
            config = ProberConfig(world.live_url, world.smoke_users[0], service_of(settings), rate=20, timeout_s=10)
            return Prober.start(config)
        time.sleep(0.05)
    return None


def one(number: int, seed: int, length: float) -> Line:
    """Start one run, kill it, recover it, and return the result."""
    draw = random.Random(f"{seed}-{number}")  # noqa: S311  # not a secret
    with room() as folder:
        while True:
            moment = draw.uniform(0, length)
            process = begin(folder)
            until = time.monotonic() + moment
            prober = watch(folder, process, until)
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    where, expected = _where(folder / "reports")
                    problems = _settle(folder / "reports", expected)
                    return _line(number, seed, moment, where, problems, prober)
            finally:
                if prober is not None:
                    prober.stop()
            shutil.rmtree(folder / "reports", ignore_errors=True)  # it ended before the moment: draw another one


def _runs(reports: Path) -> list[Path]:
    return [path.parent for path in reports.glob(f"*/{JOURNAL_FILE}") if not path.parent.is_symlink()]


def _where(reports: Path) -> tuple[str, tuple[str, str]]:
    """Return the step that was open or ended last, and the expected live colour and version: green only if the bake had passed."""
    records = [record for folder in _runs(reports) for record in read(folder / JOURNAL_FILE)]
    steps = [record for record in records if record.kind in ("intent", "outcome")]
    baked = any(r.kind == "outcome" and r.data["step"] == "bake" and r.data["outcome"] == "passed" for r in steps)
    if not records:
        return "before the journal", OLD
    if not steps:
        return "before the lease", OLD
    last = steps[-1]
    return f"{'in' if last.kind == 'intent' else 'after'} {last.data['step']}", NEW if baked else OLD


def _settle(reports: Path, expected: tuple[str, str]) -> list[str]:
    """Run `recover`; return the reasons why the state is not safe afterwards."""
    code, output = script("recover", "--reports", str(reports))
    problems = [f"recover: exit {code}: {output[-300:]}"] if code else []
    settings = load(SETTINGS_FILE, None)
    reached = compose.is_up(settings)
    if not reached:
        code, output = script("up")
        problems += [f"up: exit {code}: {output[-300:]}"] if code else []
    world = compose.connect(settings)
    status = describe(settings.environment, world.live_url, world.ports, world.registry)
    live = status["live"]["colour"], status["live"]["version"]
    if live != expected:
        problems.append(f"the live colour is {live}, expected {expected}")
    problems += [f"{name} is left: {status[name]}" for name in ("deployment", "lock") if status[name] is not None]
    answers = world.ports.front.ask(ANSWERS)
    seen = Counter((answer.colour, answer.version) if answer.ok else ("problem", answer.problem) for answer in answers)
    if seen != {expected: ANSWERS}:
        problems.append(f"the live domain answered {dict(seen)}")
    problems += world.ports.front.examine()
    for folder in _runs(reports):
        problems += _evidence(folder, expected == NEW, reached)
    return problems


def _evidence(folder: Path, promoted: bool, reached: bool) -> list[str]:
    """Return what is wrong with a run's report; check its evidence only if the environment was ``reached``, else it is unsigned."""
    path = folder / "verification.json"
    if not path.exists():
        return ["no report"]
    verdict = json.loads(path.read_text(encoding="utf-8"))["verdict"]
    output = StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = audit.verify(load(SETTINGS_FILE, None), folder)
    wrong = [] if (verdict == "promoted") is promoted else [f"the report says {verdict}"]
    return wrong + ([f"audit verify: exit {code}: {output.getvalue()[-600:]}"] if code and reached else [])


def _line(number: int, seed: int, moment: float, where: str, problems: list[str], prober: Prober | None) -> Line:
    requests = failed = 0
    if prober is not None:
        with suppress(ProberFailed):
            prober.wait_for_samples(1, 5)
        samples = prober.samples()
        requests, failed = len(samples), sum(not sample.ok for sample in samples)
        problems += [f"{s.operation} by {s.colour}: {s.problem}" for s in samples if not s.ok][:3]
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "seed": seed,
        "run": number,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "commit": git.stdout.strip(),
        "killed_after_s": round(moment, 2),
        "where": where,
        "requests": requests,
        "failed": failed,
        "problems": problems,
    }


def table(lines: list[Line]) -> str:
    """Return a table of the moments of the kills, and how many of the states were safe."""
    hit, safe = (
        Counter(line["where"] for line in lines),
        Counter(line["where"] for line in lines if not line["problems"]),
    )
    rows = [f"  {where:<20} {count:>5} {safe[where]:>5}" for where, count in hit.most_common()]
    bad = [f"  run {line['run']}: {problem}" for line in lines for problem in line["problems"]]
    commits = Counter(f"{line['commit']} ({line['date'].partition(' ')[0]})" for line in lines)
    requests, failed = (sum(line[name] for line in lines) for name in ("requests", "failed"))
    return "\n".join(
        [
            "  moment of the kill    runs  safe",
            *rows,
            *bad,
            f"  {sum(safe.values())} of {len(lines)} states were safe; {failed} of {requests} requests to the live domain failed",
            f"  at {', '.join(f'{commit}: {count}' for commit, count in commits.items())}",
        ]
    )


def run(numbers: list[int], options: argparse.Namespace) -> Iterator[Line]:
    """Yield the results of these runs, each in its own process, ``--at-once`` at a time; begin none after ``--seconds``."""
    until = time.monotonic() + options.seconds
    length = undisturbed()
    with ProcessPoolExecutor(options.at_once, mp_context=get_context("spawn")) as pool:
        left, running = list(numbers), set[Future[Line]]()
        while running or (left and time.monotonic() < until):
            while left and len(running) < options.at_once and time.monotonic() < until:
                running.add(pool.submit(one, left.pop(0), options.seed, length))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    if left:
        print(f"{len(left)} runs are left; call again to continue")


def main() -> None:
    """Run the missing runs and print the table."""
    clean_up_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin no run after this; call again to continue"
    )
    parser.add_argument("--at-once", type=int, default=2, help="most of a run is waiting")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="run nothing, print the results of the file")
    options = parser.parse_args()
    text = options.results.read_text(encoding="utf-8") if options.results.exists() else ""
    lines = [line for line in map(json.loads, text.splitlines()) if line["seed"] == options.seed]
    missing = [number for number in range(1, options.runs + 1) if number not in {line["run"] for line in lines}]
    if missing and not options.table:
        for line in run(missing, options):
            lines.append(line)
            options.results.parent.mkdir(parents=True, exist_ok=True)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(f"run {line['run']}: killed {line['where']}, {'; '.join(line['problems']) or 'safe'}", flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()

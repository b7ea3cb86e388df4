"""What a check costs: the same requests as a raw httpx loop, plain pytest with httpx, Tavern, checks in Python and checks in YAML.

    python benchmarks/checks.py [--checks 60 600] [--delay-ms 25] [--rounds 1] [--tavern PYTHON] [--without-tavern] [--only NAME]

All of them ask the same small server on this machine, which waits `--delay-ms` before each answer, as a service with a database
does. Each check asks one address and compares status, content type and two fields of the answer. CPU is user and system time of
the process and its children, without the server; `wall` is the time of the whole process. The column `start` is the CPU of a run
with one check. Figures per check are of the whole process (a tester waits for all of it), and, as `added`, what a further check adds:
the difference between the longest and the shortest run, divided by the checks between them.
Of several `--rounds` the one with the least CPU counts.

Tavern is installed into an environment of its own, because its pins conflict with this project's: a cache folder, made at the first
call; `--tavern` names the python of an environment that has it. Results are appended to benchmarks/results/checks.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from tests.soak import tree  # noqa: E402  # the path had to be set first

RESULTS = ROOT / "benchmarks" / "results" / "checks.jsonl"
TAVERN, PYTEST_OF_TAVERN = "tavern==3.7.1", "pytest==8.4.2"  # it cannot be imported beside pytest 9

SERVER = """
import asyncio, json, sys

DELAY = float(sys.argv[1]) / 1000


class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while b"\\r\\n\\r\\n" in self.data:
            head, _, self.data = self.data.partition(b"\\r\\n\\r\\n")
            number = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
            loop = asyncio.get_running_loop()
            loop.call_later(DELAY, self.answer, number) if DELAY else self.answer(number)

    def answer(self, number):
        body = json.dumps({"id": number, "status": "ok", "tags": ["a", "b"], "owner": {"name": "Smoke", "age": 5}}).encode()
        head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body)
        self.transport.write(head + body)


async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
"""

LOOP = """
import sys, httpx

url, number = sys.argv[1], int(sys.argv[2])
with httpx.Client(base_url=url, trust_env=False) as client:
    for one in range(number):
        answer = client.get(f"/items/{one}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body["id"] == str(one) and body["status"] == "ok"
"""

CONFTEST = """
import os, httpx, pytest


@pytest.fixture(scope="session")
def client():
    with httpx.Client(base_url=os.environ["TARGET"], trust_env=False) as client:
        yield client
"""

CHECK = """
def test_item_{n}(client):
    answer = client.get("/items/{n}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["id"] == "{n}" and body["status"] == "ok"
"""

TAVERN_CHECK = """
---
test_name: item {n}
stages:
  - name: ask
    request: {{url: "{url}/items/{n}", method: GET}}
    response:
      status_code: 200
      strict: false
      headers: {{content-type: application/json}}
      json: {{id: "{n}", status: ok}}
"""

YAML_CHECK = """
  - name: item {n}
    request: GET /items/{n}
    expect: {{status: 200, headers: {{Content-Type: application/json}}, body: {{id: "{n}", status: ok}}}}
"""

INI = """
[pytest]
testpaths = suites
addopts = --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:valkey -p no:locust
python_files = test_*.py
empty_parameter_set_mark = fail_at_collect
strict_config = true
strict_markers = true
strict_xfail = true
filterwarnings = error
"""
SERVICE = """
service: benchmark
health: {request: GET /items/health, version: none}
dependencies: none
sessions: none
journeys:
  read: {steps: [{name: read, request: GET /items/1, expect: {status: 200, body: {id: "1"}}}]}
"""
SETTINGS = """
default_environment = "benchmark"
[gates.endpoints]
IN_FLIGHT
[environments.benchmark]
provider = "embedded"
"""


@dataclass(frozen=True)
class Figures:
    """The cost of one run: seconds, and what its report holds."""

    name: str
    checks: int
    wall_s: float
    cpu_s: float
    evidence: str

    @property
    def wall_ms(self) -> float:
        """Return the wall time per check."""
        return self.wall_s / self.checks * 1000

    @property
    def cpu_ms(self) -> float:
        """Return the CPU per check."""
        return self.cpu_s / self.checks * 1000


@contextmanager
def server(folder: Path, delay_ms: float) -> Iterator[str]:
    """Yield the address of a server that waits ``delay_ms`` before each answer."""
    script = folder / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script), str(delay_ms)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None, "the server's output is a pipe"
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def tavern_python(given: Path | None) -> Path:
    """Return the python of an environment that has Tavern; make one in the cache folder if none is given."""
    if given is not None:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "deployment-benchmarks" / TAVERN.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", TAVERN, PYTEST_OF_TAVERN], check=True)
        (folder / "complete").touch()
    return python


def measured(name: str, checks: int, command: list[str], folder: Path, evidence: Callable[[], str]) -> Figures:
    """Run a command and return its cost. Raises SystemExit with its output if it fails."""
    names = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    environment |= {"PYTHONPATH": f"{ROOT}:{folder}", "EMBEDDED_STATE": str(folder / "state")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{name}: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(name, checks, wall, cpu, evidence())


def nothing() -> str:
    """Return the evidence of a tool that keeps none."""
    return "none"


class Tools:
    """The commands that are compared; each gets its project in a folder of its own."""

    def __init__(self, folder: Path, url: str, tavern: Path | None) -> None:
        self._folder, self._url, self._tavern = folder, url, tavern

    def all(self) -> Mapping[str, Callable[[str, int], Figures]]:
        """Return every tool by its name."""
        found: dict[str, Callable[[str, int], Figures]] = {"httpx loop": self._loop, "pytest with httpx": self._pytest}
        if self._tavern is not None:
            found["Tavern"] = self._run_tavern
        found["checks in Python"] = self._python
        found["checks in YAML, one by one"] = self._yaml_alone
        found["checks in YAML, concurrent"] = self._yaml
        return found

    def _new(self, name: str) -> Path:
        folder = self._folder / "".join(letter for letter in name if letter.isalnum())
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _loop(self, name: str, checks: int) -> Figures:
        folder = self._new(name)
        (folder / "loop.py").write_text(LOOP, encoding="utf-8")
        return measured(name, checks, [sys.executable, "loop.py", self._url, str(checks)], folder, nothing)

    def _pytest(self, name: str, checks: int) -> Figures:
        folder = self._new(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_items.py").write_text("".join(CHECK.format(n=n) for n in range(checks)), encoding="utf-8")
        os.environ["TARGET"] = self._url
        command = [sys.executable, "-m", "pytest", "-q", "--junitxml=junit.xml"]
        plugins = ("xdist", "html", "metadata", "hypothesispytest", "anyio", "valkey", "locust")
        command += [f"-pno:{plugin}" for plugin in plugins]
        return measured(name, checks, command, folder, lambda: "junit.xml")

    def _run_tavern(self, name: str, checks: int) -> Figures:
        folder = self._new(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        text = "".join(TAVERN_CHECK.format(n=n, url=self._url) for n in range(checks))
        (folder / "test_items.tavern.yaml").write_text(text, encoding="utf-8")
        command = [str(self._tavern), "-m", "pytest", "-q", "--junitxml=junit.xml"]
        return measured(name, checks, command, folder, lambda: "junit.xml")

    def _ours(self, name: str, checks: int, file: str, text: str, settings: str = "") -> Figures:
        folder = self._new(name)
        gate = folder / "suites" / "endpoints"
        gate.mkdir(parents=True)
        (folder / "pytest.ini").write_text(dedent(INI), encoding="utf-8")
        (folder / "conftest.py").write_text('pytest_plugins = ("plugins.framework",)\n', encoding="utf-8")
        (folder / "deployment.toml").write_text(SETTINGS.replace("IN_FLIGHT", settings), encoding="utf-8")
        shutil.copy(ROOT / "checklist.toml", folder)
        (folder / "suites" / "service.yaml").write_text(SERVICE, encoding="utf-8")
        (gate / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", f"--base-url={self._url}", f"suites/endpoints/{file}"]
        return measured(name, checks, command, folder, lambda: _evidence(folder, checks))

    def _python(self, name: str, checks: int) -> Figures:
        return self._ours(name, checks, "test_items.py", "".join(CHECK.format(n=n) for n in range(checks)))

    def _yaml(self, name: str, checks: int, settings: str = "") -> Figures:
        text = "checks:\n" + "".join(YAML_CHECK.format(n=n) for n in range(checks))
        return self._ours(name, checks, "items.yaml", text, settings)

    def _yaml_alone(self, name: str, checks: int) -> Figures:
        return self._yaml(name, checks, "checks_in_flight = 1")


def _evidence(folder: Path, checks: int) -> str:
    """Return what the report of a run holds. Raises SystemExit if a check is missing in it."""
    latest = folder / "reports" / "latest"
    report = json.loads((latest / "verification.json").read_text(encoding="utf-8"))
    passed = sum(gate["checks"] for gate in report["gates"] if gate["outcome"] == "passed")
    if passed != checks:
        raise SystemExit(f"the report has {passed} checks that passed, expected {checks}")
    values = (latest / "report.html").read_text(encoding="utf-8").count("answered in")
    return f"report, journal; {values} times of answers"


def show(found: Mapping[str, list[Figures]]) -> None:
    """Print the figures of all tools, one line for each number of checks."""
    print(f"{'':28} {'checks':>6} {'wall':>8} {'CPU':>8} {'wall':>9} {'CPU':>9} {'added CPU':>10}  evidence")
    print(f"{'':28} {'':>6} {'s':>8} {'s':>8} {'ms/check':>9} {'ms/check':>9} {'ms/check':>10}")
    for name, runs in found.items():
        for one in runs:
            first, last = runs[0], runs[-1]
            added = (last.cpu_s - first.cpu_s) / (last.checks - first.checks) * 1000 if last is not first else 0.0
            more = f"{added:10.2f}" if one is last and last is not first else " " * 10
            print(
                f"{name:28} {one.checks:6} {one.wall_s:8.2f} {one.cpu_s:8.2f} {one.wall_ms:9.2f} {one.cpu_ms:9.2f} {more}  {one.evidence}"
            )


def main() -> None:
    """Measure all tools and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, nargs="+", default=[60, 600])
    parser.add_argument("--delay-ms", type=float, default=25.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tavern", type=Path, metavar="PYTHON")
    parser.add_argument("--without-tavern", action="store_true")
    parser.add_argument("--only", metavar="NAME", help="only the tools whose name contains NAME; nothing is written")
    options = parser.parse_args()
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="checks-") as name:
        folder = Path(name)
        tavern = None if options.without_tavern else tavern_python(options.tavern)
        with server(folder, options.delay_ms) as url:
            tools = Tools(folder, url, tavern).all()
            for tool, run in tools.items():
                if options.only and options.only not in tool:
                    continue
                for checks in sorted(options.checks):
                    rounds = [run(tool, checks) for _ in range(options.rounds)]
                    found.setdefault(tool, []).append(min(rounds, key=lambda one: one.cpu_s))
    show(found)
    if options.only or options.without_tavern:
        return
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": tree(),
        "delay_ms": options.delay_ms,
        "load": round(os.getloadavg()[1], 1),
        "runs": [asdict(one) for runs in found.values() for one in runs],
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

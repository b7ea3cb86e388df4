"""A project with suites in pytester's folder, and the outcome of a run in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.checkout import CHECKOUT
from tests.plugins.world import Facts

# Exit code, verdict, and how often the run provisioned, promoted and rolled back.
PROMOTED = (0, "promoted", 1, 1, 0)
REJECTED = (1, "rejected", 1, 0, 0)
ROLLED_BACK = (10, "rolled_back", 1, 1, 1)
REFUSED = (4, "refused", 0, 0, 0)

ROOT = Path(__file__).resolve().parents[2]
ASKS = 'def test_asks(client):\n    assert client.get("/health").status_code == 200\n'
# A worker calls no port of the world, and importing it would import boto3, a second of each worker's start.
CONFTEST = """
import os, pytest
if "PYTEST_XDIST_WORKER" in os.environ:
    from tests.plugins.project_settings import install
else:
    from tests.plugins.world import install
install(pytest.MonkeyPatch())
pytest_plugins = ("plugins.options", "plugins.run", "plugins.fixtures", "plugins.streams", "plugins.declarative", "plugins.reports")
"""
INI = """
[pytest]
minversion = 9.0
testpaths = suites
addopts = --import-mode=importlib -p xdist -p html -p metadata -p no:hypothesispytest -p no:anyio -p no:valkey -p no:locust
python_files = test_*.py
empty_parameter_set_mark = fail_at_collect
strict_config = true
strict_markers = true
strict_xfail = true
filterwarnings =
    error
    ignore::pytest.PytestAssertRewriteWarning
    default:assertions not in test modules or plugins:pytest.PytestConfigWarning
"""
SETTINGS = """
default_environment = "test"
service = "{root}/suites/service.yaml"
[deployment]
bake = 0.4
provision_timeout = 10
promote_timeout = 10
rollback_timeout = 10
retire_timeout = 10
prober_rate = 25
prober_timeout = 5
confirmations = 3
identity = 5
{gates}
[environments.test]
provider = "embedded"
"""
SUITES = {
    "health": ASKS,
    "database": ASKS,
    "redis": ASKS,
    "auth": ASKS,
    "endpoints": ASKS,
    "latency": ASKS,
    "load": ASKS,
    "live": """
        def test_promoted(client, promoted):
            assert client.get("/health").json()["version"] == promoted.version

        def test_baked(client, baked):
            assert baked.requests > 0
            assert client.get("/health").status_code == 200
    """,
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: exit code, output, report, journal, and its calls to the world."""

    code: int
    output: str
    report: dict[str, Any]
    journal: list[dict[str, Any]]
    calls: list[str]
    folder: Path

    @property
    def steps(self) -> Counter[str]:
        """Return how often each step was begun, by the journal's intents."""
        return Counter(record["step"] for record in self.journal if record["kind"] == "intent")

    @property
    def result(self) -> tuple[int, str, int, int, int]:
        """Return exit code, verdict, and how often the run provisioned, promoted and rolled back."""
        steps = self.steps
        return self.code, self.report["verdict"], steps["provision"], steps["promote"], steps["rollback"]

    def gate(self, name: str) -> dict[str, Any]:
        """Return one gate of the report."""
        return next(gate for gate in self.report["gates"] if gate["name"] == name)


class Project:
    """Suites of checks; each run is a deployment to green unless its arguments set something else."""

    def __init__(self, pytester: pytest.Pytester, facts: Facts) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.facts = facts
        self._runs = 0
        (self.path / "pytest.ini").write_text(INI)
        (self.path / "conftest.py").write_text(CONFTEST)
        for gate, source in SUITES.items():
            self.suite(gate, source)
        self.settings()

    def settings(self, gates: str = "") -> None:
        """Write deployment.toml with these tables for the gates."""
        (self.facts.folder / "deployment.toml").write_text(SETTINGS.format(root=ROOT, gates=gates))
        shutil.copy(CHECKOUT.checklist_file, self.facts.folder)

    def describe(self, *changes: tuple[str, str]) -> None:
        """Describe the service by the shipped description with these words replaced, each of which must occur once."""
        text = (ROOT / "suites" / "service.yaml").read_text(encoding="utf-8")
        for word, other in (*changes, ("contract: contract/", f"contract: {ROOT}/suites/contract/")):
            assert text.count(word) == 1, word
            text = text.replace(word, other)
        (self.facts.folder / "service.yaml").write_text(text, encoding="utf-8")
        settings = self.facts.folder / "deployment.toml"
        shipped = f'service = "{ROOT}/suites/service.yaml"'
        settings.write_text(settings.read_text().replace(shipped, 'service = "service.yaml"'))

    def suite(self, gate: str, source: str, name: str | None = None) -> Path:
        """Write the checks of a gate; with ``name``, add a file instead of replacing the gate's own. Return the file."""
        path = self.path / "suites" / gate / f"test_{name or gate}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        return path

    def add(self, gate: str, source: str) -> None:
        """Add a file of checks to a gate's folder, beside the check that sends a request and passes."""
        self.suite(gate, source, f"{gate}_more")

    def plugin(self, source: str) -> None:
        """Append code to the project's conftest.py: hooks of another plugin, in the controller and in workers."""
        with (self.path / "conftest.py").open("a") as file:
            file.write(dedent(source))

    def run(self, *args: str, target: str | None = "green") -> Outcome:
        """Run pytest in this process; xdist workers are still separate processes."""
        given = [f"--target={target}"] if target else []
        result = self.pytester.runpytest_inprocess(*given, *args, no_reraise_ctrlc=True)
        return self._outcome(int(result.ret), result.stdout.str() + "\n" + result.stderr.str())

    def run_outside(self, *args: str, target: str | None = "green", **options: Any) -> Outcome:
        """Run pytest in a new process; ``options`` go to ``subprocess.run``."""
        given = [f"--target={target}"] if target else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *given, *args],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
            **options,
        )
        return self._outcome(done.returncode, done.stdout)

    def _outcome(self, code: int, output: str) -> Outcome:
        folder = self.path / "reports" / "latest"
        report, journal = {}, []
        if folder.exists():
            report = json.loads((folder / "verification.json").read_text())
            journal = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        outcome = Outcome(code, output, report, journal, self.facts.calls(), folder)
        if report and report["target"] is not None:
            self._assert_consistent(outcome)
        return outcome

    def _assert_consistent(self, run: Outcome) -> None:
        """Assert what must hold after every deployment, by the state of the world and not by the journal."""
        routed = sum(call.startswith("route green") for call in run.calls)
        routed = routed or any(call.startswith("share") for call in run.calls)
        assert sum(call.startswith("provision") for call in run.calls) == run.steps["provision"] <= 1, run.output
        assert routed == run.steps["promote"] <= 1, run.output
        assert sum(call.startswith("route blue") for call in run.calls) == run.steps["rollback"] <= 1, run.output
        assert run.calls.count("start") == run.calls.count("stop") <= 1, run.output
        live = "green" if run.report["verdict"] == "promoted" else "blue"
        assert self.facts.read("routes")["live"] == live, run.output
        assert self.facts.read("services")["green"] is None or live == "green", run.output
        assert self.facts.read("holder") is None, "the lease was not released"
        assert "deployment" not in self.facts.read("notes", {}), "the note was not closed"
        assert run.report["exit_code"] == run.code, run.output

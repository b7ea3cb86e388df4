"""A copy of the project, with short times, in which documents' commands run; no process is left afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from infrastructure.embedded import cloud
from tests.docs.documents import ROOT

LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".embedded*",
    "reports",
    "tests",
    "__pycache__",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
# These tests are about the documents' commands; short times change nothing in them.
SHORT = {
    "bake = 10\n": "bake = 1\n",
    "prober_rate = 40\n": "prober_rate = 10\n",
    # With narrower limits the latency gate takes up to nine times as many samples on a busy machine.
    "samples = 60\n": "samples = 20\nwarmup = 1\nslower = 50\nfound = 100\ntail_share = 1\n",
    "slower_ms = 0.3             # answers take less than a millisecond\n": "slower_ms = 500\n",
}
SHORT_FOR_ALL = {
    "consecutive = 40 ": "consecutive = 5 ",
    "window = 1 ": "window = 0.2 ",
    "\nidentity = 140              # fresh": "\nidentity = 20              # fresh",
    "\nidentity = 140              # answers": "\nidentity = 20              # answers",
}
SHORT_LOAD = {
    "duration = 6\n": "duration = 1\n",
    "min_requests = 300\n": "min_requests = 5\n",
    "failure_ratio = 0.02\n": "failure_ratio = 0.5\n",
    "throughput = 0.5            # a laptop also does other work\n": "throughput = 0.1\n",
}
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class ScriptResult:
    """The result of a script: exit code and output."""

    code: int
    output: str


@dataclass(frozen=True)
class Checkout:
    """A folder in which scripts run: a copy of the project, or an empty one."""

    folder: Path

    def bash(self, script: str, variables: Mapping[str, str] | None = None, deadline_s: float = 420) -> ScriptResult:
        """Run a script with ``bash -e``, as GitHub does; kill it and its children after ``deadline_s`` seconds."""
        path = self.folder / ".script.sh"
        path.write_text(script, encoding="utf-8")
        out = self.folder / ".output.txt"
        with out.open("wb") as file:
            child = subprocess.Popen(
                ["bash", "-e", str(path)],
                cwd=self.folder,
                env=_environment() | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                code = child.wait()
        return ScriptResult(code, out.read_text(encoding="utf-8", errors="replace"))

    def reports(self) -> list[Path]:
        """Return the path of every ``verification.json``, here and in the project folders that a document wrote beside it."""
        found = self.folder.parent.glob("*/reports/*/verification.json")
        return sorted(path for path in found if path.parent.name != "latest")

    def stop(self) -> None:
        """Stop every environment that was left up."""
        for state in self.folder.parent.glob("*/.embedded*"):
            cloud.down(state)


def _environment() -> dict[str, str]:
    """Return the tests' environment without variables that would change a run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "EMBEDDED_", "GITHUB_", "AWS_", "MAKE"))
    }
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb"}


@contextmanager
def checkout() -> Iterator[Checkout]:
    """Yield a new copy; stop its processes afterwards and fail if one is left."""
    # Not pytest's own folder: PostgreSQL's user must be able to pass through it.
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    folder.chmod(0o755)
    copy = Checkout(folder / "project")
    shutil.copytree(ROOT, copy.folder, ignore=LEFT_OUT)
    (copy.folder / "reports").mkdir()
    (copy.folder / ".venv").symlink_to(BIN.parent)
    settings = copy.folder / "deployment.toml"
    text = settings.read_text(encoding="utf-8")
    head, rest = text.split("[environments.embedded.deployment]")
    embedded, following = rest.split("[environments.quick]")
    head, embedded = _shortened(head, SHORT_FOR_ALL), _shortened(embedded, SHORT | SHORT_LOAD)
    whole = f"{head}[environments.embedded.deployment]{embedded}[environments.quick]{following}"
    settings.write_text(whole, encoding="utf-8")
    try:
        yield copy
    finally:
        copy.stop()
        left = [process.info for process in psutil.process_iter(["pid", "cmdline"]) if _of(process, folder)]
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"still running: {left}"


def _shortened(text: str, values: Mapping[str, str]) -> str:
    for before, after in values.items():
        assert text.count(before) == 1, f"deployment.toml: {before!r} must occur exactly once"
        text = text.replace(before, after)
    return text


def _of(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in word for word in process.info["cmdline"] or ())

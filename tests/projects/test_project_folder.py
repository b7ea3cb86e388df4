"""Everything works in a project folder that is not this checkout: pytest, workers, the command line, the integrity guards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployment.project import wrong_interpreter
from scripts.commands import init
from tests.checkout import CHECKOUT
from tests.projects.test_init import TELEHEALTH, served

GATES = ("health", "database", "redis", "auth", "endpoints", "latency", "load", "live")
ASKS = 'def test_own(client):\n    assert client.get("/health").status_code == 200\n'
# A project is not this checkout: nothing of the caller's variables may lead to it.
NOT_INHERITED = ("EMBEDDED_", "AWS_", "DEPLOYMENT_", "PYTEST_", "PYTHONPATH")


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """A new project with the example images and a check of its own in each gate."""
    folder = tmp_path / "a team" / "ours"  # the space shows that every path is quoted
    init.init(init.Given(folder, TELEHEALTH))
    shutil.copytree(CHECKOUT.root / "infrastructure" / "embedded" / "registry", folder / "registry")
    for gate in GATES:
        (folder / "suites" / gate).mkdir()
        (folder / "suites" / gate / "test_own.py").write_text(ASKS)
    tmp_path.chmod(0o755)  # PostgreSQL's user passes through
    yield folder
    if (folder / ".embedded").exists():
        run(folder, "scripts/deploy.py", "down", "--force")


def run(
    folder: Path,
    *arguments: str,
    cwd: Path | None = None,
    timeout_s: float = 60,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Python in a project folder, with this interpreter and without this checkout on its path."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd or folder,
        env={**inherited, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of the project's own files, without caches, reports and state."""
    made = ("__pycache__", ".pytest_cache", "reports", ".embedded", "registry")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not set(made) & set(path.parts)
    }


def test_plan_and_status_work_in_the_project(ours: Path) -> None:
    before = files(ours)
    plan = run(ours, "-m", "pytest", "--target=auto", "--plan")
    assert plan.returncode == 0, plan.stdout
    assert "telehealth-api:1.1.0" in plan.stdout, "the image is from the project's registry"
    assert "health/test_own.py::test_own" in plan.stdout
    script = str(CHECKOUT.root / "scripts" / "deploy.py")
    status = run(ours, script, "status", "--environment", "production", cwd=ours / "suites")
    assert status.returncode == 4
    assert "known environments: embedded\n" in status.stdout, (
        "the framework's script works on the project it is called in"
    )
    assert files(ours) == before
    assert not (ours / ".embedded").exists()


@pytest.mark.soak
def test_workers_verify_in_the_project_and_the_report_lies_in_it(ours: Path) -> None:
    with served({"/health": (200, '{"status": "ok", "version": "1.0.0"}')}) as url:
        done = run(ours, "-m", "pytest", f"--base-url={url}", "-n", "2", "suites/health/test_own.py")
    assert done.returncode == 0, done.stdout
    report = json.loads((ours / "reports" / "latest" / "verification.json").read_text())
    assert (report["verdict"], report["partial"]) == ("verified", True)


def test_foreign_hook_of_the_project_is_refused(ours: Path) -> None:
    """The guards know the framework's own code by its folder, wherever the project is."""
    (ours / "suites" / "conftest.py").write_text("def pytest_runtest_makereport(): ...\n")
    done = run(ours, "-m", "pytest", "--base-url=http://127.0.0.1:9")
    assert done.returncode == 4, done.stdout
    assert "suites/conftest.py implements pytest_runtest_makereport" in done.stdout


def test_missing_framework_is_named(ours: Path) -> None:
    ini = ours / "pytest.ini"
    ini.write_text(ini.read_text().replace("pythonpath = ", "pythonpath = moved/"))
    for arguments in (("-m", "pytest", "--target=auto"), ("scripts/deploy.py", "status")):
        done = run(ours, *arguments)
        assert done.returncode == 4, done.stdout
        assert "the deployment framework was not found" in done.stdout
        assert "Traceback" not in done.stdout


def test_an_interpreter_without_the_packages_is_named(ours: Path) -> None:
    """The usual cause is a virtual environment that is not active; -S hides its packages."""
    done = run(ours, "-S", "scripts/deploy.py", "status")
    assert done.returncode == 4, done.stdout
    assert "lacks packages of the deployment framework (boto3, click," in done.stdout
    assert "Traceback" not in done.stdout
    assert wrong_interpreter(lambda name: None if name == "rich" else name) is not None
    assert wrong_interpreter() is None


@pytest.mark.soak
def test_whole_deployment_from_the_project(ours: Path) -> None:
    """Up, a deployment on workers, its audit, a rollback and down: the prober, Locust and the servers are children of it."""
    before = files(ours)
    for arguments, code in (
        (("scripts/deploy.py", "status"), 1),
        (("scripts/deploy.py", "up"), 0),
        (("scripts/deploy.py", "status"), 0),
        (("scripts/deploy.py", "deploy", "--image-tag", "1.1.0", "--", "-n", "2"), 0),
        (("scripts/deploy.py", "audit", "verify"), 0),
        (("scripts/deploy.py", "rollback"), 0),
        (("scripts/deploy.py", "down"), 0),
    ):
        done = run(ours, *arguments, timeout_s=240)
        assert done.returncode == code, (arguments, done.stdout)
    assert len(list((ours / "reports").glob("*/verification.json"))) >= 2
    assert files(ours) == before

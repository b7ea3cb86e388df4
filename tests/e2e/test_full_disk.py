"""A real disk, a small tmpfs, that fills during a deployment: that of the reports, or that of the environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.conftest import open_sandbox
from tests.e2e.sandbox import Sandbox

pytestmark = pytest.mark.soak
SIZE = "4m"
STEPS = {
    "provision": ("rejected",),
    "verify": ("rejected",),
    "promote": ("rejected", "rolled_back"),
    "bake": ("rolled_back",),
}


@pytest.fixture
def small_disk(good_registry: Path) -> Iterator[Sandbox]:
    """Yield the sandbox with its reports on a tmpfs; skip without the right to mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    with open_sandbox(good_registry, "quick") as sandbox, tmpfs(sandbox.reports):
        yield sandbox


@contextmanager
def tmpfs(folder: Path, size: str = SIZE) -> Iterator[None]:
    """Mount a small tmpfs at the folder during the block; skip if that is not possible."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of the folder completely; return the file that takes the space."""
    path = folder / "filler"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (65536, 4096, 1):
            while True:
                try:
                    os.write(descriptor, b"x" * size)
                except OSError:
                    break
    finally:
        os.close(descriptor)
    return path


@pytest.mark.parametrize("step", STEPS)
def test_disk_that_fills_gives_3_and_leaves_a_safe_world(small_disk: Sandbox, step: str) -> None:
    """A deployment to an environment that is up; then space is freed, and `recover` completes the report.

    The journal's last page still takes some lines, so the run may come a little further than ``step``.
    """
    up = small_disk.script("up")
    assert up.code == 0, up.output
    running = small_disk.begin_pytest("--target=green")
    running.wait_for("intent", step)
    filler = fill(small_disk.reports)
    run = small_disk.wait(running)
    assert run.code == 3, run.output
    assert "No space left on device" in run.output
    assert "Traceback" not in run.output
    small_disk.assert_live("blue", images.OLD)
    assert list((small_disk.reports.parent / "tmp").glob("deployment-*")) == []
    filler.unlink()
    recovered = small_disk.undo("recover")
    assert recovered.code == 0, recovered.output
    folder = running.folder()
    assert folder is not None
    report = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    assert report["verdict"] in STEPS[step], recovered.output
    assert report["recovered"]


@pytest.mark.parametrize(
    ("step", "codes"),
    [("provision", {1, 3}), ("verify", {1, 3}), ("promote", {1, 3, 10, 11}), ("bake", {0, 3, 10, 11})],
)
def test_full_disk_of_the_environment_is_told_and_recovered(good_registry: Path, step: str, codes: set[int]) -> None:
    """Stores, services and the cloud's control plane write there, so any request may fail; 11 means that nothing could be moved."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    with open_sandbox(good_registry, "quick") as sandbox, tmpfs(sandbox.state, "400m"):
        up = sandbox.script("up")
        assert up.code == 0, up.output
        running = sandbox.begin_pytest("--target=green")
        running.wait_for("intent", step)
        filler = fill(sandbox.state)
        run = sandbox.wait(running)
        assert run.code in codes, run.output
        assert list((sandbox.reports.parent / "tmp").glob("deployment-*")) == []
        filler.unlink()
        recovered = sandbox.undo("recover")
        status = sandbox.script("status")
        baked = "NOT RECORDED" in run.output  # the disk filled after the bake had passed, and `recover` records that
        if run.code == 0 or baked:
            sandbox.assert_live("green", images.NEW)
        else:
            sandbox.assert_live("blue", images.OLD)
        assert (recovered.code, status.code) == (0, 0), recovered.output + status.output
        down = sandbox.script("down")
        assert down.code == 0, down.output
        assert "Traceback" not in run.output + recovered.output + status.output + down.output
        sandbox.close()  # while its files can still be seen

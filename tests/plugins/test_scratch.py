"""What a run leaves outside of its report: no secret, and nothing that another live run needs is removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken

from plugins import state
from plugins.modes.scratch import LOCK_FILE, PREFIX, STATE_FILE, Scratch, remove_leftovers
from plugins.state import State
from tests.plugins.project import ROOT, Project
from tests.plugins.world import USERS
from verification.stores.connections import Stores

HOLD = """
import signal
from plugins.modes.scratch import Scratch
print(Scratch().path, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that takes the place of the machine's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_state_on_the_disk_contains_no_secret(tmp_path: Path) -> None:
    path, key = tmp_path / STATE_FILE, state.new_key()
    secrets = State("one", True, "test", USERS, "signing-canary", Stores("postgres://a:canary@b/c"))
    state.write(secrets, path, key)
    written = path.read_text()
    assert not [canary for canary in ("canary", "smoke.example", "postgres") if canary in written]
    assert path.stat().st_mode & 0o777 == 0o600
    assert state.read(path, key) == secrets
    with pytest.raises(InvalidToken):
        state.read(path, state.new_key())


def test_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_is_kept() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert folder.stat().st_mode & 0o777 == 0o700
        assert remove_leftovers() == 0
        assert folder.is_dir(), "the folder of a live run was removed"
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        assert remove_leftovers() == 1
        assert not folder.exists()
    finally:
        holder.kill()
        holder.communicate()


def test_own_folder_is_kept_until_the_run_ends(temporary: Path) -> None:
    own = Scratch()
    assert remove_leftovers(lambda _: True) == 0
    own.remove()
    own.remove()
    assert list(temporary.glob(f"{PREFIX}*")) == []


@pytest.mark.parametrize("ended", [True, False])
def test_folder_of_an_earlier_version_is_removed_if_its_run_has_certainly_ended(temporary: Path, ended: bool) -> None:
    old = Path(tempfile.mkdtemp(prefix=PREFIX))
    (old / STATE_FILE).write_text(json.dumps({"deployment_id": "old", "token_secret": "x"}))
    assert remove_leftovers(lambda run: ended and run == "old") == int(ended)
    assert old.exists() is not ended
    assert temporary.exists()


def test_folder_of_an_earlier_version_whose_state_cannot_be_read_is_kept(temporary: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=PREFIX))
    (old / STATE_FILE).write_text("[" * 3_000_000)
    assert remove_leftovers(lambda _: True) == 0
    assert old.exists()
    assert temporary.exists()


def test_folders_that_are_not_private_or_not_ours_are_kept(temporary: Path) -> None:
    public = temporary / f"{PREFIX}public"
    public.mkdir(mode=0o755)
    (public / "lock").touch()
    target = temporary / "elsewhere"
    target.mkdir(mode=0o700)
    (target / "lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(target)
    (temporary / f"{PREFIX}empty").mkdir(mode=0o700)
    assert remove_leftovers(lambda _: True) == 0
    assert target.exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param((), 0, id="promoted"),
        pytest.param(("--image-tag=9.9.9",), 4, id="refused"),
        pytest.param(("-n2",), 0, id="promoted with workers", marks=pytest.mark.soak),
    ],
)
def test_run_leaves_no_folder(project: Project, temporary: Path, options: tuple[str, ...], code: int) -> None:
    """A deployment also removes the folders of dead runs, once it has the lease."""
    dead = Path(tempfile.mkdtemp(prefix=PREFIX))
    (dead / LOCK_FILE).touch()
    run = project.run(*options)
    assert run.code == code, run.output
    assert list(temporary.glob(f"{PREFIX}*")) == ([] if code == 0 else [dead])


@pytest.mark.soak
@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "workers"])
def test_output_without_a_reader_changes_no_verdict(project: Project, options: tuple[str, ...]) -> None:
    """``pytest … | head -1``: the reader has gone long before the switch."""
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--target=green", *options],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.stdout is not None
    run.stdout.readline()
    run.stdout.close()
    code = run.wait(timeout=60)
    report = json.loads((project.path / "reports" / "latest" / "verification.json").read_text())
    assert (code, report["exit_code"], report["verdict"]) == (0, 0, "promoted")
    assert project.facts.read("routes")["live"] == "green"

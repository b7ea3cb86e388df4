"""`down` recovers dead runs of the environment before it stops it, or reports why it cannot; neither keeps it from stopping."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable, LeaseHeld, SettingsError
from deployment.flow.lease import this_process
from deployment.model import Caller
from deployment.recovery.complete_report import touched_runs
from deployment.settings import Settings
from infrastructure import compose
from infrastructure.compose import Environment
from plugins.modes.scratch import LOCK_FILE, PREFIX, Scratch
from scripts.commands import recover
from tests.checkout import CHECKOUT
from tests.deployment.harness import LIMITS, Deployment
from tests.deployment.test_complete_report import journal
from verification.journeys.accounts import SmokeUser

SETTINGS = Settings("test", LIMITS, {}, {"provider": "embedded"}, project=CHECKOUT)
USERS = (SmokeUser("one@smoke.example", "password"),)


class NoRegistry:
    """A registry that must not be called."""

    def resolve(self, tag: str) -> None:
        raise AssertionError(tag)

    find = tags = resolve


@pytest.fixture
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Return a run that died on this host while its candidate was verified; its environment still runs."""
    monkeypatch.setattr(compose, "is_up", lambda _: True)
    journal(tmp_path, "one")
    made = Deployment(tmp_path)
    made.to_verified()
    made.mark_dead()
    return made


@pytest.fixture
def reach(dead: Deployment) -> Callable[[Settings], Environment]:
    """Return a function that connects to its environment."""
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    world = Environment("test", "http://live.example", dead.ports, NoRegistry(), caller, USERS, ())  # type: ignore[arg-type]  # it is never called
    return lambda _: world


def test_dead_run_is_recovered_before_its_environment_stops(
    dead: Deployment, reach: Callable[[Settings], Environment], capsys: pytest.CaptureFixture[str]
) -> None:
    recover.recover_before_down(lambda _: SETTINGS, reach, dead.reports)
    report = json.loads((dead.folder / "verification.json").read_text())
    assert (report["verdict"], report["recovered"], dead.lease.holder) == ("rejected", True, None)
    said = capsys.readouterr().out
    assert "one: rejected; report in" in said
    assert "live now: blue, version 1.0.0; the lock is free, deploy again at any time\n" in said
    assert not list(touched_runs(dead.reports))


def test_recover_removes_the_temporary_folders_of_dead_runs_and_no_other(
    dead: Deployment,
    reach: Callable[[Settings], Environment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also if no deployment is open: the run died before it took the lease, or another command has settled it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    alive = Scratch()
    for _ in ("an open deployment", "none"):
        left = Path(tempfile.mkdtemp(prefix=PREFIX))
        (left / LOCK_FILE).touch()
        assert recover.recover(SETTINGS, reach(SETTINGS), dead.reports) == 0
        assert list(temporary.iterdir()) == [alive.path]
        assert "removed the temporary folders of runs that were killed (1)" in capsys.readouterr().out
    alive.remove()


def unreachable(_: Settings) -> Environment:
    raise CloudUnreachable("dynamodb GetItem: no answer")


def unknown(name: str) -> Settings:
    raise SettingsError(f"unknown environment {name!r}")


@pytest.mark.parametrize(
    ("settings_of", "reached", "message"),
    [
        (lambda _: SETTINGS, unreachable, "one was not recovered, and its report stays incomplete: dynamodb GetItem"),
        (
            unknown,
            unreachable,
            "one was not recovered, and its report stays incomplete: unknown environment 'test'",
        ),
        (lambda _: replace(SETTINGS, estate={"provider": "aws"}), unreachable, ""),
    ],
    ids=["no answer", "no settings", "on AWS"],
)
def test_run_that_cannot_be_recovered_is_reported(
    dead: Deployment,
    settings_of: Callable[[str], Settings],
    reached: Callable[[Settings], Environment],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recover.recover_before_down(settings_of, reached, dead.reports)
    printed = capsys.readouterr()
    assert (printed.out, printed.err.startswith(message), bool(printed.err)) == ("", True, bool(message))
    assert not (dead.folder / "verification.json").exists()


@pytest.mark.parametrize("sleeps", [True, False])
def test_stopped_environment_is_reported(
    dead: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sleeps: bool
) -> None:
    """After a restart of the machine the environment is stopped; without one, the run belongs to another state folder."""
    monkeypatch.setattr(compose, "is_up", lambda _: False)
    monkeypatch.setattr(compose, "sleeps", lambda _: sleeps)
    recover.recover_before_down(lambda _: SETTINGS, unreachable, dead.reports)
    message = capsys.readouterr().err
    assert ("one was interrupted" in message and "`up`, then `recover`, and only then `down`" in message) is sleeps


def test_run_of_another_environment_is_left_alone(dead: Deployment, reach: Callable[[Settings], Environment]) -> None:
    dead.lease.kept.pop("deployment")
    recover.recover_before_down(lambda _: SETTINGS, reach, dead.reports)
    assert not (dead.folder / "verification.json").exists()


def test_lock_that_could_not_be_released_is_not_called_free(
    dead: Deployment,
    reach: Callable[[Settings], Environment],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(_: object) -> None:
        raise CloudUnreachable("dynamodb UpdateItem: no answer")

    monkeypatch.setattr(dead.lease, "release", refuse)
    recover.recover_before_down(lambda _: SETTINGS, reach, dead.reports)
    said = capsys.readouterr().out
    assert "live now: blue, version 1.0.0; the lock of one is not free yet" in said


def test_recover_names_a_living_command_that_holds_the_lock(
    dead: Deployment, reach: Callable[[Settings], Environment], capsys: pytest.CaptureFixture[str]
) -> None:
    """A running `retire` holds the lock without a record of a deployment."""
    dead.recover()
    holder = dead.lease.acquire(this_process("retire-1", "jane", dead.ports.clock, LIMITS, "retire"))
    with pytest.raises(LeaseHeld, match="retire-1"):
        recover.recover(SETTINGS, reach(SETTINGS), dead.reports)
    dead.lease.release(holder)
    assert recover.recover(SETTINGS, reach(SETTINGS), dead.reports) == 0
    assert "nothing to recover" in capsys.readouterr().out

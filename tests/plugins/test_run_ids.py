"""The id of a run with ``--target=auto`` names the colour, and never another one than the one that is deployed to."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployment.errors import CloudUnreachable, Refused
from deployment.model import Colour, Reads
from deployment.phases import Phase
from deployment.settings import Settings, load
from infrastructure import compose
from plugins.modes import choice
from tests.checkout import SETTINGS_FILE
from tests.deployment.harness import Deployment
from tests.plugins.project import PROMOTED, Project

SETTINGS = load(SETTINGS_FILE, "embedded")


def test_id_of_an_automatic_target_names_the_colour(project: Project) -> None:
    run = project.run(target="auto")
    assert run.result == PROMOTED, run.output
    assert re.fullmatch(r"\d{8}-\d{6}-green-[0-9a-f]{6}", run.report["deployment_id"])
    assert run.report["target"] == "green"


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Another deployment in the environment of the run, in which blue is live."""
    deployment = Deployment(tmp_path)
    monkeypatch.setattr(compose, "is_up", lambda _: True)
    monkeypatch.setattr(compose, "connect", lambda *_: SimpleNamespace(ports=deployment.ports))
    assert choice.colour_of_auto(SETTINGS) is Colour.GREEN
    return deployment


def test_automatic_target_is_blue_while_green_is_live(other: Deployment) -> None:
    assert other.run() is Phase.SUCCEEDED
    assert choice.colour_of_auto(SETTINGS) is Colour.BLUE


@pytest.mark.parametrize("died", [False, True])
def test_deployment_that_may_still_move_traffic_leaves_the_id_without_a_colour(other: Deployment, died: bool) -> None:
    other.to_verified()
    if died:
        other.expire_lease()
    assert choice.colour_of_auto(SETTINGS) is None


def test_run_is_refused_if_traffic_moved_after_its_id_was_made(project: Project) -> None:
    project.facts.write("denied", {})  # the fake world moves traffic when rights are read
    project.facts.write("routes", {"live": "green", "generation": 6})
    project.facts.write("moved", {"live": "blue", "generation": 7})
    run = project.run(target="auto")
    assert run.code == 4, run.output
    assert "--target=auto now means green, but the run's id names blue" in run.output
    assert "provision" not in run.steps


@pytest.mark.parametrize("id_", ["20261129-013236-auto-97e61c", "20261129-013236-green-97e61c"])
def test_ids_of_older_runs_stay_valid(id_: str) -> None:
    choice.refuse_other_colour(id_, Colour.GREEN)
    assert choice.named_colour(id_) in (None, Colour.GREEN)
    if "auto" not in id_:
        with pytest.raises(Refused, match="traffic has moved"):
            choice.refuse_other_colour(id_, Colour.BLUE)


@pytest.mark.parametrize("sleeps", [False, True])
def test_colour_of_an_environment_that_is_not_up(monkeypatch: pytest.MonkeyPatch, sleeps: bool) -> None:
    """A new embedded environment starts with blue live; a stopped one continues with its data."""
    monkeypatch.setattr(compose, "is_up", lambda _: False)
    monkeypatch.setattr(compose, "sleeps", lambda _: sleeps)
    assert choice.colour_of_auto(SETTINGS) is (None if sleeps else Colour.GREEN)


def test_environment_that_does_not_answer_leaves_the_id_without_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: Settings, __: Reads) -> None:
        raise CloudUnreachable("no answer")

    monkeypatch.setattr(compose, "is_up", lambda _: True)
    monkeypatch.setattr(compose, "connect", unreachable)
    assert choice.colour_of_auto(SETTINGS) is None

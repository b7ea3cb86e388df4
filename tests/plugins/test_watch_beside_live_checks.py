"""The watch over the promoted release decides while the checks of the gate live still run: users do not wait for slow checks."""

from __future__ import annotations

import pytest

from tests.plugins.project import PROMOTED, ROLLED_BACK, Project

LONG = """
    import time
    from pathlib import Path

    FOLDER = Path({folder!r})

    def test_long(client):
        (FOLDER / "slow.json").unlink(missing_ok=True)
        (FOLDER / "sick.json").write_text('{sick}')
        for _ in range(100):
            client.get("/health")
            time.sleep(0.05)
        (FOLDER / "ended").touch()

    def test_next(client):
        (FOLDER / "next").touch()
        client.get("/health")
"""
HARM = '{"green": true}'


def _run(project: Project, sick: str, *options: str) -> tuple[object, str, list[str]]:
    """Deploy with a check of five seconds after the switch; return the result, the reason and which parts of the checks ran to their end."""
    project.suite("live", LONG.format(folder=str(project.facts.folder), sick=sick))
    run = project.run(*options)
    ended = [name for name in ("ended", "next") if (project.facts.folder / name).exists()]
    return run.result, str(run.report["reason"]), ended


def test_harm_ends_the_running_check_of_the_live_domain(project: Project) -> None:
    result, reason, ended = _run(project, HARM)
    assert (result, ended) == (ROLLED_BACK, []), reason
    assert reason.startswith("live: test_long: "), reason
    assert "requests" in reason, reason


@pytest.mark.parametrize("workers", ["-n1", pytest.param("-n2", marks=pytest.mark.soak)])
def test_harm_is_seen_between_two_checks_on_workers(project: Project, workers: str) -> None:
    result, reason, ended = _run(project, HARM, workers)
    assert (result, ended[:1]) == (ROLLED_BACK, ["ended"]), reason
    assert reason.startswith("live: "), reason


def test_a_long_check_of_a_good_release_runs_to_its_end(project: Project) -> None:
    assert _run(project, "{}")[0::2] == (PROMOTED, ["ended", "next"])

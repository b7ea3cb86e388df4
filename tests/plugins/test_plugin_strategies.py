"""``--strategy``: the candidate gets a share of the traffic first, and its answers to that share are watched."""

from __future__ import annotations

import pytest

from tests.plugins.project import PROMOTED, REFUSED, ROLLED_BACK, Project


def test_canary_takes_each_share_and_then_all(project: Project) -> None:
    run = project.run("--strategy=canary:20%,0.3s,60%,0.2s")
    assert run.result == PROMOTED, run.output
    assert [call for call in run.calls if call.startswith(("share", "route"))] == [
        "share green 20, blue 80",
        "share green 60, blue 40",
        "route green",
    ]
    shifted = [line for line in run.journal if line["kind"] == "shifted"]
    assert [line["weight"] for line in shifted] == [20, 60]
    assert all(line["requests"] >= 30 and line["failed"] == 0 for line in shifted)
    assert run.report["promotion"]["failed"] == 0


def test_a_candidate_that_fails_its_share_goes_no_further(project: Project) -> None:
    """The candidate is healthy until it gets the first share of the live domain's traffic."""
    project.facts.write("sick", {})
    project.plugin(
        """
        from tests.plugins.world import FakeRouter
        inner = FakeRouter.set
        def sicken(self, seen, weights, origins, token):
            self._facts.write("sick", {"green": weights.get("green", 0) == 20})
            return inner(self, seen, weights, origins, token)
        FakeRouter.set = sicken
        """
    )
    run = project.run_outside("--strategy=canary:20%,5s")
    assert run.result == ROLLED_BACK, run.output
    assert run.report["reason"].startswith("promote: with 20 % of the traffic: 3 of the last 3 requests failed"), (
        run.output
    )
    assert "route green" not in run.calls
    assert run.report["rollback"]["failed"] > 0


@pytest.mark.parametrize("text", ["canary:0%,60s", "sometimes", "linear:20%"])
def test_invalid_strategy_is_refused(project: Project, text: str) -> None:
    run = project.run(f"--strategy={text}")
    assert run.result == REFUSED, run.output
    assert "strategy" in run.report["reason"]
    assert project.run(f"--strategy={text}", "--plan").code == 4


@pytest.mark.parametrize("more", [(), ("--plan",)])
def test_shares_that_nobody_can_tell_apart_are_refused(project: Project, more: tuple[str, ...]) -> None:
    """A load balancer adds no header with the colour, and the service names no version."""
    project.describe(("version: $.version", "version: none"))
    settings = project.facts.folder / "deployment.toml"
    settings.write_text(settings.read_text() + 'platform = "ecs"\nrouter = "alb"\n')
    run = project.run("--strategy=canary:10%,60s", *more)
    assert run.code == 4, run.output
    assert "nothing would say which answers are its own" in run.output
    assert "--strategy=all-at-once" in run.output
    assert run.calls == []


def test_strategy_needs_a_target(project: Project) -> None:
    assert project.run("--strategy=canary:10%,60s", target=None).code == 4


def test_plan_shows_the_strategy(project: Project) -> None:
    run = project.run("--strategy=linear:40%,30s", "--plan")
    assert run.code == 0, run.output
    assert "move traffic from blue to green, 40 % for 30 s, then 80 % for 30 s, then all of it" in run.output

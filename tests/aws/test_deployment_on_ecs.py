"""Whole deployments on ECS, behind a load balancer and behind DNS, with fakes of AWS that follow botocore's model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from deployment.evidence.journal import Journal
from deployment.flow.machine import Machine
from deployment.model import Answer, Colour, Findings, Image, Reason
from deployment.phases import Phase
from deployment.plan import Operation, Plan, Ports
from deployment.recovery.undo import Undo, last_promotion
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients
from tests.aws.cluster import GROUPS, NAMES, Cluster, uri
from tests.aws.conftest import SteppedClock
from tests.aws.dns_server import DnsServer
from tests.aws.load_balancer import Balancer
from tests.aws.zones import IDENTIFIERS, NAME, Zone
from tests.deployment.fakes import FakeCloud, FakeLease
from tests.deployment.harness import ACTOR, GATES, LIMITS

BLUE, GREEN = Colour.BLUE, Colour.GREEN
RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/l/1/2/3"
URLS = {colour: f"https://{colour}.example" for colour in Colour}
ROUTING = ("DescribeTags", "AddTags", "RemoveTags", "DescribeRules", "ModifyRule")


def release(version: str) -> Image:
    digest = f"sha256:{version.replace('.', '').ljust(64, '0')}"
    return Image("telehealth-api", version, digest, version, uri(digest))


OLD, NEW, BROKEN = release("1.0.0"), release("1.1.0"), release("6.6.6")


class PassingClock(SteppedClock):
    """A clock on which ECS makes progress during each sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        progress, self.on_sleep = self.on_sleep, lambda: None
        progress()
        self.on_sleep = progress


class Cloud:
    """Both fakes as one cloud, with the live domain in front of it."""

    def __init__(self, clock: PassingClock) -> None:
        self.cluster, self.balancer = Cluster(clock), Balancer()
        for colour, tasks in ((BLUE, 3), (GREEN, 1)):
            self.cluster.create(colour, OLD.digest, tasks=tasks)
        self.zone: Zone | None = None
        self.learn: Callable[[], None] = lambda: None
        self.sizes: list[
            tuple[str, int]
        ] = []  # each write of routes and stop of tasks, with the number of blue's tasks
        clock.on_sleep = self._progress

    def _progress(self) -> None:
        self.learn()
        for colour, name in NAMES.items():
            made = self.cluster.services[name]
            under_way = made.deployments[0]["rolloutState"] == "IN_PROGRESS"
            if under_way and self.running(colour) == BROKEN.digest:
                self.cluster.break_down(colour)
            elif under_way or len(made.tasks) != made.desired:
                self.cluster.settle(colour)

    def tasks(self, colour: Colour) -> int:
        return len(self.cluster.services[NAMES[colour]].tasks)

    def running(self, colour: Colour) -> str:
        definition = self.cluster.definitions[self.cluster.services[NAMES[colour]].definition]
        return str(definition["containerDefinitions"][0]["image"]).partition("@")[2]

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        self.balancer.health = self.cluster.health
        if operation == "ModifyRule" or given.get("desiredCount") == 0:
            self.sizes.append((operation, self.tasks(BLUE)))
        if self.zone is not None and service == "route53":
            return self.zone.call(service, operation, **given)
        where = self.balancer if operation in ROUTING else self.cluster
        return where.call(service, operation, **given)

    def pages(self, service: str, operation: str, key: str, /, *, marker: str, **given: Any) -> list[Any]:
        return self.cluster.pages(service, operation, key, marker=marker, **given)

    # -- the front door: no header names the colour ----------------------------------------------------------------------

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        live = next(colour for colour in Colour if url in (None, URLS[colour]) and (url or self._weight(colour)))
        version = {one.digest: one.version for one in (OLD, NEW, BROKEN)}[self.running(live)]
        serves = bool(self.cluster.services[NAMES[live]].tasks)
        return [Answer(serves, version=version if serves else None, problem=None if serves else "503")] * times

    def _weight(self, colour: Colour) -> int:
        if self.zone is not None:
            return int(next(one["Weight"] for one in self.zone.sets if one.get("SetIdentifier") == IDENTIFIERS[colour]))
        groups = self.balancer.actions[0]["ForwardConfig"]["TargetGroups"]
        return int(next(one["Weight"] for one in groups if one["TargetGroupArn"] == GROUPS[colour]))

    def examine(self, url: str | None = None, *, every: bool = False) -> Sequence[str]:  # noqa: ARG002  # the port's signature
        return [str(one.problem) for one in self.ask(1, url) if not one.ok]

    def inspect(self, url: str | None = None, until: Collection[str] = ()) -> Findings:  # noqa: ARG002  # the port's signature
        return Findings(tuple(self.examine(url)))

    def examined(self) -> str:
        return "GET /health"


class Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = PassingClock()
        self.cloud = Cloud(self.clock)
        clients = cast(Clients, self.cloud)
        self.ports = Ports(
            EcsPlatform(clients, "main", NAMES, GROUPS, URLS, DrainWindow(60.0, self.clock)),
            AlbRouter(clients, RULE, GROUPS, self.clock),
            FakeLease(FakeCloud(cast(Any, self.clock)), LIMITS.lease_ttl),
            self.cloud,
            self.clock,
        )
        self.folder = folder

    def behind_dns(self, resolver: DnsServer, zone: Zone) -> None:
        """Replace the router by weighted records; the resolver learns of a change as time passes."""
        self.cloud.zone, self.cloud.learn = zone, resolver.refresh
        router = Route53Router(cast(Clients, self.cloud), "Z1", NAME, IDENTIFIERS, [resolver.place], self.clock)
        self.ports = replace(self.ports, router=router)

    def deploy(self, image: Image, target: Colour, harm: Callable[[], str | None] = lambda: None) -> Machine:
        number = len(list(self.folder.iterdir()))
        journal = Journal(self.folder / f"{number}.jsonl", ACTOR, self.clock)
        plan = Plan(f"d{number}", "test", target, image, ACTOR, self.clock.now())
        machine = Machine(plan, LIMITS, self.ports, journal, lambda _: None)
        try:
            machine.lease()
            machine.provision()
            machine.promote(GATES)
            machine.bake(harm)
            machine.complete()
        except Exception as error:
            machine.abandon(Reason.parse(f"verify: {error}"))
        machine.let_go()
        return machine


def undo(scene: Scene) -> None:
    journal = Journal(scene.folder / "u.jsonl", ACTOR, scene.clock)
    command = Undo("undo", Operation("test", ACTOR, LIMITS, scene.ports), journal, lambda _: None)
    command.run(last_promotion(scene.ports))
    command.let_go()
    assert command.phase is Phase.ROLLED_BACK


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(
        "infrastructure.aws.ecs.platform.newest_lines", lambda *_, **__: []
    )  # other tests read logs, from moto
    return Scene(tmp_path)


def test_good_release_is_promoted_at_the_live_colours_size(scene: Scene) -> None:
    machine = scene.deploy(NEW, GREEN)
    assert (machine.phase, machine.reason) == (Phase.SUCCEEDED, None)
    assert (scene.ports.router.observe().live, scene.ports.router.observe().generation) == (GREEN, 1)
    assert len(scene.cloud.cluster.services[NAMES[GREEN]].tasks) == 3
    assert scene.ports.platform.describe(BLUE).running, "the previous colour stays ready for a rollback"


def test_crashing_release_never_gets_traffic(scene: Scene) -> None:
    machine = scene.deploy(BROKEN, GREEN)
    assert machine.phase is Phase.REJECTED
    assert "circuit breaker" in str(machine.reason) or "rolled the deployment back" in str(machine.reason)
    assert "ModifyRule" not in scene.cloud.balancer.calls
    assert not scene.ports.platform.describe(GREEN).running


def test_harmful_release_is_rolled_back_and_stopped(scene: Scene) -> None:
    machine = scene.deploy(NEW, GREEN, harm=lambda: "users see errors")
    assert machine.phase is Phase.ROLLED_BACK
    routes = scene.ports.router.observe()
    assert (routes.live, routes.generation) == (BLUE, 2)
    assert not scene.ports.platform.describe(GREEN).running
    assert len(scene.cloud.cluster.services[NAMES[BLUE]].tasks) == 3


def autoscaled(scene: Scene, sizes: Mapping[Colour, int]) -> None:
    """Let autoscaling have given the colours these numbers of tasks."""
    for colour, tasks in sizes.items():
        scene.cloud.cluster.services[NAMES[colour]].desired = tasks
        scene.cloud.cluster.settle(colour)


def test_rolled_back_release_is_stopped_after_the_previous_colour_has_grown(scene: Scene) -> None:
    def harm() -> str:
        autoscaled(scene, {GREEN: 15, BLUE: 2})
        return "users see errors"

    assert scene.deploy(NEW, GREEN, harm=harm).phase is Phase.ROLLED_BACK
    assert scene.cloud.sizes[1:] == [("ModifyRule", 2), ("UpdateService", 15)], "traffic first, capacity second"
    assert (scene.cloud.tasks(BLUE), scene.cloud.tasks(GREEN)) == (15, 0)


def test_rollback_by_hand_moves_traffic_after_the_previous_colour_has_grown(scene: Scene) -> None:
    assert scene.deploy(NEW, GREEN).phase is Phase.SUCCEEDED
    autoscaled(scene, {GREEN: 7, BLUE: 1})
    undo(scene)
    assert scene.cloud.sizes[1:] == [("ModifyRule", 7), ("UpdateService", 7)]
    assert (scene.cloud.tasks(BLUE), scene.cloud.tasks(GREEN)) == (7, 0)


@pytest.mark.parametrize(
    ("other", "own", "bounds"), [((0, 9), (3, 6), (3, 9)), ((2, 6), (5, 9), (5, 9)), ((4, 6), (0, 6), (4, 6))]
)
def test_scaling_up_lowers_no_bound(
    scene: Scene, other: tuple[int, int], own: tuple[int, int], bounds: tuple[int, int]
) -> None:
    """In a rollback the other colour is the failed one, and may be stopped already: then its least number is 0."""
    blues, greens = (f"service/main/{NAMES[colour]}" for colour in (BLUE, GREEN))
    scene.cloud.cluster.bounds = {blues: own, greens: other}
    scene.ports.platform.scale(BLUE)
    assert scene.cloud.cluster.bounds == {blues: bounds, greens: other}


def test_twenty_switches_and_a_rollback(scene: Scene) -> None:
    for turn in range(20):
        image, target = (NEW, GREEN) if turn % 2 == 0 else (OLD, BLUE)
        assert scene.deploy(image, target).phase is Phase.SUCCEEDED
    assert scene.ports.router.observe().generation == 20
    undo(scene)
    assert scene.ports.router.observe().live is GREEN
    assert not scene.ports.platform.describe(BLUE).running


def test_switch_by_dns_waits_until_caches_expire(scene: Scene) -> None:
    zone = Zone()
    with DnsServer(lambda: copy.deepcopy(zone.sets)).running() as resolver:
        scene.behind_dns(resolver, zone)
        began = scene.clock.monotonic()
        assert scene.deploy(NEW, GREEN).phase is Phase.SUCCEEDED
        assert scene.clock.monotonic() - began > 60, "the TTL of the records"
        harmed = scene.deploy(OLD, BLUE, harm=lambda: "users see errors")
        assert harmed.phase is Phase.ROLLED_BACK
        routes = scene.ports.router.observe()
        assert (routes.live, routes.generation) == (GREEN, 3)
        assert resolver.asked


def test_stale_resolver_rolls_back_a_switch_by_dns(scene: Scene) -> None:
    zone = Zone()
    with DnsServer(lambda: copy.deepcopy(zone.sets)).running() as resolver:
        scene.behind_dns(resolver, zone)
        scene.cloud.learn = lambda: None
        machine = scene.deploy(NEW, GREEN)
        assert machine.phase is Phase.ROLLED_BACK
        assert "does not lead to green yet" in str(machine.reason)
        assert scene.ports.router.observe().live is BLUE

"""One list of behaviours for all platforms.

App Runner and ECS run on the embedded endpoint, ECS also on a fake cluster that checks requests by botocore's model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from deployment.clock import SystemClock
from deployment.model import Colour, Image, Readiness, Rollout
from deployment.ports import Platform
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.session import Clients
from tests.aws.cluster import GROUPS, NAMES, Cluster, uri
from tests.aws.conftest import SteppedClock
from tests.embedded_aws.ecs_harness import CLUSTER
from tests.embedded_aws.ecs_harness import Cluster as RunningCluster
from tests.embedded_aws.harness import REPOSITORY, Endpoint, creation, wait_for
from tests.embedded_aws_contract.conftest import NAMES as APPRUNNER_NAMES

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@dataclass
class Estate:
    """A platform with blue live and green as Terraform leaves it; `time` lets a fake platform make progress."""

    platform: Callable[[], Platform]
    live: Image
    image: Callable[[str], Image]
    broken: Image
    time: Callable[[], None] = lambda: None

    def settled(self, rollout: Rollout) -> tuple[Readiness, str]:
        """Follow a rollout with a new platform object that knows only the rollout; return its outcome."""
        follower = self.platform()

        def ended() -> tuple[Readiness, str] | None:
            progress = follower.progress(rollout)
            self.time()
            return None if progress.readiness is Readiness.NOT_YET else (progress.readiness, progress.detail)

        found = wait_for(ended, 30)
        assert found is not None
        return found

    def ready(self, image: Image) -> None:
        assert self.settled(self.platform().provision(GREEN, image))[0] is Readiness.READY


def apprunner(endpoint: Endpoint, clients: Clients) -> Estate:
    def image(version: str, web: str = "python web.py") -> Image:
        digest = endpoint.image(version, web)
        return Image("telehealth-api", version, digest, version, f"{REPOSITORY}@{digest}")

    def platform() -> AppRunnerPlatform:
        return AppRunnerPlatform(clients, APPRUNNER_NAMES, DrainWindow(1.0, SystemClock()), scheme="http")

    live = image("1.0.0")
    request = creation(APPRUNNER_NAMES[BLUE], live.digest, DEPLOY_COLOR="blue")
    clients.call("apprunner", "CreateService", **request, Tags=[{"Key": "Color", "Value": "blue"}])
    wait_for(lambda: platform().describe(BLUE).running, 30)
    return Estate(platform, live, image, image("6.6.6", "python -c raise(SystemExit(7))"))


def ecs() -> Estate:
    clock = SteppedClock()
    cluster = Cluster(clock)
    urls = {colour: f"https://{colour}.example" for colour in Colour}

    def image(version: str) -> Image:
        digest = f"sha256:{version.replace('.', '').ljust(64, '0')}"
        return Image("telehealth-api", version, digest, version, uri(digest))

    live, broken = image("1.0.0"), image("6.6.6")
    cluster.create(BLUE, live.digest, tasks=2)
    cluster.create(GREEN, image("0.9.0").digest, tasks=1)

    def time() -> None:
        clock.sleep(10)
        made = cluster.services[NAMES[GREEN]]
        image = cluster.definitions[made.definition]["containerDefinitions"][0]["image"]
        if image == broken.uri and len(made.deployments) > 1:
            cluster.break_down(GREEN)
        else:
            cluster.settle(GREEN)

    def platform() -> EcsPlatform:
        return EcsPlatform(cast(Clients, cluster), "main", NAMES, GROUPS, urls, DrainWindow(60.0, clock))

    return Estate(platform, live, image, broken, time)


def running_ecs(cluster: RunningCluster, clients: Clients) -> Estate:
    """Return an estate of ECS on the embedded endpoint: its tasks are processes and start by themselves."""
    groups = {colour: cluster.group(APPRUNNER_NAMES[colour]) for colour in Colour}
    urls = {colour: f"http://{colour}.localhost:1" for colour in Colour}

    def image(version: str, web: str = "python web.py") -> Image:
        digest = cluster.endpoint.image(version, web)
        return Image("telehealth-api", version, digest, version, f"{REPOSITORY}@{digest}")

    def platform() -> EcsPlatform:
        return EcsPlatform(clients, CLUSTER, APPRUNNER_NAMES, groups, urls, DrainWindow(1.0, SystemClock()))

    live = image("1.0.0")
    cluster.service(APPRUNNER_NAMES[BLUE], live.digest, 2, group=groups[BLUE])
    cluster.service(APPRUNNER_NAMES[GREEN], image("0.9.0").digest, 0, group=groups[GREEN])
    cluster.deployed(APPRUNNER_NAMES[BLUE])
    return Estate(platform, live, image, image("6.6.6", "exit 7"))


@pytest.fixture(params=["apprunner", "ecs", pytest.param("running ecs", marks=pytest.mark.soak)])
def estate(request: pytest.FixtureRequest) -> Iterator[Estate]:
    if request.param == "ecs":
        yield ecs()
    elif request.param == "running ecs":
        cluster = request.getfixturevalue("running_cluster")
        yield running_ecs(cluster, request.getfixturevalue("ecs_clients"))
    else:
        yield apprunner(request.getfixturevalue("endpoint"), request.getfixturevalue("clients"))


def test_release_is_started_replaced_redeployed_stopped_and_started_again(estate: Estate) -> None:
    second, third = estate.image("1.1.0"), estate.image("1.2.0")
    platform = estate.platform()
    for image in (second, third, third):
        estate.ready(image)
        found = estate.platform().describe(GREEN)
        assert (found.running, found.digest, found.unhealthy) == (True, image.digest, None)
        assert found.url is not None
        assert found.url.endswith(found.origin or "nothing")

    assert platform.retire(GREEN) is not None

    def stopped() -> bool:
        estate.time()
        return platform.stopped(GREEN).readiness is Readiness.READY

    wait_for(stopped, 30)
    assert platform.retire(GREEN) is None
    assert platform.describe(GREEN).running is False

    estate.ready(second)
    assert (platform.describe(GREEN).running, platform.describe(GREEN).digest) == (True, second.digest)
    assert (platform.describe(BLUE).running, platform.describe(BLUE).digest) == (True, estate.live.digest)


def test_release_that_dies_is_stuck_and_does_not_block_a_good_one(estate: Estate) -> None:
    good = estate.image("1.1.0")
    estate.ready(good)
    before = estate.platform().describe(GREEN).configuration
    rollout = estate.platform().provision(GREEN, estate.broken)
    readiness, detail = estate.settled(rollout)
    assert readiness is Readiness.STUCK
    assert detail
    # The platform restored the former release; a caller that does not ask for this rollout would see a success.
    assert estate.settled(rollout)[0] is Readiness.STUCK
    estate.ready(good)
    assert estate.platform().describe(GREEN).configuration == before


def test_a_rollout_during_another_one_replaces_it(estate: Estate) -> None:
    second, third = estate.image("1.1.0"), estate.image("1.2.0")
    estate.platform().provision(GREEN, second)
    estate.ready(third)
    assert estate.platform().describe(GREEN).digest == third.digest


def test_a_repeated_rollout_is_one(estate: Estate) -> None:
    """If the first answer got lost, a second call follows the running rollout or starts one right after it."""
    second = estate.image("1.1.0")
    estate.platform().provision(GREEN, second)
    estate.ready(second)
    assert estate.platform().describe(GREEN).digest == second.digest


@pytest.mark.soak
def test_ecs_without_a_circuit_breaker_is_stuck_before_the_time_limit(
    running_cluster: RunningCluster, ecs_clients: Clients
) -> None:
    """ECS starts one task after the other for ever; the third failed task makes the rollout stuck, with its reason."""
    estate = running_ecs(running_cluster, ecs_clients)
    none = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    running_cluster.update(APPRUNNER_NAMES[GREEN], deploymentConfiguration=none)
    rollout = estate.platform().provision(GREEN, estate.broken)
    readiness, detail = estate.settled(rollout)
    assert readiness is Readiness.STUCK
    assert "3 are too many; the last one: Essential container in task exited (api: exit code 7)" in detail
    assert running_cluster.describe(APPRUNNER_NAMES[GREEN])["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    estate.ready(estate.image("1.1.0"))

"""Platform and router, unchanged, against a server that refuses the requests that AWS refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from deployment.errors import CloudError, RouteConflict, SwitchFailed
from deployment.model import Colour, Image, Readiness, Rollout
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.session import Clients
from tests.embedded_aws.harness import KVS_ARN, REPOSITORY, Endpoint, creation, wait_for

Settle = Callable[[Rollout], tuple[Readiness, str]]


def image(endpoint: Endpoint, version: str, web: str = "python web.py") -> Image:
    digest = endpoint.image(version, web)
    return Image("telehealth-api", version, digest, version, f"{REPOSITORY}@{digest}")


@pytest.fixture
def live(endpoint: Endpoint, clients: Clients, platform: AppRunnerPlatform) -> Image:
    first = image(endpoint, "1.0.0")
    request = creation("contract-api-blue", first.digest, DEPLOY_COLOR="blue", NODE_ENV="production")
    clients.call("apprunner", "CreateService", **request, Tags=[{"Key": "Color", "Value": "blue"}])
    wait_for(lambda: platform.describe(Colour.BLUE).running, 30)
    return first


def version(endpoint: Endpoint, platform: AppRunnerPlatform, colour: Colour) -> tuple[str, str]:
    answer = endpoint.get({"ServiceUrl": platform.describe(colour).origin})
    return answer["version"], answer["env"]["DEPLOY_COLOR"]


def test_release_is_created_updated_redeployed_retired_and_resumed(
    endpoint: Endpoint, platform: AppRunnerPlatform, live: Image, settle: Settle
) -> None:
    second, third = image(endpoint, "1.1.0"), image(endpoint, "1.2.0")
    assert platform.describe(Colour.GREEN).status == "ABSENT"
    assert settle(platform.provision(Colour.GREEN, second))[0] is Readiness.READY  # created
    assert version(endpoint, platform, Colour.GREEN) == ("1.1.0", "green")
    assert settle(platform.provision(Colour.GREEN, third))[0] is Readiness.READY  # updated
    assert settle(platform.provision(Colour.GREEN, third))[0] is Readiness.READY  # deployed again
    assert version(endpoint, platform, Colour.GREEN) == ("1.2.0", "green")

    assert platform.retire(Colour.GREEN) is not None
    wait_for(lambda: platform.stopped(Colour.GREEN).readiness is Readiness.READY, 30)
    assert platform.retire(Colour.GREEN) is None
    assert platform.describe(Colour.GREEN).running is False

    assert settle(platform.provision(Colour.GREEN, second))[0] is Readiness.READY  # resumed, then updated
    assert version(endpoint, platform, Colour.GREEN) == ("1.1.0", "green")
    assert platform.describe(Colour.BLUE).digest == live.digest


def test_release_that_dies_is_stuck_and_leaves_its_logs(
    endpoint: Endpoint, platform: AppRunnerPlatform, live: Image, settle: Settle
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    good, bad = image(endpoint, "1.1.0"), image(endpoint, "1.2.0", "python -c raise(SystemExit(7))")
    assert settle(platform.provision(Colour.GREEN, good))[0] is Readiness.READY
    readiness, detail = settle(platform.provision(Colour.GREEN, bad))
    assert readiness is Readiness.STUCK
    assert "UPDATE_SERVICE" in detail

    def lines() -> Sequence[str]:
        try:
            return platform.logs(Colour.GREEN, began)
        except CloudError:  # moto sometimes answers 500 while another request writes to the group
            return ()

    assert wait_for(lines, 15)
    # After a failed update the service is busy until its rollback ends; a new rollout waits for that.
    assert settle(platform.provision(Colour.GREEN, good))[0] is Readiness.READY


def test_traffic_is_switched_by_compare_and_set(clients: Clients, platform: AppRunnerPlatform, live: Image) -> None:
    router = CloudFrontRouter(clients, KVS_ARN)
    with pytest.raises(SwitchFailed, match="active is missing"):
        router.observe()
    origin = platform.describe(Colour.BLUE).origin or ""
    values = {
        "active": "blue",
        "weights": '{"blue": 100, "green": 0}',
        "generation": "1",
        "origin.blue": origin,
        "origin.green": origin,
    }
    etag = clients.call("cloudfront-keyvaluestore", "DescribeKeyValueStore", KvsARN=KVS_ARN)["ETag"]
    puts = [{"Key": key, "Value": value} for key, value in values.items()]
    clients.call("cloudfront-keyvaluestore", "UpdateKeys", KvsARN=KVS_ARN, IfMatch=etag, Puts=puts)

    seen = router.observe()
    to_green = {Colour.BLUE: 0, Colour.GREEN: 100}
    written = router.set(seen, to_green, {Colour.GREEN: origin}, token=1)
    assert written == router.observe()
    assert (written.live, written.generation, written.fence) == (Colour.GREEN, 2, 1)
    with pytest.raises(RouteConflict, match="generation 2"):
        router.set(seen, {Colour.BLUE: 100, Colour.GREEN: 0}, {}, token=1)
    assert router.observe() == written

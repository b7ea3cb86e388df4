"""One list of behaviours for all routers: CloudFront's store on the embedded endpoint, ALB and Route 53 on moto."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from deployment.errors import LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Readiness
from deployment.ports import Router
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.conftest import SteppedClock
from tests.aws.dns_server import DnsServer
from tests.aws.estates import IDENTIFIERS, balancer, zone
from tests.embedded_aws.harness import ACCOUNT, KVS_ARN, REGION, Endpoint

TO_GREEN, TO_BLUE = {Colour.BLUE: 0, Colour.GREEN: 100}, {Colour.BLUE: 100, Colour.GREEN: 0}
ORIGINS = {Colour.BLUE: "blue.example", Colour.GREEN: "green.example"}


@dataclass
class Estate:
    """A router's estate as Terraform leaves it, blue live; `router` returns a new router, as in another process."""

    router: Callable[[], Router]
    clock: SteppedClock
    learn: Callable[[], None] = lambda: None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Clients]:
    """Run one endpoint for all tests: each estate has its own names, except for the only key value store."""
    own = Endpoint(tmp_path_factory.mktemp("endpoint"), moto)
    try:
        own.start()
        endpoints = {"default": moto, "cloudfront-keyvaluestore": own.url}
        yield clients_for(Connection(REGION, ACCOUNT, credentials=Credentials("AKIATEST", "s"), endpoints=endpoints))
    finally:
        own.stop()


def cloudfront(clients: Clients, clock: SteppedClock) -> Iterator[Estate]:
    values = {"active": "blue", "weights": '{"blue": 100, "green": 0}', "generation": "0", "fence": "0"}
    etag = clients.call("cloudfront-keyvaluestore", "DescribeKeyValueStore", KvsARN=KVS_ARN)["ETag"]
    puts = [{"Key": key, "Value": value} for key, value in values.items()]
    clients.call("cloudfront-keyvaluestore", "UpdateKeys", KvsARN=KVS_ARN, IfMatch=etag, Puts=puts)
    yield Estate(lambda: CloudFrontRouter(clients, KVS_ARN), clock)


def rule(clients: Clients, clock: SteppedClock) -> Iterator[Estate]:
    made = balancer(clients, f"r{uuid4().hex[:12]}")
    yield Estate(lambda: AlbRouter(clients, made.rule, made.groups, clock), clock)


def listener(clients: Clients, clock: SteppedClock) -> Iterator[Estate]:
    made = balancer(clients, f"l{uuid4().hex[:12]}")
    yield Estate(lambda: AlbRouter(clients, made.listener, made.groups, clock), clock)


def route53(clients: Clients, clock: SteppedClock) -> Iterator[Estate]:
    name = f"z{uuid4().hex[:12]}"
    hosted = zone(clients, name)

    def records() -> Sequence[dict[str, object]]:
        found: Sequence[dict[str, object]] = clients.call("route53", "ListResourceRecordSets", HostedZoneId=hosted)[
            "ResourceRecordSets"
        ]
        return found

    with DnsServer(records).running() as server:
        yield Estate(
            lambda: Route53Router(clients, hosted, f"api.{name}.example", IDENTIFIERS, [server.place], clock),
            clock,
            server.refresh,
        )


ESTATES = {"cloudfront": cloudfront, "alb, rule": rule, "alb, default action": listener, "route53": route53}


@pytest.fixture(params=ESTATES)
def estate(request: pytest.FixtureRequest, shared: Clients) -> Iterator[Estate]:
    yield from ESTATES[request.param](shared, SteppedClock())


def test_routes_are_read_switched_and_read_back_by_another_process(estate: Estate) -> None:
    router = estate.router()
    seen = router.observe()
    assert (seen.live, dict(seen.weights), seen.generation, seen.fence) == (Colour.BLUE, TO_BLUE, 0, 0)
    written = router.set(seen, TO_GREEN, ORIGINS, token=4)
    assert (written.live, dict(written.weights), written.generation, written.fence) == (Colour.GREEN, TO_GREEN, 1, 4)
    assert estate.router().observe() == written
    back = estate.router().set(written, TO_BLUE, ORIGINS, token=4)
    assert (back.live, back.generation) == (Colour.BLUE, 2)
    assert router.observe() == back


def test_routes_that_changed_since_they_were_seen_are_not_written(estate: Estate) -> None:
    seen = estate.router().observe()
    written = estate.router().set(seen, TO_GREEN, ORIGINS, token=4)
    back = estate.router().set(written, TO_BLUE, ORIGINS, token=4)
    for stale in (seen, written):
        with pytest.raises(RouteConflict, match="generation 2"):
            estate.router().set(stale, TO_GREEN, ORIGINS, token=4)
    assert estate.router().observe() == back


def test_a_later_fencing_token_wins(estate: Estate) -> None:
    seen = estate.router().observe()
    written = estate.router().set(seen, TO_GREEN, ORIGINS, token=9)
    for stale in (seen, written):
        with pytest.raises(LeaseLost, match="9"):
            estate.router().set(stale, TO_BLUE, ORIGINS, token=8)
    assert estate.router().observe() == written


def test_a_repeated_write_is_one(estate: Estate) -> None:
    seen = estate.router().observe()
    written = estate.router().set(seen, TO_GREEN, ORIGINS, token=4)
    assert estate.router().set(seen, TO_GREEN, ORIGINS, token=4) == written


@pytest.mark.parametrize(("green", "live"), [(10, Colour.BLUE), (50, Colour.BLUE), (60, Colour.GREEN)])
def test_traffic_is_shared_by_weight(estate: Estate, green: int, live: Colour) -> None:
    weights = {Colour.BLUE: 100 - green, Colour.GREEN: green}
    written = estate.router().set(estate.router().observe(), weights, ORIGINS, token=3)
    assert (written.live, dict(written.weights)) == (live, weights)
    assert estate.router().observe() == written


@pytest.mark.parametrize("weights", [{Colour.GREEN: 99}, {Colour.BLUE: -1, Colour.GREEN: 101}, {}])
def test_invalid_weights_are_not_written(estate: Estate, weights: dict[Colour, int]) -> None:
    with pytest.raises(SwitchFailed, match="sum 100"):
        estate.router().set(estate.router().observe(), weights, ORIGINS, token=3)
    assert estate.router().observe().generation == 0


def test_one_switch_after_another(estate: Estate) -> None:
    router = estate.router()
    seen = router.observe()
    for turn in range(6):
        seen = router.set(seen, TO_BLUE if seen.live is Colour.GREEN else TO_GREEN, ORIGINS, token=turn // 2 + 1)
    assert (seen.live, seen.generation, seen.fence) == (Colour.BLUE, 6, 3)
    assert estate.router().observe() == seen


def test_a_switch_spreads(estate: Estate) -> None:
    router = estate.router()
    written = router.set(router.observe(), TO_GREEN, ORIGINS, token=4)
    estate.learn()
    router.spread(Colour.GREEN, written.generation)
    estate.clock.sleep(120)
    assert router.spread(Colour.GREEN, written.generation).readiness is Readiness.READY
    # A process that did not make the write may have to wait, but must not report STUCK.
    assert estate.router().spread(Colour.GREEN, written.generation).readiness is not Readiness.STUCK

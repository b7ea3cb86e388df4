"""The router against a zone that refuses the same as Route 53, and resolvers on loopback that update only on ``refresh``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from deployment.errors import CloudDenied, LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Readiness, Routes
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients
from tests.aws.conftest import SteppedClock
from tests.aws.dns_server import DnsServer
from tests.aws.zones import BALANCERS, IDENTIFIERS, KINDS, NAME, Zone, address

TO_GREEN, TO_BLUE = {Colour.BLUE: 0, Colour.GREEN: 100}, {Colour.BLUE: 100, Colour.GREEN: 0}


def raising(error: Exception) -> Callable[[], None]:
    def happen() -> None:
        raise error

    return happen


LOST = raising(ReadTimeoutError(endpoint_url="https://route53"))


@pytest.fixture
def zone() -> Zone:
    return Zone()


@pytest.fixture
def resolvers(zone: Zone) -> Iterator[list[DnsServer]]:
    """Two resolvers; each answers from the zone as of its last refresh."""
    with (
        DnsServer(lambda: copy.deepcopy(zone.sets)).running() as one,
        DnsServer(lambda: copy.deepcopy(zone.sets)).running() as two,
    ):
        yield [one, two]


@pytest.fixture
def router(zone: Zone, clock: SteppedClock, resolvers: list[DnsServer]) -> Route53Router:
    places = [one.place for one in resolvers]
    return Route53Router(cast(Clients, zone), "Z1", f"{NAME}.", IDENTIFIERS, places, clock)


def test_estate_before_its_first_deployment(router: Route53Router) -> None:
    found = router.observe()
    assert (found.live, found.weights, found.generation, found.fence) == (Colour.BLUE, TO_BLUE, 0, 0)


def test_switch_is_one_batch_that_changes_only_weights(zone: Zone, router: Route53Router) -> None:
    zone.sets[0]["HealthCheckId"] = "h-1"
    written = router.set(router.observe(), TO_GREEN, {Colour.GREEN: "ignored"}, token=4)
    assert written == router.observe()
    assert (written.live, written.weights, written.generation, written.fence) == (Colour.GREEN, TO_GREEN, 1, 4)
    assert zone.batches == 1
    assert {one["SetIdentifier"]: one["Weight"] for one in zone.sets if "Weight" in one} == {"b": 0, "g": 100}
    assert next(one for one in zone.sets if one.get("SetIdentifier") == "b")["HealthCheckId"] == "h-1"
    assert zone.stamp == '"live=green blue=0 green=100 generation=1 fence=4"'


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([], "no record with the set identifier 'b'"),
        ([address("b", 100)], "no record with the set identifier 'g'"),
        ([address("b", 0), address("g", 0)], "neither colour"),
        ([address("b", 1), address("g", 0), address("x", 5)], "'x', which is neither colour's"),
        ([address("b", 1), address("b", 2, Type="AAAA"), address("g", 0)], "have different weights"),
    ],
)
def test_invalid_records_are_an_error(
    zone: Zone, router: Route53Router, sets: list[dict[str, Any]], message: str
) -> None:
    zone.sets = sets
    with pytest.raises(SwitchFailed, match=message):
        router.observe()


def test_writer_between_read_and_write_wins(zone: Zone, router: Route53Router, clock: SteppedClock) -> None:
    """The compare-and-set: the batch deletes the stamp by its exact text, so Route 53 refuses all of it."""
    other = Route53Router(cast(Clients, zone), "Z1", NAME, IDENTIFIERS, [], clock)
    rival: list[Routes] = []

    def overtake() -> None:
        rival.append(other.set(other.observe(), TO_GREEN, {}, token=7))

    seen = router.set(router.observe(), TO_GREEN, {}, token=4)
    zone.before["ChangeResourceRecordSets"] = overtake
    with pytest.raises(LeaseLost, match="fencing token 7"):
        router.set(seen, TO_BLUE, {}, token=4)
    assert router.observe() == rival[0]


def test_first_two_writers_of_an_estate_conflict(zone: Zone, router: Route53Router, clock: SteppedClock) -> None:
    other = Route53Router(cast(Clients, zone), "Z1", NAME, IDENTIFIERS, [], clock)
    zone.before["ChangeResourceRecordSets"] = lambda: void(other.set(other.observe(), TO_BLUE, {}, token=3))
    with pytest.raises(RouteConflict, match="at generation 1"):
        router.set(router.observe(), TO_GREEN, {}, token=4)
    assert router.observe().live is Colour.BLUE


def void(_: object) -> None:
    """Ignore a value."""


def test_changed_routes_conflict_and_a_later_token_wins(zone: Zone, router: Route53Router) -> None:
    seen = router.observe()
    later = router.set(seen, TO_GREEN, {}, token=9)
    for stale in (seen, later):
        with pytest.raises(LeaseLost, match="9"):
            router.set(stale, TO_BLUE, {}, token=8)
    zone.sets = [{**one, "Weight": 50} if "Weight" in one else one for one in zone.sets]  # by hand
    with pytest.raises(RouteConflict):
        router.set(later, TO_BLUE, {}, token=9)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_lost_answers_are_resolved_by_reading_back(zone: Zone, router: Route53Router, moment: str) -> None:
    getattr(zone, moment)["ChangeResourceRecordSets"] = LOST
    written = router.set(router.observe(), TO_GREEN, {}, token=4)
    assert (written.live, written.generation) == (Colour.GREEN, 1)
    assert zone.batches == 1


def test_switch_without_any_answer_fails(zone: Zone, router: Route53Router) -> None:
    def again() -> None:
        zone.before["ChangeResourceRecordSets"] = again
        LOST()

    zone.before["ChangeResourceRecordSets"] = again
    with pytest.raises(SwitchFailed, match="no usable answer 2 times"):
        router.set(router.observe(), TO_GREEN, {}, token=4)


def test_a_lost_answer_and_an_unreadable_zone_is_a_failed_switch(zone: Zone, router: Route53Router) -> None:
    def lose() -> None:
        zone.before["ListResourceRecordSets"] = LOST
        LOST()

    seen = router.observe()
    zone.after["ChangeResourceRecordSets"] = lose
    with pytest.raises(SwitchFailed, match="could not be read back"):
        router.set(seen, TO_GREEN, {}, token=4)


def test_missing_permission_raises_cloud_denied(zone: Zone, router: Route53Router) -> None:
    denied = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    zone.before["ChangeResourceRecordSets"] = raising(ClientError(denied, "x"))
    with pytest.raises(CloudDenied):
        router.set(router.observe(), TO_GREEN, {}, token=4)
    assert router.observe().live is Colour.BLUE


# -- how far a switch has spread ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_has_spread_once_servers_resolvers_and_caches_have_it(
    zone: Zone, router: Route53Router, resolvers: list[DnsServer], clock: SteppedClock, kind: str
) -> None:
    zone.sets = [KINDS[kind]("b", 100), KINDS[kind]("g", 0), *BALANCERS]
    for one in resolvers:
        one.refresh()
    zone.status = "PENDING"
    generation = router.set(router.observe(), TO_GREEN, {}, token=4).generation

    def said() -> tuple[Readiness, str]:
        progress = router.spread(Colour.GREEN, generation)
        return progress.readiness, progress.detail

    assert said() == (Readiness.NOT_YET, "Route 53's own servers do not all have the change yet (PENDING)")
    zone.status = "INSYNC"
    assert "does not lead to green yet: api.telehealth.example is 192.0.2.1" in said()[1]
    resolvers[0].refresh()
    assert said()[1].startswith(resolvers[1].place)
    resolvers[1].refresh()
    ttl = 30 if kind == "cname" else 60
    assert router.observe().spread_s == 60 + ttl
    assert said() == (Readiness.NOT_YET, f"caches may keep the former answer for {ttl} s more")
    clock.sleep(ttl)
    assert said()[0] is Readiness.READY


def test_split_traffic_does_not_wait_for_resolvers(
    zone: Zone, router: Route53Router, resolvers: list[DnsServer], clock: SteppedClock
) -> None:
    generation = router.set(router.observe(), {Colour.BLUE: 90, Colour.GREEN: 10}, {}, token=4).generation
    assert "caches" in router.spread(Colour.BLUE, generation).detail
    assert not any(one.asked for one in resolvers)
    clock.sleep(60)
    assert router.spread(Colour.BLUE, generation).readiness is Readiness.READY


def test_another_process_can_continue_to_wait(
    zone: Zone, router: Route53Router, resolvers: list[DnsServer], clock: SteppedClock
) -> None:
    generation = router.set(router.observe(), TO_GREEN, {}, token=4).generation
    places = [one.place for one in resolvers]
    later = Route53Router(cast(Clients, zone), "Z1", NAME, IDENTIFIERS, places, clock)
    assert "does not lead to green yet" in later.spread(Colour.GREEN, generation).detail
    clock.sleep(60)
    for one in resolvers:
        one.refresh()
    assert later.spread(Colour.GREEN, generation).readiness is Readiness.READY


def test_silent_resolvers_are_ignored_unless_all_are_silent(
    zone: Zone, clock: SteppedClock, resolvers: list[DnsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.aws.route53.resolvers.TIMEOUT_S", 0.2)
    gone = "127.0.0.1:9"
    half = Route53Router(cast(Clients, zone), "Z1", NAME, IDENTIFIERS, [gone, resolvers[0].place], clock)
    generation = half.set(half.observe(), TO_GREEN, {}, token=4).generation
    resolvers[0].refresh()
    assert "caches" in half.spread(Colour.GREEN, generation).detail
    none = Route53Router(cast(Clients, zone), "Z1", NAME, IDENTIFIERS, [gone], clock)
    assert f"no resolver can be asked: {gone} does not answer" in none.spread(Colour.GREEN, generation).detail

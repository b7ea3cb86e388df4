"""The router against a store with compare-and-set that can lose answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from deployment.errors import CloudDenied, LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Routes
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.session import Clients

TO_GREEN = {Colour.BLUE: 0, Colour.GREEN: 100}
ORIGINS = {Colour.GREEN: "green.example"}


class Store:
    """Answers as Clients does. ``lose`` holds a fault for each next write: "before" it, "after" it, or an error code."""

    def __init__(self) -> None:
        self.values = {
            "active": "blue",
            "weights": '{"blue": 100, "green": 0}',
            "generation": "7",
            "fence": "3",
            "origin.blue": "blue.example",
        }
        self.etag = 1
        self.lose: list[str] = []
        self.writes = 0
        self.touch_on_read = 0

    def write(self, **values: str) -> None:
        self.values |= values
        self.etag += 1

    def call(self, service: str, operation: str, **given: Any) -> Mapping[str, Any]:
        with aws_errors(service, operation):
            if operation == "DescribeKeyValueStore":
                return {"ETag": f"E{self.etag}"}
            if operation == "GetKey":
                return self._get(given["Key"])
            return self._update(given)

    def _get(self, key: str) -> Mapping[str, Any]:
        if self.touch_on_read:
            self.touch_on_read -= 1
            self.write()
        if key not in self.values:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetKey")
        return {"Value": self.values[key]}

    def _update(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.writes += 1
        trouble = self.lose.pop(0) if self.lose else ""
        if trouble == "before":
            raise ReadTimeoutError(endpoint_url="http://kvs")
        if trouble not in ("", "after"):
            raise ClientError({"Error": {"Code": trouble}}, "UpdateKeys")
        if given["IfMatch"] != f"E{self.etag}":
            raise ClientError({"Error": {"Code": "ConflictException"}}, "UpdateKeys")
        self.write(**{put["Key"]: put["Value"] for put in given["Puts"]})
        if trouble == "after":
            raise ReadTimeoutError(endpoint_url="http://kvs")
        return {"ETag": f"E{self.etag}"}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def router(store: Store) -> CloudFrontRouter:
    return CloudFrontRouter(cast(Clients, store), "arn:aws:cloudfront::123456789012:key-value-store/x")


def test_routes_are_observed(router: CloudFrontRouter) -> None:
    assert router.observe() == Routes(Colour.BLUE, {Colour.BLUE: 100, Colour.GREEN: 0}, 7, "E1", 3)


def test_switch_writes_every_key_at_once(store: Store, router: CloudFrontRouter) -> None:
    written = router.set(router.observe(), TO_GREEN, ORIGINS, token=4)
    assert written == Routes(Colour.GREEN, TO_GREEN, 8, "E2", 4) == router.observe()
    assert json.loads(store.values["weights"]) == {"blue": 0, "green": 100}
    assert store.values["origin.green"] == "green.example"
    assert store.values["origin.blue"] == "blue.example"
    assert store.writes == 1


@pytest.mark.parametrize(("green", "live"), [(10, Colour.BLUE), (50, Colour.BLUE), (60, Colour.GREEN)])
def test_largest_weight_is_active(router: CloudFrontRouter, green: int, live: Colour) -> None:
    written = router.set(router.observe(), {Colour.BLUE: 100 - green, Colour.GREEN: green}, {}, token=3)
    assert written.live is live
    assert router.observe() == written


@pytest.mark.parametrize("weights", [{Colour.GREEN: 99}, {Colour.BLUE: -1, Colour.GREEN: 101}, {}])
def test_weights_must_be_percentages(store: Store, router: CloudFrontRouter, weights: dict[Colour, int]) -> None:
    with pytest.raises(SwitchFailed, match="sum 100"):
        router.set(router.observe(), weights, {}, token=3)
    assert store.writes == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("active", None),
        ("active", "red"),
        ("weights", None),
        ("weights", "{"),
        ("weights", "[]"),
        ("weights", '{"blue": 100}'),
        ("weights", '{"blue": 50, "green": 49}'),
        ("weights", '{"blue": "100", "green": 0}'),
        ("weights", '{"blue": 0, "green": 100}'),
        ("generation", None),
        ("generation", "many"),
        ("fence", "x"),
    ],
)
def test_invalid_store_is_an_error(store: Store, router: CloudFrontRouter, key: str, value: str | None) -> None:
    del store.values[key]
    if value is not None:
        store.values[key] = value
    with pytest.raises(SwitchFailed, match=key):
        router.observe()


def test_estate_before_its_first_deployment_has_no_fence(store: Store, router: CloudFrontRouter) -> None:
    del store.values["fence"]
    assert router.observe().fence == 0


def test_reading_restarts_after_another_write(store: Store, router: CloudFrontRouter) -> None:
    store.touch_on_read = 1
    assert router.observe().revision == "E2"
    store.touch_on_read = 1000
    with pytest.raises(SwitchFailed, match="while they were read"):
        router.observe()


def test_changed_routes_conflict(store: Store, router: CloudFrontRouter) -> None:
    seen = router.observe()
    store.write(generation="8")
    with pytest.raises(RouteConflict, match="generation 8"):
        router.set(seen, TO_GREEN, ORIGINS, token=3)
    assert store.values["active"] == "blue"


def test_later_token_wins(store: Store, router: CloudFrontRouter) -> None:
    seen = router.observe()
    with pytest.raises(LeaseLost):
        router.set(seen, TO_GREEN, ORIGINS, token=2)
    assert store.writes == 0
    store.write(generation="8", fence="9")
    with pytest.raises(LeaseLost, match="9"):
        router.set(seen, TO_GREEN, ORIGINS, token=4)
    assert store.values["active"] == "blue"


@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after"], ["InternalServerException"]])
def test_lost_answers_are_resolved_by_reading_back(store: Store, router: CloudFrontRouter, lost: list[str]) -> None:
    store.lose = lost
    written = router.set(router.observe(), TO_GREEN, ORIGINS, token=4)
    assert written == router.observe()
    assert (written.live, written.generation) == (Colour.GREEN, 8)


def test_conflict_with_ones_own_first_try_is_success(store: Store, router: CloudFrontRouter) -> None:
    seen = router.observe()
    router.set(seen, TO_GREEN, ORIGINS, token=4)
    assert router.set(seen, TO_GREEN, ORIGINS, token=4) == router.observe()
    assert store.values["generation"] == "8"


def test_switch_without_any_answer_fails(store: Store, router: CloudFrontRouter) -> None:
    store.lose = ["before", "500"] * 3
    store.lose[1] = "ServiceUnavailable"
    with pytest.raises(SwitchFailed, match="no usable answer 2 times"):
        router.set(router.observe(), TO_GREEN, ORIGINS, token=4)
    assert store.writes == 2


def test_lost_answer_and_unreadable_store_is_a_failed_switch(store: Store, router: CloudFrontRouter) -> None:
    seen = router.observe()
    store.lose = ["after"]
    store.touch_on_read = 1000
    with pytest.raises(SwitchFailed):
        router.set(seen, TO_GREEN, ORIGINS, token=4)


def test_missing_permission_raises_cloud_denied(store: Store, router: CloudFrontRouter) -> None:
    store.lose = ["AccessDeniedException"]
    with pytest.raises(CloudDenied):
        router.set(router.observe(), TO_GREEN, ORIGINS, token=4)
    assert store.writes == 1

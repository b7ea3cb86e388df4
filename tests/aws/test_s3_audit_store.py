"""The audit store on conditional puts: nothing is overwritten, neither in a race nor after a lost answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import botocore.exceptions as bc
import pytest

from deployment.errors import CloudError, NotFound, StoredOtherwise
from deployment.ports import Clock
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.s3 import CONFLICT_TRIES, S3AuditStore
from infrastructure.aws.session import Clients


@pytest.fixture
def store(clients: Clients, clock: Clock) -> S3AuditStore:
    bucket = f"audit-{uuid4().hex}"
    clients.call("s3", "CreateBucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    return S3AuditStore(clients, bucket, clock)


def test_stored_object_is_returned(store: S3AuditStore) -> None:
    store.put("test/one/audit.jsonl", b"line\n")
    assert store.get("test/one/audit.jsonl") == b"line\n"
    assert store.get("test/two/audit.jsonl") is None


def test_equal_content_is_accepted_and_other_content_refused(store: S3AuditStore) -> None:
    store.put("one", b"a")
    store.put("one", b"a")
    with pytest.raises(StoredOtherwise, match="one exists already with other content"):
        store.put("one", b"b")
    assert store.get("one") == b"a"


def test_names_are_listed_over_all_pages(store: S3AuditStore) -> None:
    stored = [f"test/{number:04}/audit.jsonl" for number in range(1001)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b"a"), [*stored, "other/one"]))
    assert list(store.names("test/")) == stored
    assert list(store.names("none/")) == []


def test_one_of_eight_racing_writers_wins(store: S3AuditStore) -> None:
    def race(number: int) -> bool:
        try:
            store.put("one", f"content {number}".encode())
        except StoredOtherwise:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert store.get("one") == f"content {won.index(True)}".encode()


def test_missing_bucket_is_an_error(clients: Clients, clock: Clock) -> None:
    missing = S3AuditStore(clients, f"none-{uuid4().hex}", clock)
    with pytest.raises(NotFound, match="NoSuchBucket"):
        missing.put("one", b"a")
    with pytest.raises(NotFound, match="NoSuchBucket"):
        missing.get("one")
    with pytest.raises(NotFound, match="NoSuchBucket"):
        list(missing.names("one"))


class Scripted(Clients):
    """Clients whose puts first run ``answers``, then reach S3."""

    def __init__(self, real: Clients, answers: list[Callable[[], None]]) -> None:
        self._real = real
        self.answers = answers

    def call(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        if operation == "PutObject" and self.answers:
            with aws_errors(service, operation):
                self.answers.pop(0)()
        return self._real.call(service, operation, **parameters)


def conflict() -> None:
    answer = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
    raise bc.ClientError(answer, "PutObject")


def scripted(clients: Clients, clock: Clock, answers: list[Callable[[], None]]) -> S3AuditStore:
    bucket = f"audit-{uuid4().hex}"
    clients.call("s3", "CreateBucket", Bucket=bucket)
    return S3AuditStore(Scripted(clients, answers), bucket, clock)


def test_conflict_is_retried(clients: Clients, clock: Clock) -> None:
    store = scripted(clients, clock, [conflict] * (CONFLICT_TRIES - 1))
    store.put("one", b"a")
    assert store.get("one") == b"a"
    assert 0 < clock.monotonic() < 2


def test_endless_conflicts_raise(clients: Clients, clock: Clock) -> None:
    answers: list[Callable[[], None]] = [conflict] * (CONFLICT_TRIES + 3)
    store = scripted(clients, clock, answers)
    with pytest.raises(CloudError, match="ConditionalRequestConflict"):
        store.put("one", b"a")
    assert len(answers) == 3


def test_put_with_a_lost_answer_succeeds(clients: Clients, clock: Clock) -> None:
    bucket = f"audit-{uuid4().hex}"
    clients.call("s3", "CreateBucket", Bucket=bucket)

    def took_effect() -> None:
        clients.call("s3", "PutObject", Bucket=bucket, Key="one", Body=b"a")

    store = S3AuditStore(Scripted(clients, [took_effect]), bucket, clock)
    store.put("one", b"a")
    assert store.get("one") == b"a"

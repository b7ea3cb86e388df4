"""The key value store through boto3, and the route file that follows it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infrastructure.embedded.aws.cloudfront import edge
from infrastructure.embedded.aws.cloudfront import key_value_store as module
from infrastructure.embedded.aws.errors import AwsError
from tests.embedded_aws.harness import KVS_ARN, Endpoint, keyvaluestore

KEYS = {
    "active": "blue",
    "weights": '{"blue": 100, "green": 0}',
    "generation": "1",
    "origin.blue": "aa.awsapprunner.localhost:41003",
    "origin.green": "bb.awsapprunner.localhost:41003",
}


def test_update_writes_the_route(own_endpoint: Endpoint) -> None:
    kvs = keyvaluestore(own_endpoint.start().url)
    etag = kvs.describe_key_value_store(KvsARN=KVS_ARN)["ETag"]
    puts = [{"Key": key, "Value": value} for key, value in KEYS.items()]
    answer = kvs.update_keys(KvsARN=KVS_ARN, IfMatch=etag, Puts=puts)
    assert answer["ETag"] != etag
    assert (own_endpoint.folder / "edge" / "route").read_text() == "1 blue aa.awsapprunner.localhost:41003 - - 0"
    assert kvs.get_key(KvsARN=KVS_ARN, Key="active")["Value"] == "blue"


@pytest.fixture
def kvs(endpoint: Endpoint) -> Any:
    return keyvaluestore(endpoint.url)


def etag_of(kvs: Any) -> str:
    return str(kvs.describe_key_value_store(KvsARN=KVS_ARN)["ETag"])


def test_every_write_changes_the_etag(kvs: Any) -> None:
    etags = [etag_of(kvs)]
    etags.append(kvs.put_key(KvsARN=KVS_ARN, Key="a/b c", Value="1", IfMatch=etags[-1])["ETag"])
    etags.append(kvs.put_key(KvsARN=KVS_ARN, Key="a/b c", Value="1", IfMatch=etags[-1])["ETag"])
    assert kvs.get_key(KvsARN=KVS_ARN, Key="a/b c")["Value"] == "1"
    etags.append(kvs.delete_key(KvsARN=KVS_ARN, Key="a/b c", IfMatch=etags[-1])["ETag"])
    assert len(set(etags)) == 4
    assert etag_of(kvs) == etags[-1]


def test_unknown_keys_and_stores(kvs: Any) -> None:
    etag, missing = etag_of(kvs), kvs.exceptions.ResourceNotFoundException
    with pytest.raises(missing):
        kvs.get_key(KvsARN=KVS_ARN, Key="absent")
    with pytest.raises(missing):
        kvs.delete_key(KvsARN=KVS_ARN, Key="absent", IfMatch=etag)
    with pytest.raises(missing):
        kvs.describe_key_value_store(KvsARN=KVS_ARN[:-1] + "8")


def test_update_is_all_or_nothing(kvs: Any) -> None:
    etag = etag_of(kvs)
    before = kvs.describe_key_value_store(KvsARN=KVS_ARN)["ItemCount"]
    puts, deletes = [{"Key": "half", "Value": "1"}], [{"Key": "absent"}]
    with pytest.raises(kvs.exceptions.ResourceNotFoundException):
        kvs.update_keys(KvsARN=KVS_ARN, IfMatch=etag, Puts=puts, Deletes=deletes)
    described = kvs.describe_key_value_store(KvsARN=KVS_ARN)
    assert (described["ItemCount"], described["ETag"]) == (before, etag)


def test_keys_are_listed_in_pages(kvs: Any) -> None:
    puts = [{"Key": f"page-{number}", "Value": str(number)} for number in range(5)]
    kvs.update_keys(KvsARN=KVS_ARN, IfMatch=etag_of(kvs), Puts=puts)
    pages = kvs.get_paginator("list_keys").paginate(KvsARN=KVS_ARN, PaginationConfig={"PageSize": 2})
    items = {item["Key"]: item["Value"] for page in pages for item in page["Items"]}
    assert {key: value for key, value in items.items() if key.startswith("page-")} == {
        put["Key"]: put["Value"] for put in puts
    }


def test_one_of_eight_writers_wins_each_version(endpoint: Endpoint) -> None:
    clients = [keyvaluestore(endpoint.url) for _ in range(8)]

    def write(number: int, etag: str) -> bool:
        try:
            clients[number].put_key(KvsARN=KVS_ARN, Key="winner", Value=str(number), IfMatch=etag)
        except clients[number].exceptions.ConflictException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            etag = etag_of(clients[0])
            won = list(pool.map(lambda number, etag=etag: write(number, etag), range(8)))
            assert won.count(True) == 1
            value = clients[0].get_key(KvsARN=KVS_ARN, Key="winner")["Value"]
            assert value == str(won.index(True))


def test_a_malformed_value_keeps_the_last_good_route(own_endpoint: Endpoint) -> None:
    kvs = keyvaluestore(own_endpoint.start().url)
    puts = [{"Key": key, "Value": value} for key, value in KEYS.items()]
    kvs.update_keys(KvsARN=KVS_ARN, IfMatch=etag_of(kvs), Puts=puts)
    route = own_endpoint.folder / "edge" / "route"
    good = route.read_text()
    kvs.put_key(KvsARN=KVS_ARN, Key="active", Value="puce", IfMatch=etag_of(kvs))
    assert route.read_text() == good
    changed = [{"Key": "active", "Value": "green"}, {"Key": "weights", "Value": '{"blue": 10, "green": 90}'}]
    kvs.update_keys(KvsARN=KVS_ARN, IfMatch=etag_of(kvs), Puts=changed)
    assert route.read_text() == "1 green bb.awsapprunner.localhost:41003 blue aa.awsapprunner.localhost:41003 1999"
    route.unlink()
    own_endpoint.kill()
    own_endpoint.start()
    assert route.read_text().startswith("1 green "), "a new process writes the route again"


def test_the_store_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_BYTES", 10)
    store = module.KeyValueStore("arn", tmp_path / "kvs.json", tmp_path / "route")
    etag = store.describe({"KvsARN": "arn"})["ETag"]
    with pytest.raises(AwsError, match="ServiceQuotaExceededException"):
        store.put_key({"KvsARN": "arn", "Key": "key", "Value": "12345678", "IfMatch": etag})
    assert store.put_key({"KvsARN": "arn", "Key": "key", "Value": "1234567", "IfMatch": etag})["TotalSizeInBytes"] == 10


MALFORMED = {
    "no active": {"active": ""},
    "unknown active": {"active": "puce"},
    "weights are not JSON": {"weights": "{"},
    "weights are a list": {"weights": "[50, 50]"},
    "weights are not whole": {"weights": '{"blue": 99.5, "green": 0.5}'},
    "weights are bools": {"weights": '{"blue": true, "green": 99}'},
    "weights are not 100": {"weights": '{"blue": 100, "green": 1}'},
    "weight below 0": {"weights": '{"blue": 101, "green": -1}'},
    "generation is not a number": {"generation": "one"},
    "generation is not ASCII": {"generation": "\u0661"},
    "host with a blank": {"origin.blue": "a b"},
    "host with a line break": {"origin.blue": "a\nb"},
    "no host of the secondary": {"weights": '{"blue": 90, "green": 10}', "origin.green": ""},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_malformed_keys_make_no_route(change: dict[str, str]) -> None:
    assert edge.route_line(KEYS | change) is None


@pytest.mark.parametrize(
    ("percent", "end"),
    [
        (0, "- - 0"),
        (1, "green bb.awsapprunner.localhost:41003 028f"),
        (50, "green bb.awsapprunner.localhost:41003 8000"),
        (100, "green bb.awsapprunner.localhost:41003 g"),
    ],
)
def test_thresholds(percent: int, end: str) -> None:
    line = edge.route_line(KEYS | {"weights": f'{{"blue": {100 - percent}, "green": {percent}}}'})
    assert line == f"1 blue aa.awsapprunner.localhost:41003 {end}"

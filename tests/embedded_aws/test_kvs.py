"""The key value store through boto3, and the route file that follows it."""

from __future__ import annotations

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

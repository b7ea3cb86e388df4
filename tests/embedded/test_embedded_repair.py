"""After kill -9 of a process `inspect` reports it, and `up` repairs the environment without data loss."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from infrastructure.embedded import cloud
from infrastructure.embedded.outputs import Outputs
from infrastructure.embedded.status import ProcessStatus
from tests.embedded.conftest import SERVED
from tests.soak import sample

NAMES = ("postgres", "valkey", "moto", "caddy", "endpoint", "instance")
# A kill of the endpoint is tried on ECS as well, one of an instance in tests/embedded_aws.
FIRST = ("postgres",)


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until the condition holds; fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def the(running: Any, name: str) -> ProcessStatus:
    found = cloud.inspect(running.state)
    assert found is not None
    if name == "instance":
        return found.instances[0]
    return next(process for process in found.processes if process.name == name)


def same_outputs(repaired: Outputs, before: Outputs) -> bool:
    """Compare all but the ids of health checks: Route 53 chooses them, and moto loses a check, so that the new one has another."""
    assert len(repaired.route53_health_checks) == len(before.route53_health_checks)
    return replace(repaired, route53_health_checks=before.route53_health_checks) == before


def database_url(running: Any) -> str:
    manager = running.client("secretsmanager")
    return str(manager.get_secret_value(SecretId=running.outputs.secrets["database_url"])["SecretString"])


@pytest.fixture
def data(running: Any) -> Callable[[], dict[str, Any]]:
    """Write into every store, and return a function that reads all values back."""
    url = database_url(running)
    token = str(time.monotonic_ns())
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists kept (token text)")
        connection.execute("insert into kept values (%s)", [token])
    redis_port, table = the(running, "valkey").port, running.outputs.lease_table
    with redis.Redis(port=redis_port) as valkey:
        valkey.set("kept", token)
        valkey.execute_command("CONFIG", "SET", "appendfsync", "always")  # so that the last second is kept as well
        valkey.set("kept", token)
    item = {"id": {"S": "lease"}, "token": {"S": token}, "fence": {"N": "7"}, "labels": {"SS": ["a", "b"]}}
    running.client("dynamodb").put_item(TableName=table, Item=item)

    def read() -> dict[str, Any]:
        with psycopg.connect(url) as connection:
            rows = connection.execute("select token from kept order by 1").fetchall()
        with redis.Redis(port=redis_port) as valkey:
            kept = valkey.get("kept")
        manager, arns = running.client("secretsmanager"), running.outputs.secrets
        images = running.client("ecr").describe_images(repositoryName="telehealth-api")["imageDetails"]
        store = running.client("cloudfront-keyvaluestore").list_keys(KvsARN=running.outputs.key_value_store_arn)
        return {
            "rows": rows,
            "valkey": kept,
            "lease": running.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "lease"}})["Item"],
            "secrets": {name: manager.get_secret_value(SecretId=arns[name])["SecretString"] for name in arns},
            "images": sorted((image["imageDigest"], image["imageTags"]) for image in images),
            "keys": {pair["Key"]: pair["Value"] for pair in store["Items"]},
        }

    return read


@pytest.mark.parametrize("name", sample(NAMES, *FIRST))
def test_a_killed_process_is_reported_and_repaired_without_data_loss(
    running: Any, data: Callable[[], dict[str, Any]], name: str
) -> None:
    before, victim = data(), the(running, name)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: the(running, name).pid != victim.pid)
    found = cloud.inspect(running.state)
    assert found is not None
    if name != "instance":  # App Runner restarts an instance by itself
        assert [process.name for process in found.processes if not process.alive] == [name]
        assert not found.healthy

    repaired = cloud.up(running.state, Path("/nowhere"), SERVED)
    assert same_outputs(repaired, running.outputs)

    after = cloud.inspect(running.state)
    assert after is not None
    assert after.healthy
    assert the(running, name).pid != victim.pid
    assert data_is_kept(before, data)


def data_is_kept(before: dict[str, Any], data: Callable[[], dict[str, Any]]) -> bool:
    """Compare store by store, so that a failure names the store that lost data."""
    after = data()
    assert [name for name in before if after[name] != before[name]] == []
    return True


@pytest.mark.soak
def test_a_hanging_process_is_reported_and_replaced(running: Any) -> None:
    victim = the(running, "valkey")
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGSTOP)
    seen = the(running, "valkey")
    assert (seen.alive, seen.answers) == (True, False)
    cloud.up(running.state, running.registry, SERVED)
    assert not psutil.pid_exists(victim.pid) or psutil.Process(victim.pid).status() == psutil.STATUS_ZOMBIE
    assert the(running, "valkey").answers


def test_up_repairs_the_environment_after_all_processes_were_killed(
    running: Any, data: Callable[[], dict[str, Any]]
) -> None:
    before = data()
    found = cloud.inspect(running.state)
    assert found is not None
    victims = [process.pid for process in (*found.processes, *found.instances) if process.pid is not None]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: cloud.inspect(running.state) is None)
    assert cloud.outputs(running.state) is None
    cloud.up(running.state, running.registry, SERVED)
    assert data_is_kept(before, data)


def test_a_conditional_write_that_was_answered_survives_a_kill_of_moto(running: Any) -> None:
    dynamodb, table = running.client("dynamodb"), running.outputs.lease_table
    key = {"id": {"S": "fence"}}
    for holder in ("a", "b"):
        answer = dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET holder = :h ADD fence :one",
            ExpressionAttributeValues={":h": {"S": holder}, ":one": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )
    pid = the(running, "moto").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not the(running, "moto").alive)
    cloud.up(running.state, running.registry, SERVED)
    assert dynamodb.get_item(TableName=table, Key=key)["Item"] == answer["Attributes"]
    dynamodb.delete_item(TableName=table, Key=key)


@pytest.mark.soak
def test_evidence_that_was_stored_survives_a_kill_of_moto(running: Any) -> None:
    s3, place = running.client("s3"), {"Bucket": running.outputs.audit_bucket, "Key": "test/one/audit.jsonl"}
    s3.put_object(**place, Body=b"line", IfNoneMatch="*")
    pid = the(running, "moto").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not the(running, "moto").alive)
    cloud.up(running.state, running.registry, SERVED)
    assert s3.get_object(**place)["Body"].read() == b"line"
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(**place, Body=b"another", IfNoneMatch="*")

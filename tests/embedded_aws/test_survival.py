"""Crashes of instances, kill -9 of the endpoint, and SIGTERM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from tests.embedded_aws.harness import (
    KVS_ARN,
    Endpoint,
    client,
    created,
    creation,
    keyvaluestore,
    outcome,
    source,
    wait_for,
)


def answering(endpoint: Endpoint, service: dict[str, Any], but: int) -> int:
    """Wait until another process than `but` answers for the service; return its pid."""

    def other() -> int | None:
        pid = int(endpoint.get(service)["pid"]) if endpoint.upstream(service) else but
        return pid if pid != but else None

    found = wait_for(other)
    assert found is not None
    return found


def pids(endpoint: Endpoint) -> set[int]:
    return {process.pid for process in endpoint.leftovers()}


def test_a_crashed_instance_is_replaced(apprunner: Any, endpoint: Endpoint) -> None:
    service = created(apprunner, **creation("crashing", endpoint.image("1.0.0")))
    first = endpoint.get(service)["pid"]
    psutil.Process(first).kill()
    second = answering(endpoint, service, but=first)
    psutil.Process(second).kill()
    answering(endpoint, service, but=second)
    now = apprunner.describe_service(ServiceArn=service["ServiceArn"])["Service"]
    assert now["Status"] == "RUNNING"
    operations = apprunner.list_operations(ServiceArn=service["ServiceArn"])["OperationSummaryList"]
    assert [operation["Type"] for operation in operations] == ["CREATE_SERVICE"]


def test_sigterm_stops_every_instance(own_endpoint: Endpoint) -> None:
    own_endpoint.settings = {"stop_grace_s": 0.5}
    apprunner = client("apprunner", own_endpoint.start().url)
    image = own_endpoint.image("1.0.0", web="trap '' TERM; python web.py; sleep 60")
    service = created(apprunner, **creation("stopped", image))
    assert len(pids(own_endpoint)) == 2
    assert own_endpoint.stop() == 0
    assert not pids(own_endpoint)
    own_endpoint.start()
    assert answering(own_endpoint, service, but=0), "a RUNNING service runs again with the endpoint"


def test_after_kill_9_living_instances_are_adopted_and_dead_ones_restarted(own_endpoint: Endpoint) -> None:
    apprunner = client("apprunner", own_endpoint.start().url)
    image = own_endpoint.image("1.0.0", "exec python web.py")
    alive, dead = (created(apprunner, **creation(name, image)) for name in ("alive", "dead-one"))
    living, dying = (own_endpoint.get(service)["pid"] for service in (alive, dead))
    kvs = keyvaluestore(own_endpoint.url)
    etag = kvs.describe_key_value_store(KvsARN=KVS_ARN)["ETag"]
    etag = kvs.put_key(KvsARN=KVS_ARN, Key="fence", Value="7", IfMatch=etag)["ETag"]
    own_endpoint.kill()
    psutil.Process(dying).kill()
    own_endpoint.start()
    answering(own_endpoint, dead, but=dying)
    assert own_endpoint.get(alive)["pid"] == living
    described = kvs.describe_key_value_store(KvsARN=KVS_ARN)
    assert (described["ETag"], kvs.get_key(KvsARN=KVS_ARN, Key="fence")["Value"]) == (etag, "7")
    arn = alive["ServiceArn"]
    assert outcome(apprunner, arn, apprunner.pause_service(ServiceArn=arn)["OperationId"]) == "SUCCEEDED"
    assert living not in pids(own_endpoint), "an adopted instance can be stopped"


def test_kill_9_during_operations_undoes_them(own_endpoint: Endpoint) -> None:
    apprunner = client("apprunner", own_endpoint.start().url)
    service = created(apprunner, **creation("amid-update", own_endpoint.image("1.0.0", "exec python web.py")))
    arn, before = service["ServiceArn"], own_endpoint.get(service)["pid"]
    endless = own_endpoint.image("2.0.0", release="echo $$ > $HOME/pid; exec sleep 60")
    update = apprunner.update_service(ServiceArn=arn, SourceConfiguration=source(endless))
    creating = apprunner.create_service(**creation("amid-create", own_endpoint.image("2.0.1", "exec sleep 60")))
    revisions = own_endpoint.folder / "aws" / "revisions"
    wait_for(lambda: list(revisions.glob("*/pid")))
    wait_for(lambda: candidate(own_endpoint, creating["Service"]["ServiceId"]))
    own_endpoint.kill()
    own_endpoint.start()
    assert outcome(apprunner, arn, update["OperationId"]) == "ROLLBACK_SUCCEEDED"
    undone = apprunner.describe_service(ServiceArn=arn)["Service"]
    assert (undone["Status"], undone["SourceConfiguration"]) == ("RUNNING", service["SourceConfiguration"])
    created_arn = creating["Service"]["ServiceArn"]
    assert outcome(apprunner, created_arn, creating["OperationId"]) == "FAILED"
    assert apprunner.describe_service(ServiceArn=created_arn)["Service"]["Status"] == "CREATE_FAILED"
    assert pids(own_endpoint) == {before}, "the dead endpoint's releases and candidates are gone"
    assert len(list(revisions.glob("*"))) == 1


def test_kill_9_after_the_switch_finishes_the_operation(own_endpoint: Endpoint) -> None:
    own_endpoint.settings = {"drain_s": 60}
    apprunner = client("apprunner", own_endpoint.start().url)
    service = created(apprunner, **creation("switched", own_endpoint.image("1.0.0")))
    arn, before = service["ServiceArn"], own_endpoint.get(service)["pid"]
    wanted = source(own_endpoint.image("1.1.0", "exec python web.py"))
    update = apprunner.update_service(ServiceArn=arn, SourceConfiguration=wanted)
    after = answering(own_endpoint, service, but=before)
    assert before in pids(own_endpoint), "it still drains"
    own_endpoint.kill()
    own_endpoint.start()
    assert outcome(apprunner, arn, update["OperationId"]) == "SUCCEEDED"
    assert apprunner.describe_service(ServiceArn=arn)["Service"]["SourceConfiguration"] == wanted
    assert pids(own_endpoint) == {after}


def candidate(endpoint: Endpoint, service_id: str) -> Any:
    file = Path(endpoint.folder) / "aws" / "services" / f"{service_id}.json"
    return json.loads(file.read_text())["candidate"]


def test_an_operation_succeeds_without_cloudwatch(own_endpoint: Endpoint) -> None:
    own_endpoint.aws_endpoint = "http://127.0.0.1:9"  # the discard port: no server listens there
    apprunner = client("apprunner", own_endpoint.start().url)
    service = created(apprunner, **creation("alone", own_endpoint.image("1.0.0")))
    assert own_endpoint.get(service)["version"] == "1.0.0"

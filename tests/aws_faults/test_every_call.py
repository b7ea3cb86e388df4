"""Every call of every adapter with each fault: a documented error after bounded tries, and a repetition that succeeds.

App Runner's calls are in ``tests/aws_faults/test_apprunner_faults.py``. This prints the number of faults:
``python -m pytest tests/aws_faults -q -s | grep "faults injected"``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from deployment.errors import DeploymentError
from deployment.model import Colour, Holder, Notice, NoticeKind, Scan
from deployment.ports import Clock
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.dynamodb import HASH_KEY, DynamoLease
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.logs import newest_lines
from infrastructure.aws.registry.images import VERSION_ANNOTATION, EcrRegistry
from infrastructure.aws.registry.push import EcrPushTarget
from infrastructure.aws.registry.scans import EcrScans
from infrastructure.aws.s3 import S3AuditStore
from infrastructure.aws.secretsmanager import SecretsManager
from infrastructure.aws.session import ATTEMPTS, Clients
from infrastructure.aws.sns import SnsNotifier
from tests.aws_faults.alarm_calls import ALARM_CALLS
from tests.aws_faults.conftest import Aws
from tests.aws_faults.ecs_calls import ECS_CALLS
from tests.aws_faults.injection import INJECTED, Act, Call, Scene, documented, inject
from tests.aws_faults.proxy import Fault
from tests.aws_faults.router_calls import ROUTER_CALLS
from tests.embedded_aws.harness import ACCOUNT, KVS_ARN, REGION

TO_GREEN = {Colour.BLUE: 0, Colour.GREEN: 100}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def holder(name: str, pid: int = 100) -> Holder:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    return Holder(name, "ada", "host-1", pid, 1763800000.5, epoch, epoch, doing="provision")


# -- the lease ---------------------------------------------------------------------------------------------------------


def leased(
    scene: Scene, act: Callable[[DynamoLease, Holder], object], right: Callable[[DynamoLease, Holder, Any], bool]
) -> Act:
    """Return an action of a run that holds the lease."""
    clean = lease_of(scene.clean, scene)
    mine = clean.acquire(holder(scene.name))
    clean.note(mine, {"old": "1"})
    return Act(lambda clients: act(lease_of(clients, scene), mine), lambda result: right(clean, mine, result))


def lease_of(clients: Clients, scene: Scene) -> DynamoLease:
    return DynamoLease(clients, "lease", 60.0, scene.clock, key=scene.name)


def acquire(scene: Scene) -> Act:
    clean, wanted = lease_of(scene.clean, scene), holder(scene.name)

    def right(result: object) -> bool:
        return clean.current() == result and isinstance(result, Holder) and result.token == 1

    return Act(lambda clients: lease_of(clients, scene).acquire(wanted), right)


def renew(scene: Scene) -> Act:
    return leased(
        scene,
        lambda lease, mine: lease.renew(replace(mine, doing="bake")),
        lambda clean, _, result: clean.current() == result and result.doing == "bake",
    )


def release(scene: Scene) -> Act:
    return leased(
        scene,
        lambda lease, mine: lease.release(mine),
        lambda clean, _, __: clean.current() is None and clean.notes() == {"old": "1"},
    )


def note(scene: Scene) -> Act:
    return leased(
        scene,
        lambda lease, mine: lease.note(mine, {"new": "2", "old": None}),
        lambda clean, mine, _: clean.notes() == {"new": "2"} and clean.current() == mine,
    )


def swap_note(scene: Scene) -> Act:
    return leased(
        scene,
        lambda lease, _: lease.swap_note("old", "1", "2"),
        lambda clean, _, result: result is True and clean.notes() == {"old": "2"},
    )


def check(scene: Scene) -> Act:
    return leased(scene, lambda lease, mine: lease.check(mine), lambda clean, mine, _: clean.current() == mine)


def current(scene: Scene) -> Act:
    return leased(scene, lambda lease, _: lease.current(), lambda _, mine, result: result == mine)


def notes(scene: Scene) -> Act:
    return leased(scene, lambda lease, _: lease.notes(), lambda _, __, result: result == {"old": "1"})


# -- the routes --------------------------------------------------------------------------------------------------------


def routes(scene: Scene) -> CloudFrontRouter:
    """Return the router on a store as before the first deployment."""
    values = {"active": "blue", "weights": '{"blue": 100, "green": 0}', "generation": "1", "fence": "0"}
    write(scene.clean, {**values, "origin.blue": "blue.example", "origin.green": "green.example"})
    return CloudFrontRouter(scene.clean, KVS_ARN)


def write(clients: Clients, values: Mapping[str, str]) -> None:
    kvs = "cloudfront-keyvaluestore"
    etag = clients.call(kvs, "DescribeKeyValueStore", KvsARN=KVS_ARN)["ETag"]
    puts = [{"Key": key, "Value": value} for key, value in values.items()]
    clients.call(kvs, "UpdateKeys", KvsARN=KVS_ARN, IfMatch=etag, Puts=puts)


def observe(scene: Scene) -> Act:
    clean = routes(scene)
    return Act(lambda clients: CloudFrontRouter(clients, KVS_ARN).observe(), lambda result: result == clean.observe())


def switch(scene: Scene) -> Act:
    clean = routes(scene)
    seen = clean.observe()

    def do(clients: Clients) -> object:
        now = clean.observe()  # a repetition first reads the result of the first time
        return now if now.live is Colour.GREEN else CloudFrontRouter(clients, KVS_ARN).set(seen, TO_GREEN, {}, 5)

    def right(result: object) -> bool:
        now = clean.observe()
        return result == now and (now.live, now.generation, now.fence) == (Colour.GREEN, 2, 5)

    return Act(do, right)


# -- releases, secrets, logs, identity, evidence -----------------------------------------------------------------------


def resolve(scene: Scene) -> Act:
    digest = push(scene)
    return Act(
        lambda clients: registry(clients, scene).resolve("1.0.0"), lambda result: getattr(result, "digest", 0) == digest
    )


def find(scene: Scene) -> Act:
    digest = push(scene)
    return Act(
        lambda clients: registry(clients, scene).find(digest), lambda result: getattr(result, "tag", 0) == "1.0.0"
    )


def registry(clients: Clients, scene: Scene) -> EcrRegistry:
    return EcrRegistry(clients, scene.name, ACCOUNT, REGION)


def push(scene: Scene) -> str:
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": "sha256:" + "0" * 64,
                "size": 1,
            },
            "layers": [],
            "annotations": {VERSION_ANNOTATION: "1.0.0"},
        }
    )
    scene.clean.call("ecr", "CreateRepository", repositoryName=scene.name)
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    scene.clean.call(
        "ecr",
        "PutImage",
        repositoryName=scene.name,
        imageManifest=text,
        imageManifestMediaType=MANIFEST,
        imageTag="1.0.0",
        imageDigest=digest,
    )
    return digest


def secret(scene: Scene) -> Act:
    scene.clean.call("secretsmanager", "CreateSecret", Name=scene.name, SecretString="hidden")
    return Act(lambda clients: SecretsManager(clients).read(scene.name), lambda result: result == "hidden")


def push_target(scene: Scene) -> Act:
    return Act(
        lambda clients: EcrPushTarget(clients, scene.name, ACCOUNT, REGION).credentials(),
        lambda result: isinstance(result, tuple) and result[0] == "AWS" and bool(result[1]),
    )


def vault(scene: Scene) -> Act:
    scene.clean.call("secretsmanager", "CreateSecret", Name=scene.name, SecretString="hidden")
    return Act(lambda clients: SecretsManager(clients).obstacle(scene.name), lambda result: result is None)


def scanned(scene: Scene) -> Act:
    digest = push(scene)
    scene.clean.call("ecr", "StartImageScan", repositoryName=scene.name, imageId={"imageDigest": digest})
    return Act(
        lambda clients: EcrScans(clients, scene.name, ACCOUNT).of(digest),
        lambda result: isinstance(result, Scan) and result.finished and result.findings == {"HIGH": 1},
    )


def logs(scene: Scene) -> Act:
    at = int(datetime.now(UTC).timestamp() * 1000)
    scene.clean.call("logs", "CreateLogGroup", logGroupName=scene.name)
    scene.clean.call("logs", "CreateLogStream", logGroupName=scene.name, logStreamName="one")
    event = {"timestamp": at, "message": "hello"}
    scene.clean.call("logs", "PutLogEvents", logGroupName=scene.name, logStreamName="one", logEvents=[event])
    since = datetime.fromtimestamp(at / 1000 - 60, tz=UTC)
    return Act(
        lambda clients: newest_lines(clients, {"app": scene.name}, since, 10),
        lambda result: isinstance(result, list) and len(result) == 1 and result[0].endswith("app: hello"),
    )


def identity(_: Scene) -> Act:
    return Act(lambda clients: StsIdentity(clients).caller(), lambda result: getattr(result, "account", 0) == ACCOUNT)


def put(scene: Scene) -> Act:
    scene.clean.call("s3", "CreateBucket", Bucket=scene.name)
    clean = S3AuditStore(scene.clean, scene.name, scene.clock)
    return Act(
        lambda clients: S3AuditStore(clients, scene.name, scene.clock).put("run/a.jsonl", b"{}\n"),
        lambda _: clean.get("run/a.jsonl") == b"{}\n",
    )


def get(scene: Scene) -> Act:
    act = put(scene)
    act.do(scene.clean)
    return Act(
        lambda clients: S3AuditStore(clients, scene.name, scene.clock).get("run/a.jsonl"),
        lambda result: result == b"{}\n",
    )


def names(scene: Scene) -> Act:
    act = put(scene)
    act.do(scene.clean)
    return Act(
        lambda clients: list(S3AuditStore(clients, scene.name, scene.clock).names("run/")),
        lambda result: result == ["run/a.jsonl"],
    )


def publish(scene: Scene) -> Act:
    topic = str(scene.clean.call("sns", "CreateTopic", Name=scene.name)["TopicArn"])
    queue = str(scene.clean.call("sqs", "CreateQueue", QueueName=scene.name)["QueueUrl"])
    arn = topic.replace(":sns:", ":sqs:")
    scene.clean.call("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    image = "telehealth-api:1.1.0"
    notice = Notice(NoticeKind.PROMOTED, scene.name, "production", "green", image, "sha256:1", "ada", "reports/1")

    def right(_: object) -> bool:
        answer = scene.clean.call("sqs", "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10)
        # SNS delivers at least once, and after a lost answer the message is sent twice.
        return any(scene.name in message["Body"] for message in answer.get("Messages", ()))

    return Act(lambda clients: SnsNotifier(clients, topic).send(notice), right)


KVS_CONFLICT, ITEM_CONFLICT = "ConflictException", "TransactionConflictException"
CALLS = {
    "lease.acquire": Call("UpdateItem", acquire, ITEM_CONFLICT),
    "lease.renew": Call("UpdateItem", renew, ITEM_CONFLICT),
    "lease.release": Call("UpdateItem", release, ITEM_CONFLICT),
    "lease.note": Call("UpdateItem", note, ITEM_CONFLICT),
    "lease.swap_note": Call("UpdateItem", swap_note, ITEM_CONFLICT),
    "lease.check": Call("GetItem", check),
    "lease.current": Call("GetItem", current),
    "lease.notes": Call("GetItem", notes),
    "router.observe/etag": Call("DescribeKeyValueStore", observe),
    "router.observe/key": Call("GetKey", observe),
    "router.set": Call("UpdateKeys", switch, KVS_CONFLICT),
    "registry.resolve/tag": Call("DescribeImages", resolve),
    "registry.resolve/manifest": Call("BatchGetImage", resolve),
    "registry.find": Call("DescribeImages", find),
    "secrets.read": Call("GetSecretValue", secret),
    "platform.logs": Call("FilterLogEvents", logs),
    "identity.caller": Call("GetCallerIdentity", identity),
    "scans.of": Call("DescribeImageScanFindings", scanned),
    "push_target.credentials": Call("GetAuthorizationToken", push_target),
    "vault.obstacle": Call("DescribeSecret", vault),
    "notifier.send": Call("Publish", publish),
    "store.put": Call("PutObject", put, "ConditionalRequestConflict"),
    "store.get": Call("GetObject", get),
    "store.names": Call("ListObjectsV2", names),
    **ALARM_CALLS,
    **ROUTER_CALLS,
    **ECS_CALLS,
}
TABLE = [
    (name, fault) for name, call in CALLS.items() for fault in Fault if fault is not Fault.CONFLICT or call.conflict
]


def _rows(faults: set[Fault], *, soak: set[Fault]) -> list[Any]:
    """Return the rows of these faults; those in ``soak`` run only in `make soak`.

    A call that fails, is throttled or is reset before it took effect changes nothing, and a slow one ends as one that was
    reset afterwards. botocore retries every operation in the same way.
    """
    return [
        pytest.param(name, fault, marks=[pytest.mark.soak] if fault in soak else [])
        for name, fault in TABLE
        if fault in faults
    ]


@pytest.fixture(scope="module")
def _table(aws: Aws) -> None:
    aws.clients().call(
        "dynamodb",
        "CreateTable",
        TableName="lease",
        KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture(scope="module", autouse=True)
def _counted() -> Any:
    yield
    print(f"\nfaults injected: {len(INJECTED)} into {len(CALLS)} calls of the adapters")


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize(("name", "fault"), _rows(set(Fault), soak={*Fault} - {Fault.RESET_AFTER, Fault.CONFLICT}))
def test_repetition_after_one_fault_succeeds(aws: Aws, clock: Clock, name: str, fault: Fault) -> None:
    """Without retries: the error is documented, and a repetition gives the requested result and state."""
    call = CALLS[name]
    act = call.scene(Scene(aws.clients(), clock, f"a{uuid4().hex}"))
    result = inject(aws, call, fault, act, times=1, attempts=1)
    if isinstance(result, DeploymentError):
        assert documented(result)
        assert act.right(act.do(aws.clients()))
    else:
        assert act.right(result)


ONE_TRY = {"lease.renew"}
"""Calls with one short try: their caller, the keeper of the lease, repeats them soon."""
RETRIED = [
    row
    for row in _rows(set(Fault) - {Fault.CONFLICT}, soak=set(Fault) - {Fault.FAILED})
    if row.values[0] not in ONE_TRY
]


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize(("name", "fault"), RETRIED)
def test_one_fault_is_retried_by_the_client(aws: Aws, clock: Clock, name: str, fault: Fault) -> None:
    """The client's own second try succeeds, even if the first took effect: the caller does not notice the fault."""
    call = CALLS[name]
    act = call.scene(Scene(aws.clients(), clock, f"a{uuid4().hex}"))
    # On a busy machine the second answer may be too slow, too, for so short a timeout: use the shipped number of tries.
    result = inject(aws, call, fault, act, times=1, attempts=ATTEMPTS if fault is Fault.SLOW else 2)
    assert not isinstance(result, DeploymentError), result
    assert act.right(result)


@pytest.mark.usefixtures("_table")
@pytest.mark.soak
@pytest.mark.parametrize(("name", "fault"), [row for row in TABLE if row[1] is not Fault.SLOW])
def test_lasting_fault_ends_after_bounded_tries(aws: Aws, clock: Clock, name: str, fault: Fault) -> None:
    """After ten tries at most there is a documented error, or the requested result."""
    call = CALLS[name]
    act = call.scene(Scene(aws.clients(), clock, f"a{uuid4().hex}"))
    result = inject(aws, call, fault, act, times=1000, attempts=2)
    assert documented(result) if isinstance(result, DeploymentError) else act.right(result)

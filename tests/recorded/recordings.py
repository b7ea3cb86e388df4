"""Recordings of an older version, fed back: its evidence, its lease items and its open deployments.

Reads pass through the real adapters, over a stub of ``Clients`` that answers from the recorded files. ``recover`` and
``rollback`` then act on the fakes of tests/deployment, which are filled with what the adapters read.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import ClientError

from deployment.errors import CloudError, NotFound
from deployment.evidence import archive
from deployment.evidence.attestation import ENVELOPE_FILE, Checker
from deployment.evidence.audit import Anchors, examine
from deployment.evidence.journal import JOURNAL_FILE
from deployment.evidence.store.copies import copies
from deployment.model import Colour
from deployment.plan import Operation, Ports
from deployment.ports import Router
from infrastructure.aws.cloudfront.router import CloudFrontRouter
from infrastructure.aws.dynamodb import DynamoLease
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.registry.images import EcrRegistry
from infrastructure.aws.s3 import S3AuditStore
from infrastructure.aws.session import Clients
from tests.deployment.fakes import FakeClock, FakeCloud, FakeFront, FakeLease, FakePlatform, FakeRouter, Side, dead
from tests.deployment.harness import LIMITS

FOLDER = Path(__file__).parent
LEASE_LEFT_S = 5


class RecordedClients:
    """``infrastructure.aws.session.Clients`` as far as it reads, answering from recorded files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables, self._router, self._registry, self._objects = (
            json.loads((folder / f"{name}.json").read_text()) for name in ("dynamodb", "router", "registry", "s3")
        )

    def call(self, service: str, operation: str, /, **asked: Any) -> Mapping[str, Any]:
        answer = {
            ("dynamodb", "GetItem"): self._item,
            ("cloudfront-keyvaluestore", "GetKey"): self._key,
            ("ecr", "DescribeImages"): self._images,
            ("ecr", "BatchGetImage"): self._manifests,
            ("s3", "GetObject"): self._object,
        }.get((service, operation))
        return answer(asked) if answer else self._router[operation]

    def pages(self, service: str, operation: str, *_: object, **__: object) -> Sequence[Mapping[str, Any]]:
        assert (service, operation) == ("ecr", "DescribeImages")
        return cast("Sequence[Mapping[str, Any]]", self._registry[operation])

    def _item(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        items = [item for item in self._tables[asked["TableName"]]["Items"] if item["id"] == asked["Key"]["id"]]
        return {"Item": items[0]} if items else {}

    def _key(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if asked["Key"] not in self._router["GetKey"]:
            raise NotFound(asked["Key"])
        return cast("Mapping[str, Any]", self._router["GetKey"][asked["Key"]])

    def _images(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        (wanted,) = asked["imageIds"]
        found = [
            one
            for one in self._registry["DescribeImages"]
            if one["imageDigest"] == wanted.get("imageDigest", one["imageDigest"])
            and wanted.get("imageTag", one["imageTags"][0]) in one["imageTags"]
        ]
        if not found:
            raise NotFound(str(wanted))
        return {"imageDetails": found}

    def _manifests(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        digests = {one["imageDigest"] for one in asked["imageIds"]}
        images = self._registry["BatchGetImage"]["images"]
        return {"images": [one for one in images if one["imageId"]["imageDigest"] in digests]}

    def _object(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        found = [one for one in self._objects["objects"] if one["Key"] == asked["Key"] and one["IsLatest"]]
        if not found:
            answer = {"Error": {"Code": "NoSuchKey", "Message": "no such key"}}
            raise CloudError(f"s3 GetObject: {asked['Key']}") from ClientError(answer, "GetObject")
        return {"Body": io.BytesIO((self._folder / found[0]["file"]).read_bytes())}


class RecordedFront(FakeFront):
    """Answers at the recorded colours' own addresses, which name no colour."""

    def __init__(self, cloud: FakeCloud, status: Mapping[str, Any]) -> None:
        super().__init__(cloud)
        self._colours = {status[side]["url"]: status[side]["colour"] for side in ("live", "idle")}

    def ask(self, times: int, url: str | None = None) -> Any:
        return super().ask(times, url and self._colours.get(url, url))

    def examine(self, url: str | None = None, *, every: bool = False) -> Any:
        return super().examine(url and self._colours.get(url, url), every=every)

    def inspect(self, url: str | None = None, until: Collection[str] = ()) -> Any:
        return super().inspect(url and self._colours.get(url, url), until)


@dataclass(frozen=True)
class Recording:
    """One scenario, unpacked."""

    folder: Path

    @staticmethod
    def unpack(path: Path, into: Path) -> Recording:
        with tarfile.open(path) as packed:
            packed.extractall(into, filter="data")
        return Recording(into)

    @property
    def expected(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / "expected.json").read_text())
        return found

    def verdict_of(self, command: str) -> str | None:
        """The first verdict that the recording version reached by such a command; None if there was nothing to do."""
        return next(
            (one["verdict"] for one in self.expected["commands"] if command in one["command"] and one["verdict"]), None
        )

    def finished(self, reports: str) -> list[Path]:
        """The folders of the runs that have a report."""
        return [
            path.parent
            for path in sorted((self.folder / reports).glob("*/verification.json"))
            if not path.parent.is_symlink()
        ]

    def problems(self, run: Path, answers: Path) -> list[str]:
        """What ``audit verify`` finds wrong with a run; ``answers`` holds the answers of AWS at that time."""
        lease, _, _, store = self._adapters(answers)
        environment = self.expected["environment"]
        anchors = Anchors(
            archive.anchored(lease, run.name),
            copies(store, environment, run.name, JOURNAL_FILE),
            copies(store, environment, run.name, ENVELOPE_FILE),
        )
        key = Checker((self.folder / "public_key.pem").read_text())
        return [f"{one.what}: {one.detail}" for one in examine(run, JOURNAL_FILE, anchors, lambda: key) if not one.good]

    def operation(self) -> tuple[FakeCloud, Operation]:
        """The fakes, filled with what the adapters read, and an operator who acts on them."""
        lease, router, registry, _ = self._adapters(self.folder)
        status = json.loads((self.folder / "status.json").read_text())
        cloud = FakeCloud(FakeClock())
        for side in (status["live"], status["idle"]):
            image = registry.find(side["digest"]) if side["digest"] else None
            cloud.sides[Colour(side["colour"])] = Side(image, side["version"] is not None) if image else Side()
        cloud.routes = router.observe()
        fake = FakeLease(cloud, LIMITS.lease_ttl)
        fake.kept = dict(lease.notes())
        for table in json.loads((self.folder / "dynamodb.json").read_text()).values():
            fake.token = max((int(item["fence"]["N"]) for item in table["Items"]), default=0)
        holder = lease.current()
        if holder is not None:
            # The fake clock stands in another year, and the holder's process is gone.
            expires_at = cloud.clock.now() + timedelta(seconds=LEASE_LEFT_S)
            fake.holder = replace(dead(holder), expires_at=expires_at)
        ports = Ports(FakePlatform(cloud), FakeRouter(cloud), fake, RecordedFront(cloud, status), cloud.clock)
        return cloud, Operation(self.expected["environment"], "tester", LIMITS, ports)

    def _adapters(self, answers: Path) -> tuple[DynamoLease, Router, EcrRegistry, S3AuditStore]:
        clients = cast(Clients, RecordedClients(answers))
        outputs = json.loads((answers / "outputs.json").read_text())
        clock = FakeClock()
        router: Router
        if outputs["platform"] == "apprunner":
            router = CloudFrontRouter(clients, outputs["key_value_store_arn"], settling_s=0.0)
        else:
            groups = {Colour(colour): arn for colour, arn in outputs["target_groups"].items()}
            router = AlbRouter(clients, outputs["listener_rule_arn"], groups, clock)
        names = {"repository": outputs["repository"], "account": outputs["account_id"], "region": outputs["region"]}
        return (
            DynamoLease(clients, outputs["lease_table"], 20, clock),
            router,
            EcrRegistry(clients, **names),
            S3AuditStore(clients, outputs["audit_bucket"], clock),
        )

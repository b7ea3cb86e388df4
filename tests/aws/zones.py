"""A fake hosted zone, in this process, that refuses the same batches as Route 53: it applies all of a batch or nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from deployment.model import Colour
from infrastructure.aws.errors import aws_errors
from tests.aws.shapes import checked

NAME, IDENTIFIERS = "api.telehealth.example", {Colour.BLUE: "b", Colour.GREEN: "g"}
ADDRESSES = {Colour.BLUE: "192.0.2.1", Colour.GREEN: "192.0.2.2"}
SUBMITTED = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = f"_deployment-routes.{NAME}."


def address(identifier: str, weight: int, **more: Any) -> dict[str, Any]:
    colour = Colour.BLUE if identifier == "b" else Colour.GREEN
    return {
        "Name": f"{NAME}.",
        "Type": "A",
        "SetIdentifier": identifier,
        "Weight": weight,
        "TTL": 60,
        "ResourceRecords": [{"Value": ADDRESSES[colour]}],
        **more,
    }


def aliased(identifier: str, weight: int) -> dict[str, Any]:
    plain = address(identifier, weight)
    target = {"HostedZoneId": "ZELB", "DNSName": f"lb-{identifier}.elb.example.", "EvaluateTargetHealth": True}
    return {key: plain[key] for key in ("Name", "Type", "SetIdentifier", "Weight")} | {"AliasTarget": target}


def named(identifier: str, weight: int) -> dict[str, Any]:
    return address(
        identifier, weight, Type="CNAME", TTL=30, ResourceRecords=[{"Value": f"lb-{identifier}.elb.example"}]
    )


BALANCERS = [
    {"Name": f"lb-{identifier}.elb.example.", "Type": "A", "ResourceRecords": [{"Value": ADDRESSES[colour]}]}
    for colour, identifier in IDENTIFIERS.items()
]
KINDS: dict[str, Callable[..., dict[str, Any]]] = {"address": address, "alias": aliased, "cname": named}


class Zone:
    """Answers as Clients does. ``before`` and ``after`` hold, by operation, a function to call around its next call."""

    def __init__(self) -> None:
        self.sets: list[dict[str, Any]] = [address("b", 100), address("g", 0), *BALANCERS]
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.status = "INSYNC"
        self.batches = 0

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        assert service == "route53"
        with aws_errors(service, operation):
            self.before.pop(operation, lambda: None)()
            answer = checked(service, operation, given, copy.deepcopy(self._answer(operation, given)))
            self.after.pop(operation, lambda: None)()
            return answer

    def _answer(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetChange":
            return {"ChangeInfo": {"Id": given["Id"], "Status": self.status, "SubmittedAt": SUBMITTED}}
        if operation == "ListResourceRecordSets":
            start = given["StartRecordName"].rstrip(".").split(".")[::-1]
            listed = [one for one in self._sorted() if one["Name"].rstrip(".").split(".")[::-1] >= start]
            return {
                "ResourceRecordSets": listed[: int(given["MaxItems"])],
                "IsTruncated": False,
                "MaxItems": given["MaxItems"],
            }
        self.batches += 1
        changed = copy.deepcopy(self.sets)
        for change in given["ChangeBatch"]["Changes"]:
            self._apply(changed, change["Action"], dict(change["ResourceRecordSet"]))
        self.sets = changed
        return {"ChangeInfo": {"Id": f"C{self.batches}", "Status": "PENDING", "SubmittedAt": SUBMITTED}}

    def _apply(self, sets: list[dict[str, Any]], action: str, record: dict[str, Any]) -> None:
        there = next((one for one in sets if _key(one) == _key(record)), None)
        if (action == "CREATE" and there) or (action == "DELETE" and there != record):
            raise ClientError({"Error": {"Code": "InvalidChangeBatch", "Message": "values do not match"}}, "x")
        if there:
            sets.remove(there)
        if action != "DELETE":
            sets.append(record)

    def _sorted(self) -> Sequence[dict[str, Any]]:
        return sorted(self.sets, key=lambda one: one["Name"].rstrip(".").split(".")[::-1])

    @property
    def stamp(self) -> str | None:
        return next((one["ResourceRecords"][0]["Value"] for one in self.sets if one["Name"] == STAMP), None)


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record["Name"], record["Type"], record.get("SetIdentifier")

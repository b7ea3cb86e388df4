"""The lease as one DynamoDB item: its holder, a fencing token that grows with each acquisition, and notes.

The item is never deleted and must have no TTL attribute: token and notes outlive every holder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from deployment.errors import CloudError, LeaseHeld, LeaseLost
from deployment.model import Holder
from deployment.ports import Clock
from infrastructure.aws.errors import aws_code, aws_item
from infrastructure.aws.session import Clients

HASH_KEY = "id"
"""The table's partition key, a string; the table has no sort key."""

_OWNER = (
    "deployment_id",
    "actor",
    "host",
    "pid",
    "process_started",
    "process_identity",
    "since",
    "expires_at",
    "expires_epoch",
    "doing",
)
_NOT_TAKEN = "#fence = :token AND #deployment_id = :deployment_id"
_IS_MINE = f"{_NOT_TAKEN} AND #expires_epoch >= :now"

Attribute = dict[str, Any]


class DynamoLease:
    """The Lease port on the item ``key`` of ``table``; a lease lasts ``ttl_s`` seconds of ``clock`` unless renewed."""

    def __init__(self, clients: Clients, table: str, ttl_s: float, clock: Clock, key: str = "deployment") -> None:
        self._clients = clients
        self._where: dict[str, Any] = {"TableName": table, "Key": {HASH_KEY: {"S": key}}}
        self._ttl = timedelta(seconds=ttl_s)
        self._clock = clock

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        """Take the lease if it is free, expired, or held under the token ``take_over``. Raises LeaseHeld, CloudError.

        A process that already holds the lease (its answer was lost) gets its existing token.
        """
        now = self._clock.now()
        mine = replace(holder, since=now, expires_at=now + self._ttl)
        condition = "attribute_not_exists(#deployment_id) OR #expires_epoch < :now"
        values = {":now": _number(now.timestamp()), ":one": {"N": "1"}, ":none": {"M": {}}}
        if take_over is not None:
            condition += " OR #fence = :dead"
            values[":dead"] = {"N": str(take_over)}
        owner = _owner(mine)
        assignments = ", ".join(f"#{name} = :{name}" for name in owner)
        try:
            answer = self._update(
                f"SET {assignments}, #notes = if_not_exists(#notes, :none) ADD #fence :one",
                condition,
                values | {f":{name}": value for name, value in owner.items()},
            )
        except CloudError as error:
            if not _condition_failed(error):
                raise
            return self._holder_or_raise(holder, aws_item(error), error)
        return replace(mine, token=int(answer["Attributes"]["fence"]["N"]))

    def renew(self, holder: Holder) -> Holder:
        """Extend the lease and record the holder's step, in one short try, also if it has expired.

        An expired lease is still this holder's while it has the same fencing token: every other holder gets another one.
        Raises LeaseLost, CloudError.
        """
        later = replace(holder, expires_at=self._clock.now() + self._ttl)
        changed = {name: _owner(later)[name] for name in ("expires_at", "expires_epoch", "doing")}
        assignments = ", ".join(f"#{name} = :{name}" for name in changed)
        values = {f":{name}": value for name, value in changed.items()}
        try:
            self._update(f"SET {assignments}", _NOT_TAKEN, _identity(holder) | values, once=True)
        except CloudError as error:
            if not _condition_failed(error):
                raise
            raise _lost(holder, _holder(aws_item(error) or {})) from error
        return later

    def check(self, holder: Holder) -> None:
        """Raise LeaseLost unless the item, read consistently, names this holder and has not expired. Raises CloudError."""
        item = self._item()
        now = _holder(item)
        if now is None or not _same_lease(now, holder) or now.expires_at < self._clock.now():
            raise _lost(holder, now)

    def release(self, holder: Holder) -> None:
        """Give the lease back; do nothing if it was lost. Raises CloudError."""
        try:
            self._update(
                "REMOVE " + ", ".join(f"#{name}" for name in _OWNER),
                _NOT_TAKEN,
                _identity(holder),
            )
        except CloudError as error:
            if not _condition_failed(error):
                raise

    def current(self) -> Holder | None:
        """Return the holder, expired or not; None if the lease was given back. Reads consistently. Raises CloudError."""
        return _holder(self._item())

    def note(self, holder: Holder, notes: Mapping[str, str | None]) -> None:
        """Write notes, or remove those that are None, in one write. Raises LeaseLost, CloudError."""
        if not notes:
            self.check(holder)
            return
        names = {f"#note{index}": name for index, name in enumerate(notes)}
        values = {f":note{i}": {"S": text} for i, text in enumerate(notes.values()) if text is not None}
        kept = [f"#notes.#note{i} = :note{i}" for i, text in enumerate(notes.values()) if text is not None]
        gone = [f"#notes.#note{i}" for i, text in enumerate(notes.values()) if text is None]
        clauses = [("SET " + ", ".join(kept)) if kept else "", ("REMOVE " + ", ".join(gone)) if gone else ""]
        self._update_as_holder(holder, " ".join(filter(None, clauses)), values, names)

    def notes(self) -> Mapping[str, str]:
        """Return the notes of all holders, read consistently. Raises CloudError."""
        return {name: value["S"] for name, value in self._item().get("notes", {}).get("M", {}).items()}

    def swap_note(self, name: str, seen: str | None, text: str) -> bool:
        """Replace one note if it is still ``seen``; return whether it was. Needs no lease. Raises CloudError."""
        try:
            return self._swap(name, seen, text)
        except CloudError as error:
            if seen is not None or aws_code(error) != "ValidationException":
                raise
        self._create_notes()
        return self._swap(name, seen, text)

    def _create_notes(self) -> None:
        """Create the item and its map of notes: before the first lease neither exists."""
        try:
            self._update("SET #notes = :none", "attribute_not_exists(#notes)", {":none": {"M": {}}})
        except CloudError as error:
            if not _condition_failed(error):
                raise

    def _swap(self, name: str, seen: str | None, text: str) -> bool:
        condition = "attribute_not_exists(#notes.#note)" if seen is None else "#notes.#note = :seen"
        values = {":text": {"S": text}} | ({} if seen is None else {":seen": {"S": seen}})
        try:
            self._update("SET #notes.#note = :text", condition, values, {"#note": name})
        except CloudError as error:
            if not _condition_failed(error):
                raise
            # If the first try's answer was lost, the client's second try finds the note that the first one wrote.
            there = (aws_item(error) or {}).get("notes", {}).get("M", {}).get(name)
            return bool(there == {"S": text})
        return True

    def _holder_or_raise(self, holder: Holder, item: Mapping[str, Attribute] | None, error: CloudError) -> Holder:
        there = _holder(item or self._item())
        if there is None:
            # The holder has given the lease back since, so the item names no holder; the caller may try again.
            raise CloudError("dynamodb UpdateItem: the lease changed hands during the request; try again") from error
        if _same_process(there, holder):
            return there
        raise LeaseHeld(there) from error

    def _update_as_holder(
        self, holder: Holder, update: str, values: Mapping[str, Attribute], names: Mapping[str, str] | None = None
    ) -> None:
        try:
            now = {":now": _number(self._clock.now().timestamp())}
            self._update(update, _IS_MINE, _identity(holder) | now | dict(values), names)
        except CloudError as error:
            if not _condition_failed(error):
                raise
            raise _lost(holder, _holder(aws_item(error) or {})) from error

    def _update(
        self,
        update: str,
        condition: str,
        values: Mapping[str, Attribute],
        names: Mapping[str, str] | None = None,
        *,
        once: bool = False,
    ) -> Mapping[str, Any]:
        """Send one conditional write; ``once``: without retries and long waits."""
        text = f"{update} {condition}"
        # Every name needs a placeholder, since DynamoDB reserves hundreds of words; it refuses placeholders that are not used.
        known = {f"#{name}": name for name in (*_OWNER, "fence", "notes") if f"#{name}" in text}
        call = self._clients.call_once if once else self._clients.call
        return call(
            "dynamodb",
            "UpdateItem",
            **self._where,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=known | dict(names or {}),
            ExpressionAttributeValues=dict(values),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _item(self) -> Mapping[str, Attribute]:
        answer = self._clients.call("dynamodb", "GetItem", **self._where, ConsistentRead=True)
        item: Mapping[str, Attribute] = answer.get("Item", {})
        return item


def _condition_failed(error: CloudError) -> bool:
    return aws_code(error) == "ConditionalCheckFailedException"


def _number(value: float) -> Attribute:
    return {"N": repr(float(value))}


def _identity(holder: Holder) -> dict[str, Attribute]:
    return {":token": {"N": str(holder.token)}, ":deployment_id": {"S": holder.deployment_id}}


def _owner(holder: Holder) -> dict[str, Attribute]:
    return {
        "deployment_id": {"S": holder.deployment_id},
        "actor": {"S": holder.actor},
        "host": {"S": holder.host},
        "pid": {"N": str(holder.pid)},
        "process_started": _number(holder.process_started),
        # An earlier version that takes the lease leaves this attribute as it was, and replaces ``since``.
        "process_identity": {"S": f"{holder.since.isoformat()} {holder.process_identity or ''}"},
        "since": {"S": holder.since.isoformat()},
        "expires_at": {"S": holder.expires_at.isoformat()},
        "expires_epoch": _number(holder.expires_at.timestamp()),
        "doing": {"S": holder.doing},
    }


def _holder(item: Mapping[str, Attribute]) -> Holder | None:
    if "deployment_id" not in item:
        return None
    return Holder(
        deployment_id=item["deployment_id"]["S"],
        actor=item["actor"]["S"],
        host=item["host"]["S"],
        pid=int(item["pid"]["N"]),
        process_started=float(item["process_started"]["N"]),
        since=datetime.fromisoformat(item["since"]["S"]),
        expires_at=datetime.fromisoformat(item["expires_at"]["S"]),
        token=int(item["fence"]["N"]),
        doing=item["doing"]["S"],
        process_identity=_process_identity(item),
    )


def _process_identity(item: Mapping[str, Attribute]) -> str | None:
    since, _, identity = item.get("process_identity", {"S": ""})["S"].partition(" ")
    return identity or None if since == item["since"]["S"] else None


def _same_lease(one: Holder, other: Holder) -> bool:
    return (one.token, one.deployment_id) == (other.token, other.deployment_id)


def _same_process(one: Holder, other: Holder) -> bool:
    if one.deployment_id != other.deployment_id:
        return False
    if one.process_identity is not None or other.process_identity is not None:
        return one.process_identity == other.process_identity
    return (one.host, one.pid, one.process_started) == (other.host, other.pid, other.process_started)


def _lost(holder: Holder, now: Holder | None) -> LeaseLost:
    if now is None:
        state = "it was given back"
    elif _same_lease(now, holder):
        state = f"it ran out at {now.expires_at:%H:%M:%S} UTC"
    else:
        state = f"deployment {now.deployment_id} of {now.actor} holds it under token {now.token}"
    return LeaseLost(f"deployment {holder.deployment_id} lost the lock (token {holder.token}): {state}")

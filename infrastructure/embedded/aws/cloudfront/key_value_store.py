"""CloudFront's key value store: an update needs the current version (ETag) and is applied completely or not at all."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from infrastructure.embedded import files
from infrastructure.embedded.aws.cloudfront import edge
from infrastructure.embedded.aws.errors import AwsError, not_found

# CloudFront's quotas for key value stores; the API's model allows longer keys and has no limit for values.
KEY_BYTES = 512
VALUE_BYTES = 1024
STORE_BYTES = 5 * 1024 * 1024
KEYS_PER_UPDATE = 50
DEFAULT_PAGE = 10


@dataclass(frozen=True)
class Contents:
    """One version of the store; times are seconds since the epoch."""

    keys: Mapping[str, str]
    etag: str
    created: float
    modified: float

    @property
    def size(self) -> int:
        """The size of all keys and values in bytes."""
        return sum(len(key.encode()) + len(value.encode()) for key, value in self.keys.items())

    def summary(self) -> dict[str, Any]:
        """Return ItemCount and TotalSizeInBytes, which most answers contain."""
        return {"ItemCount": len(self.keys), "TotalSizeInBytes": self.size}


class KeyValueStore:
    """The operations of `cloudfront-keyvaluestore` for one store; each change also updates the edge's route file."""

    def __init__(self, arn: str, file: Path, route_file: Path) -> None:
        self._arn = arn
        self._file = file
        self._route_file = route_file
        self._lock = Lock()
        self._contents = _read(file)
        self._write_route()

    def handlers(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        """Return the handler of each operation, by its name; input and output are the model's members."""
        return {
            "DescribeKeyValueStore": self.describe,
            "GetKey": self.get_key,
            "ListKeys": self.list_keys,
            "PutKey": self.put_key,
            "DeleteKey": self.delete_key,
            "UpdateKeys": self.update_keys,
        }

    def describe(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer DescribeKeyValueStore."""
        contents = self._of(wanted)
        times = {"Created": contents.created, "LastModified": contents.modified}
        return contents.summary() | times | {"KvsARN": self._arn, "ETag": contents.etag, "Status": "READY"}

    def get_key(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer GetKey. Raises ResourceNotFoundException for an unknown key."""
        contents, key = self._of(wanted), wanted["Key"]
        _require(contents.keys, key)
        return contents.summary() | {"Key": key, "Value": contents.keys[key]}

    def list_keys(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer ListKeys, sorted; the token holds the page's last key, so that writes between pages do no harm."""
        contents = self._of(wanted)
        after = _key_of_token(wanted["NextToken"]) if "NextToken" in wanted else ""
        rest = sorted(key for key in contents.keys if key > after)
        page = rest[: wanted.get("MaxResults", DEFAULT_PAGE)]
        answer: dict[str, Any] = {"Items": [{"Key": key, "Value": contents.keys[key]} for key in page]}
        if len(rest) > len(page):
            answer["NextToken"] = base64.urlsafe_b64encode(page[-1].encode()).decode()
        return answer

    def put_key(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer PutKey."""
        return self._write(wanted, puts=[wanted], deletes=[])

    def delete_key(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteKey. Raises ResourceNotFoundException for an unknown key."""
        return self._write(wanted, puts=[], deletes=[wanted])

    def update_keys(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer UpdateKeys: apply all puts and deletes, or none."""
        return self._write(wanted, wanted.get("Puts", []), wanted.get("Deletes", []))

    def _of(self, wanted: dict[str, Any]) -> Contents:
        if wanted["KvsARN"] != self._arn:
            raise not_found(f"Key value store not found: {wanted['KvsARN']}", status=404)
        return self._contents

    def _write(self, wanted: dict[str, Any], puts: list[Any], deletes: list[Any]) -> dict[str, Any]:
        _refuse_batch(puts, deletes)
        with self._lock:
            contents = self._of(wanted)
            if wanted["IfMatch"] != contents.etag:
                raise AwsError("ConflictException", "The If-Match version is not the current one", 409)
            for delete in deletes:
                _require(contents.keys, delete["Key"])
            gone = {delete["Key"] for delete in deletes}
            kept = {key: value for key, value in contents.keys.items() if key not in gone}
            keys = kept | {put["Key"]: put["Value"] for put in puts}
            changed = replace(contents, keys=keys, etag=_new_etag(), modified=time.time())
            if changed.size > STORE_BYTES:
                raise AwsError("ServiceQuotaExceededException", f"The store would exceed {STORE_BYTES} bytes", 402)
            _save(self._file, changed)
            self._contents = changed
            self._write_route()
        return changed.summary() | {"ETag": changed.etag}

    def _write_route(self) -> None:
        line = edge.route_line(self._contents.keys)
        if line is not None:
            # Not synced: it is derived from the keys, which are synced, and it is written again at each start.
            files.replace(self._route_file, line, mode=0o644, durable=False)


def _refuse_batch(puts: list[Any], deletes: list[Any]) -> None:
    names = [item["Key"] for item in (*puts, *deletes)]
    too_long = [name[:80] for name in names if len(name.encode()) > KEY_BYTES]
    too_big = [put["Key"] for put in puts if len(put["Value"].encode()) > VALUE_BYTES]
    reasons = (
        (not names, "Puts and Deletes are both empty"),
        (len(names) > KEYS_PER_UPDATE, f"more than {KEYS_PER_UPDATE} keys in one update"),
        (len(set(names)) < len(names), "a Key occurs more than once"),
        (too_long, f"Key longer than {KEY_BYTES} bytes: {too_long}"),
        (too_big, f"Value longer than {VALUE_BYTES} bytes, of Key {too_big}"),
    )
    for refused, reason in reasons:
        if refused:
            raise AwsError("ValidationException", reason)


def _require(keys: Mapping[str, str], key: str) -> None:
    if key not in keys:
        raise not_found(f"Key not found: {key}", status=404)


def _key_of_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars="-_", validate=True).decode()
    except ValueError as exc:
        raise AwsError("ValidationException", "Value at 'NextToken' is not a token of this operation") from exc


def _new_etag() -> str:
    return "KV" + secrets.token_hex(7).upper()


def _read(file: Path) -> Contents:
    if file.exists():
        return Contents(**json.loads(file.read_text()))
    contents = Contents({}, _new_etag(), time.time(), time.time())
    _save(file, contents)
    return contents


def _save(file: Path, contents: Contents) -> None:
    document = {"keys": dict(contents.keys), "etag": contents.etag}
    files.replace_json(file, document | {"created": contents.created, "modified": contents.modified})

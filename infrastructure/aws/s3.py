"""The audit store as an S3 bucket: objects are written once, and S3 itself refuses to overwrite one."""

from __future__ import annotations

from collections.abc import Iterator

from deployment.errors import CloudError, StoredOtherwise
from deployment.ports import Clock
from infrastructure.aws.errors import aws_code, aws_errors
from infrastructure.aws.session import Clients

# S3 answers 409 while another conditional write of the same name is under way; AWS's advice is to try again.
CONFLICT_TRIES = 5
CONFLICT_PAUSE_S = 0.2
TYPES = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "xml": "application/xml",
}
"""The media types of evidence, by the end of a file's name."""


class S3AuditStore:
    """The AuditStore port on ``bucket``; the caller needs s3:PutObject and s3:GetObject there, and s3:ListBucket.

    Without s3:ListBucket S3 answers "denied" for a missing object, and ``get`` raises CloudDenied.
    """

    def __init__(self, clients: Clients, bucket: str, clock: Clock) -> None:
        self._clients = clients
        self._bucket = bucket
        self._clock = clock

    def put(self, name: str, content: bytes) -> None:
        """Write the object; an existing object with equal content is accepted. Raises StoredOtherwise, CloudError."""
        for left in reversed(range(CONFLICT_TRIES)):
            try:
                self._clients.call(
                    "s3",
                    "PutObject",
                    Bucket=self._bucket,
                    Key=name,
                    Body=content,
                    IfNoneMatch="*",
                    ContentType=_type(name),
                )
                return
            except CloudError as error:
                code = aws_code(error)
                if code == "PreconditionFailed":
                    break  # it exists: from another run, or from an earlier try whose answer was lost
                if code != "ConditionalRequestConflict" or not left:
                    raise
                self._clock.sleep(CONFLICT_PAUSE_S)
        if self.get(name) != content:
            raise StoredOtherwise(f"s3 PutObject: {self._bucket}/{name} exists already with other content")

    def get(self, name: str) -> bytes | None:
        """Return the object's content; None if it does not exist. Raises CloudError, also if the bucket does not exist."""
        try:
            answer = self._clients.call("s3", "GetObject", Bucket=self._bucket, Key=name)
            with aws_errors("s3", "GetObject"):  # the body is read only here, and the connection may break
                content: bytes = answer["Body"].read()
        except CloudError as error:
            if aws_code(error) == "NoSuchKey":
                return None
            raise
        return content

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the key of every object that begins with ``prefix``, in the order of S3. Raises CloudError."""
        more: dict[str, str] = {}
        while True:
            answer = self._clients.call("s3", "ListObjectsV2", Bucket=self._bucket, Prefix=prefix, **more)
            yield from (str(one["Key"]) for one in answer.get("Contents", ()))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}


def _type(name: str) -> str:
    """Return the media type of an object, by the end of its name."""
    return TYPES.get(name.rpartition(".")[2], "application/octet-stream")

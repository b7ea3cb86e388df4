"""The findings of ECR, or of Inspector behind it, in an image."""

from __future__ import annotations

from deployment.errors import CloudError
from deployment.model import Scan
from infrastructure.aws.errors import aws_code
from infrastructure.aws.session import Clients

_FINISHED = frozenset({"COMPLETE", "ACTIVE"})
"""The status of a basic scan, and of Inspector's scan, which continues as long as the image exists."""
_UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})


class EcrScans:
    """The Scans port on one repository; the caller needs ecr:DescribeImageScanFindings."""

    def __init__(self, clients: Clients, repository: str, account: str) -> None:
        self._clients = clients
        self._repository = repository
        self._account = account

    def of(self, digest: str) -> Scan:
        """Return the newest scan of an image; a scan that never began is not ``under_way``. Raises CloudError."""
        try:
            answer = self._clients.call(
                "ecr",
                "DescribeImageScanFindings",
                registryId=self._account,
                repositoryName=self._repository,
                imageId={"imageDigest": digest},
                maxResults=1,
            )
        except CloudError as error:
            if aws_code(error) == "ScanNotFoundException":
                return Scan(False, {}, "the image was never scanned (turn scan on push on for the repository)")
            raise
        status = str(answer.get("imageScanStatus", {}).get("status", ""))
        if status not in _FINISHED:
            return Scan(False, {}, f"its scan is {status or 'in no known state'}", status in _UNDER_WAY)
        counts = answer.get("imageScanFindings", {}).get("findingSeverityCounts", {})
        return Scan(True, {str(severity): int(count) for severity, count in counts.items()})

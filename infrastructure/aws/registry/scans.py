"""The findings of ECR's basic scan, or of Amazon Inspector's (enhanced scanning), in an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from deployment.errors import CloudDenied, CloudError
from deployment.model import Scan
from infrastructure.aws.errors import aws_code
from infrastructure.aws.registry.manifests import Manifests
from infrastructure.aws.session import Clients

_CONTINUOUS = "ACTIVE"
"""Inspector's scan continues as long as the image exists, and begins before there is a result."""
_UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})
_UNSUPPORTED = "its scan is UNSUPPORTED_IMAGE"
_UNSCANNED = Scan(False, {}, "the image was never scanned (turn scan on push on for the repository)")
_RESULTS = frozenset({"findingSeverityCounts", "enhancedFindings", "imageScanCompletedAt"})
"""The parts of an answer of which Inspector gives at least one once it has looked at the image."""
_MOST_FINDINGS = 1000
_ENHANCED = (
    "With enhanced scanning the role also needs inspector2:ListCoverage and inspector2:ListFindings: `enhanced_scanning = true` "
    "for infrastructure/terraform."
)


class EcrScans:
    """The Scans port on one repository; the caller needs ecr:DescribeImageScanFindings and ecr:BatchGetImage."""

    def __init__(self, clients: Clients, repository: str, account: str) -> None:
        self._clients = clients
        self._where = {"registryId": account, "repositoryName": repository}
        self._manifests = Manifests(clients, repository, account)

    def of(self, digest: str) -> Scan:
        """Return the newest scan of an image; a scan that never began is not ``under_way``. Raises CloudError.

        ECR scans no index: of an image for several platforms, the scan of its Linux manifest is returned.
        """
        scan = self._of(digest)
        if scan is _UNSCANNED or scan.detail == _UNSUPPORTED:
            try:
                linux = self._manifests.linux(digest)
            except CloudError:
                return scan
            return scan if linux is None else self._of(linux)
        return scan

    def _of(self, digest: str) -> Scan:
        try:
            answer = self._ask(digest, maxResults=1)
        except CloudDenied as error:
            raise CloudDenied(error.message, hint=f"{error.hint or ''} {_ENHANCED}".strip()) from error
        except CloudError as error:
            if aws_code(error) == "ScanNotFoundException":
                return _UNSCANNED
            raise
        status = str(answer.get("imageScanStatus", {}).get("status", ""))
        findings = answer.get("imageScanFindings", {})
        if status == _CONTINUOUS and not findings.keys() & _RESULTS:
            return Scan(False, {}, "its scan is ACTIVE and has no result yet", True)
        if status not in ("COMPLETE", _CONTINUOUS):
            return Scan(False, {}, f"its scan is {status or 'in no known state'}", status in _UNDER_WAY)
        counts = findings.get("findingSeverityCounts")
        if counts is None and findings.get("enhancedFindings"):
            counts = self._counted(digest)
        return Scan(True, {str(severity): int(count) for severity, count in (counts or {}).items()})

    def _counted(self, digest: str) -> Mapping[str, int]:
        """Return Inspector's open findings by severity, from an answer that has no counts."""
        found: Counter[str] = Counter()
        place: dict[str, str] = {}
        while True:
            answer = self._ask(digest, maxResults=_MOST_FINDINGS, **place)
            listed = answer.get("imageScanFindings", {}).get("enhancedFindings", ())
            found.update(str(one.get("severity")) for one in listed if one.get("status", "ACTIVE") == "ACTIVE")
            if not answer.get("nextToken"):
                return found
            place = {"nextToken": answer["nextToken"]}

    def _ask(self, digest: str, **page: Any) -> Mapping[str, Any]:
        image = {"imageDigest": digest}
        return self._clients.call("ecr", "DescribeImageScanFindings", **self._where, imageId=image, **page)

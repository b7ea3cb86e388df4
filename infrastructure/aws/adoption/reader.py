"""The calls of `adopt`: each only reads, and a denied one names the missing permission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployment.errors import CloudDenied, NotFound, NotPermitted
from infrastructure.aws.errors import aws_code
from infrastructure.aws.session import Clients

_READS = ("Describe", "Get", "Head", "List")
_PREFIXES = {"elbv2": "elasticloadbalancing"}
_ACTIONS = {("s3", "HeadBucket"): "s3:ListBucket"}
_WITHOUT_RIGHT = frozenset({"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
"""AWS's codes for valid credentials without the right; S3 answers a HEAD request with the status alone."""


class Reader:
    """Reads from AWS with the clients of one connection."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def call(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Call one reading operation and return its answer.

        Raises NotPermitted with the missing permission, ValueError for an operation that may write, CloudError otherwise.
        """
        if not operation.startswith(_READS):
            raise ValueError(f"{service} {operation} may change something, and adopt only reads")
        try:
            return self._clients.call(service, operation, **parameters)
        except CloudDenied as error:
            if aws_code(error) not in _WITHOUT_RIGHT:
                raise NotPermitted(f"AWS refuses the credentials: {error.message}", hint=error.hint) from error
            action = _ACTIONS.get((service, operation), f"{_PREFIXES.get(service, service)}:{operation}")
            raise NotPermitted(
                f"the caller may not call {action}",
                hint="Attach the policy in docs/adopt.md to the caller; it allows reading only.",
            ) from error

    def find(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any] | None:
        """Return the answer of ``call``; None if the resource does not exist."""
        try:
            return self.call(service, operation, **parameters)
        except NotFound:
            return None

    def pages(self, service: str, operation: str, key: str, /, **parameters: Any) -> list[Mapping[str, Any]]:
        """Return the items under ``key`` of all pages of an operation with ``Marker`` and ``NextMarker``."""
        found: list[Mapping[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            answer = self.call(service, operation, **parameters, **place)
            page = answer.get("DistributionList", answer)  # CloudFront wraps its lists
            found += page.get(key, ())
            if not page.get("NextMarker"):
                return found
            place = {"Marker": page["NextMarker"]}

"""The target of image pushes on ECR: its host, and a password that is valid for hours."""

from __future__ import annotations

import base64
import binascii

from deployment.errors import CloudError
from infrastructure.aws.partitions import registry_host
from infrastructure.aws.session import Clients


class EcrPushTarget:
    """The PushTarget port on one repository; the caller needs ecr:GetAuthorizationToken.

    To push, the caller also needs ecr:BatchCheckLayerAvailability, InitiateLayerUpload, UploadLayerPart,
    CompleteLayerUpload and PutImage.
    """

    def __init__(self, clients: Clients, repository: str, account: str, region: str) -> None:
        self._clients = clients
        self.host = registry_host(account, region)
        self.repository = repository

    def credentials(self) -> tuple[str, str]:
        """Return user and password for this host. Raises CloudError; no message contains the password."""
        answer = self._clients.call("ecr", "GetAuthorizationToken")
        token = next((str(one["authorizationToken"]) for one in answer.get("authorizationData", ())), "")
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, password = "", ""
        if not user or not password:
            raise CloudError("ecr GetAuthorizationToken: the answer contains no valid token")
        return user, password

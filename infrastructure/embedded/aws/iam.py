"""The part of IAM with which a deployer checks its permissions before it acts.

No part of the embedded AWS evaluates policies, so every call is allowed. A simulation therefore answers "allowed", as
AWS answers an administrator. Every role can be assumed here, so GetRole finds every role.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import AwsError

Document = dict[str, Any]
# moto, which answers for STS, gives its only user an ARN of STS.
_PRINCIPAL = re.compile(r"arn:aws:(?:iam|sts)::(\d{12}):(?:user|role|group)/.+")
_CREATED_AT = 1_767_225_600
"""2026-01-01, the creation date of every role."""


class Iam:
    """The API of policy simulations and roles."""

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {"GetRole": self.get_role, "SimulatePrincipalPolicy": self.simulate}

    def get_role(self, request: Document) -> Document:
        """Answer GetRole; every name exists."""
        name = request["RoleName"]
        trusted = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}'
        role = {
            "Path": "/",
            "RoleName": name,
            "RoleId": f"AROA{hashlib.sha256(name.encode()).hexdigest()[:16].upper()}",
            "Arn": f"arn:aws:iam::{self._config.account_id}:role/{name}",
            "CreateDate": _CREATED_AT,
            "AssumeRolePolicyDocument": trusted,
        }
        return {"Role": role}

    def simulate(self, request: Document) -> Document:
        """Answer SimulatePrincipalPolicy: each action on each resource is allowed."""
        principal = _PRINCIPAL.fullmatch(request["PolicySourceArn"])
        if principal is None:
            raise AwsError("InvalidInput", f"Invalid Entity Arn: {request['PolicySourceArn']}")
        if principal[1] != self._config.account_id:
            raise AwsError("NoSuchEntity", f"{request['PolicySourceArn']} belongs to another account", 404)
        unknown = request.keys() - {"PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries", "MaxItems"}
        if unknown:
            raise AwsError("InvalidInput", f"Not supported by the embedded IAM: {', '.join(sorted(unknown))}")
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in request["ActionNames"]
            for resource in request.get("ResourceArns", ["*"])
        ]
        return {"EvaluationResults": results, "IsTruncated": False}

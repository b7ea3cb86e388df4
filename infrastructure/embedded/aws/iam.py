"""IAM as far as a deployer asks it before it acts: what may this principal do?

On this machine nobody is denied anything: no policy is looked at by whoever answers a call. That is what a simulation is told,
as AWS would tell an administrator. Every role can be assumed here, so every role is there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import AwsError

Document = dict[str, Any]
# moto, which answers STS, calls its one user an ARN of STS.
_PRINCIPAL = re.compile(r"arn:aws:(?:iam|sts)::(\d{12}):(?:user|role|group)/.+")
_ALWAYS = 1_767_225_600
"""2026-01-01, when every role was made."""


class Iam:
    """Simulations, and the roles that they are asked about."""

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Operation name → what answers it."""
        return {"GetRole": self.get_role, "SimulatePrincipalPolicy": self.simulate}

    def get_role(self, request: Document) -> Document:
        """GetRole, of whatever name."""
        name = request["RoleName"]
        trusted = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}'
        role = {
            "Path": "/",
            "RoleName": name,
            "RoleId": f"AROA{hashlib.sha256(name.encode()).hexdigest()[:16].upper()}",
            "Arn": f"arn:aws:iam::{self._config.account_id}:role/{name}",
            "CreateDate": _ALWAYS,
            "AssumeRolePolicyDocument": trusted,
        }
        return {"Role": role}

    def simulate(self, request: Document) -> Document:
        """SimulatePrincipalPolicy: each action on each resource, allowed."""
        principal = _PRINCIPAL.fullmatch(request["PolicySourceArn"])
        if principal is None:
            raise AwsError("InvalidInput", f"Invalid Entity Arn: {request['PolicySourceArn']}")
        if principal[1] != self._config.account_id:
            raise AwsError("NoSuchEntity", f"{request['PolicySourceArn']} is of another account", 404)
        unknown = request.keys() - {"PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries", "MaxItems"}
        if unknown:
            raise AwsError("InvalidInput", f"Not answered by the embedded IAM: {', '.join(sorted(unknown))}")
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

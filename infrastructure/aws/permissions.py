"""Missing rights, found before anything is touched: IAM simulates the caller's policies and performs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import CloudError, NotFound
from deployment.model import Caller, Rights
from infrastructure.aws.errors import aws_code
from infrastructure.aws.session import Clients

SERVICES, ROLES, ROUTES, LEASE, IMAGES, TOPIC, ANYTHING = "services", "roles", "routes", "lease", "images", "topic", "*"

_LEASE = {LEASE: ("dynamodb:GetItem", "dynamodb:UpdateItem")}
_TELL = {TOPIC: ("sns:Publish",)}
_READ_ROUTES = ("cloudfront-keyvaluestore:DescribeKeyValueStore", "cloudfront-keyvaluestore:GetKey")
_WRITE_ROUTES = {ROUTES: (*_READ_ROUTES, "cloudfront-keyvaluestore:UpdateKeys")}
_STOP = ("apprunner:DescribeService", "apprunner:ListOperations", "apprunner:PauseService")

ACTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "deploy": {
        ANYTHING: ("apprunner:ListServices",),
        SERVICES: (*_STOP, "apprunner:UpdateService", "apprunner:StartDeployment", "apprunner:ResumeService"),
        ROLES: ("iam:PassRole",),
        IMAGES: ("ecr:BatchGetImage", "ecr:DescribeImages"),
        ROUTES: _READ_ROUTES,
        **_LEASE,
        **_TELL,
    },
    "promote": {**_WRITE_ROUTES, **_LEASE, **_TELL},
    "rollback": {ANYTHING: ("apprunner:ListServices",), SERVICES: _STOP, **_WRITE_ROUTES, **_LEASE, **_TELL},
    "approve": _LEASE,
    "waive": {},
}
"""What each duty does, by what it does it to. Reading the smoke users' secret is left out: that is done before IAM is asked.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/ (list_awsapprunner, list_cloudfront-keyvaluestore,
list_amazondynamodb, list_amazonelasticcontainerregistry).
"""

PASSED_TO = ("build.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com")
_SESSION = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/[^/]+")
_MOST_RESULTS = 1000


@dataclass(frozen=True)
class Resources:
    """The ARNs of what a deployment acts on; ``services`` are App Runner's names, whose ARNs are looked up."""

    region: str
    account: str
    repository: str
    lease_table: str
    key_value_store_arn: str
    services: Sequence[str]
    topic: str | None = None


class SimulatedPermissions:
    """The Permissions port on ``iam:SimulatePrincipalPolicy``; whatever keeps it from answering is told, and refuses nobody."""

    def __init__(self, clients: Clients, resources: Resources) -> None:
        self._clients = clients
        self._resources = resources

    def missing(self, caller: Caller, duties: Sequence[str]) -> Rights:
        """The actions that IAM says the caller would be denied, each once; never raises a CloudError."""
        try:
            results = list(self._simulate(self._principal(caller.arn), _needs(duties)))
        except CloudError as error:
            what = aws_code(error) or error.message
            return Rights(
                (), f"{caller.arn}'s rights on AWS (iam:SimulatePrincipalPolicy: {what}); they show as they are used"
            )
        denied = {name for name, decision, unknown in results if decision != "allowed" and not unknown}
        vague = {name for name, decision, unknown in results if decision != "allowed" and unknown} - denied
        said = f"{', '.join(sorted(vague))}: allowed under conditions that only the call itself can meet"
        return Rights(tuple(sorted(denied)), said if vague else None)

    def _principal(self, arn: str) -> str:
        """What the simulation takes: the role for its session, with the path that the session's ARN has lost."""
        session = _SESSION.fullmatch(arn)
        if session is None:
            return arn
        plain = f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
        try:
            return str(self._ask("GetRole", RoleName=session[3])["Role"]["Arn"])
        except NotFound:
            raise
        except CloudError:
            return plain  # without the right to look it up, most roles have no path

    def _simulate(self, principal: str, needs: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, str, bool]]:
        """(action, decision, whether a condition could not be evaluated) of each action on each of its resources."""
        arns: Mapping[str, Sequence[str]] | None = None
        for kind, actions in needs.items():
            # What is `*` or known without asking comes first: where IAM does not answer, nothing else is asked either.
            if kind in (SERVICES, ROLES) and arns is None:
                arns = self._running()
            resources = self._known(kind) if kind not in (SERVICES, ROLES) else (arns or {}).get(kind, ())
            if not resources:
                continue
            context = [_text("iam:PassedToService", PASSED_TO)] if kind == ROLES else []
            answer = self._ask(
                "SimulatePrincipalPolicy",
                PolicySourceArn=principal,
                ActionNames=list(actions),
                ResourceArns=list(resources),
                ContextEntries=context,
                MaxItems=_MOST_RESULTS,
            )
            for result in answer["EvaluationResults"]:
                yield from _decisions(result)

    def _known(self, kind: str) -> Sequence[str]:
        own = self._resources
        where = f"{own.region}:{own.account}"
        return {
            ANYTHING: ("*",),
            LEASE: (f"arn:aws:dynamodb:{where}:table/{own.lease_table}",),
            ROUTES: (own.key_value_store_arn,),
            IMAGES: (f"arn:aws:ecr:{where}:repository/{own.repository}",),
            TOPIC: (own.topic,) if own.topic else (),
        }[kind]

    def _running(self) -> Mapping[str, Sequence[str]]:
        """The ARNs of the services that exist, and of the roles that an update hands on to App Runner."""
        services, roles = [], set()
        for summary in self._clients.pages("apprunner", "ListServices", "ServiceSummaryList"):
            if summary["ServiceName"] in self._resources.services and summary["Status"] != "DELETED":
                services.append(str(summary["ServiceArn"]))
        for arn in services:
            service = self._clients.call("apprunner", "DescribeService", ServiceArn=arn)["Service"]
            access = service.get("SourceConfiguration", {}).get("AuthenticationConfiguration", {}).get("AccessRoleArn")
            instance = service.get("InstanceConfiguration", {}).get("InstanceRoleArn")
            roles |= {str(role) for role in (access, instance) if role}
        return {SERVICES: services, ROLES: sorted(roles)}

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call_once("iam", operation, **parameters)


def _needs(duties: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """What the duties need together, by kind; the kinds whose ARNs need no looking up come first."""
    needs: dict[str, dict[str, None]] = {kind: {} for kind in (ANYTHING, LEASE, ROUTES, IMAGES, TOPIC, SERVICES, ROLES)}
    for duty in duties:
        for kind, actions in ACTIONS[duty].items():
            needs[kind] |= dict.fromkeys(actions)
    return {kind: list(actions) for kind, actions in needs.items() if actions}


def _decisions(result: Mapping[str, Any]) -> Iterable[tuple[str, str, bool]]:
    name = str(result["EvalActionName"])
    for one in result.get("ResourceSpecificResults") or [result]:
        decision = str(one.get("EvalResourceDecision") or one.get("EvalDecision"))
        yield name, decision, decision == "implicitDeny" and bool(one.get("MissingContextValues"))


def _text(key: str, values: Sequence[str]) -> Mapping[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "stringList"}

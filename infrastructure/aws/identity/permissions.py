"""Missing permissions, found before a run changes anything: IAM simulates the caller's policies and performs nothing.

``infrastructure/aws/identity/duties.py`` lists the calls of each duty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from deployment.errors import CloudError, NotFound
from deployment.model import Caller, Colour, Rights
from infrastructure.aws.errors import aws_code
from infrastructure.aws.identity.duties import (
    ALARMS,
    ANYTHING,
    CHANGES,
    DEFINITIONS,
    DEPLOYMENTS,
    HEALTH_CHECKS,
    IMAGES,
    INSTANCES,
    LEASE,
    PASSED_TO,
    PROTECTED,
    READ_SERVICES,
    ROLES,
    ROUTES,
    SCALING,
    SERVICES,
    TASKS,
    TOPIC,
    WEB_ACL,
    needs,
)
from infrastructure.aws.partitions import partition_of
from infrastructure.aws.route53.records import STAMP_LABEL
from infrastructure.aws.session import Clients

_SESSION = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/[^/]+")
_MOST_RESULTS = 1000


@dataclass(frozen=True)
class Resources:
    """The resources that deployments act on. ``services`` are names, whose ARNs are looked up; ``options`` are the router's.

    ``cluster`` is the ECS cluster, None on App Runner; ``topic`` is the topic of the notifications, if there is one;
    ``web_acl`` is the ARN of the web ACL of services on App Runner, if the settings name one.
    """

    region: str
    account: str
    repository: str
    lease_table: str
    platform: str
    services: Mapping[Colour, str]
    router: str
    options: Mapping[str, Any]
    cluster: str | None = None
    topic: str | None = None
    alarms: Sequence[str] = ()
    health_checks: Sequence[str] = ()
    web_acl: str | None = None


class SimulatedPermissions:
    """The Permissions port on ``iam:SimulatePrincipalPolicy``; if IAM cannot answer, it reports the reason and denies nothing."""

    def __init__(self, clients: Clients, resources: Resources) -> None:
        self._clients = clients
        self._resources = resources
        self._partition = partition_of(resources.region)

    def missing(self, caller: Caller, duties: Sequence[str], target: Colour | None = None) -> Rights:
        """Return the actions that IAM would deny the caller, each once; never raises CloudError."""
        try:
            results = list(self._simulate(self._principal(caller.arn), self._needs(duties), target))
        except CloudError as error:
            what = aws_code(error) or error.message
            return Rights(
                (),
                f"{caller.arn}'s rights on AWS (iam:SimulatePrincipalPolicy: {what}); a missing one shows in the call that needs it",
            )
        denied = {name for name, decision, unknown in results if decision != "allowed" and not unknown}
        vague = {name for name, decision, unknown in results if decision != "allowed" and unknown} - denied
        said = f"{', '.join(sorted(vague))}: allowed under conditions that IAM can evaluate only in the call itself"
        return Rights(tuple(sorted(denied)), said if vague else None)

    def _principal(self, arn: str) -> str:
        """Return the ARN to simulate: for a session its role, with the path that the session's ARN omits."""
        session = _SESSION.fullmatch(arn)
        if session is None:
            return arn
        plain = f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
        try:
            return str(self._ask("GetRole", RoleName=session[3])["Role"]["Arn"])
        except NotFound:
            raise
        except CloudError:
            return plain  # without iam:GetRole the path is unknown; most roles have none

    def _needs(self, duties: Sequence[str]) -> Mapping[str, Sequence[str]]:
        own = self._resources
        found = dict(needs(duties, own.platform, own.router))
        kind = "Rule" if own.router == "alb" and ":listener-rule/" in own.options["arn"] else "Listener"
        if "elasticloadbalancing:DescribeTags" in found.get(ANYTHING, ()):
            found[ANYTHING] = (*found[ANYTHING], f"elasticloadbalancing:Describe{kind}s")
        if "elasticloadbalancing:AddTags" in found.get(ROUTES, ()):
            found[ROUTES] = (*found[ROUTES], f"elasticloadbalancing:Modify{kind}")
        return found

    def _simulate(
        self, principal: str, needs: Mapping[str, Sequence[str]], target: Colour | None
    ) -> Iterable[tuple[str, str, bool]]:
        """Yield (action, decision, whether IAM could not evaluate a condition) for each action on each of its resources."""
        arns: Mapping[str, Sequence[str]] | None = None
        for kind, actions in needs.items():
            # Kinds that need no look-up come first: if IAM does not answer, no other call is made.
            looked_up = kind in (READ_SERVICES, SERVICES, PROTECTED, ROLES, DEFINITIONS, DEPLOYMENTS)
            if looked_up and arns is None:
                running = self._running if self._resources.platform == "apprunner" else self._running_on_ecs
                arns = running(set(self._resources.services) if target is None else {target})
            resources = (arns or {}).get(kind, ()) if looked_up else self._known(kind)
            if not resources:
                continue
            answer = self._ask(
                "SimulatePrincipalPolicy",
                PolicySourceArn=principal,
                ActionNames=list(actions),
                ResourceArns=list(resources),
                ContextEntries=self._context(kind),
                MaxItems=_MOST_RESULTS,
            )
            for result in answer["EvaluationResults"]:
                yield from _decisions(result)

    def _context(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the context values that the call itself would give to a policy's conditions."""
        own = self._resources
        if kind == ROLES:
            return [_text("iam:PassedToService", PASSED_TO[own.platform])]
        if kind in (TASKS, INSTANCES):
            return [
                _text("ecs:cluster", [f"arn:{self._partition}:ecs:{own.region}:{own.account}:cluster/{own.cluster}"])
            ]
        if kind == SCALING:
            return [_text("application-autoscaling:service-namespace", ["ecs"])]
        if kind == ROUTES and own.router == "route53":
            name = own.options["record_name"]
            names = [name, f"{STAMP_LABEL}.{name}"]
            return [_text("route53:ChangeResourceRecordSetsNormalizedRecordNames", names)]
        return []

    def _known(self, kind: str) -> Sequence[str]:
        own = self._resources
        where = f"{own.region}:{own.account}"
        return {
            ANYTHING: ("*",),
            LEASE: (f"arn:{self._partition}:dynamodb:{where}:table/{own.lease_table}",),
            ROUTES: (self._routes(),),
            CHANGES: (f"arn:{self._partition}:route53:::change/C0",),
            IMAGES: (f"arn:{self._partition}:ecr:{where}:repository/{own.repository}",),
            TOPIC: (own.topic,) if own.topic else (),
            WEB_ACL: (own.web_acl,) if own.web_acl else (),
            ALARMS: ("*",) if own.alarms else (),
            HEALTH_CHECKS: [
                f"arn:{self._partition}:route53:::healthcheck/{identity}" for identity in own.health_checks
            ],
            SCALING: (f"arn:{self._partition}:application-autoscaling:{where}:scalable-target/*",),
            TASKS: (f"arn:{self._partition}:ecs:{where}:task/{own.cluster}/*",),
            INSTANCES: (f"arn:{self._partition}:ecs:{where}:container-instance/{own.cluster}/*",),
        }[kind]

    def _routes(self) -> str:
        """Return the ARN of the resource that a switch writes to."""
        own = self._resources
        if own.router == "route53":
            return f"arn:{self._partition}:route53:::hostedzone/{own.options['hosted_zone_id']}"
        return str(own.options["arn" if own.router == "alb" else "key_value_store_arn"])

    def _running(self, changed: Set[Colour]) -> Mapping[str, Sequence[str]]:
        """Return the ARNs of the existing services, of those that change, and of the roles that an update passes on."""
        colours = {name: colour for colour, name in self._resources.services.items()}
        services: dict[str, bool] = {}
        roles = set()
        for summary in self._clients.pages("apprunner", "ListServices", "ServiceSummaryList"):
            if summary["ServiceName"] in colours and summary["Status"] != "DELETED":
                services[str(summary["ServiceArn"])] = colours[summary["ServiceName"]] in changed
        for arn in (arn for arn, ours in services.items() if ours):
            service = self._clients.call("apprunner", "DescribeService", ServiceArn=arn)["Service"]
            access = service.get("SourceConfiguration", {}).get("AuthenticationConfiguration", {}).get("AccessRoleArn")
            instance = service.get("InstanceConfiguration", {}).get("InstanceRoleArn")
            roles |= {str(role) for role in (access, instance) if role}
        ours = [arn for arn, changes in services.items() if changes]
        protected = ours if self._resources.web_acl else []
        return {READ_SERVICES: list(services), SERVICES: ours, PROTECTED: protected, ROLES: sorted(roles)}

    def _running_on_ecs(self, changed: Set[Colour]) -> Mapping[str, Sequence[str]]:
        """Return the ARNs of the existing services, of those that change, of their task definition families, and of the
        roles that a new task definition passes on.
        """
        own = self._resources
        found = self._clients.call("ecs", "DescribeServices", cluster=own.cluster, services=list(own.services.values()))
        services = [one for one in found["services"] if one["status"] != "INACTIVE"]
        names = {own.services[colour] for colour in changed}
        ours = [one for one in services if one["serviceName"] in names]
        roles, families = set(), set()
        for service in ours:
            arn = str(service["taskDefinition"])
            families.add(f"{arn.rpartition(':')[0]}:*")
            definition = self._clients.call("ecs", "DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]
            roles |= {str(definition[key]) for key in ("taskRoleArn", "executionRoleArn") if definition.get(key)}
        return {
            READ_SERVICES: [str(one["serviceArn"]) for one in services],
            SERVICES: [str(one["serviceArn"]) for one in ours],
            ROLES: sorted(roles),
            DEFINITIONS: sorted(families),
            DEPLOYMENTS: [f"{str(one['serviceArn']).replace(':service/', ':service-deployment/')}/*" for one in ours],
        }

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call_once("iam", operation, **parameters)


def _decisions(result: Mapping[str, Any]) -> Iterable[tuple[str, str, bool]]:
    name = str(result["EvalActionName"])
    for one in result.get("ResourceSpecificResults") or [result]:
        decision = str(one.get("EvalResourceDecision") or one.get("EvalDecision"))
        yield name, decision, decision == "implicitDeny" and bool(one.get("MissingContextValues"))


def _text(key: str, values: Sequence[str]) -> Mapping[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "stringList"}

"""The estate of a team that has never heard of this project, in moto: a bakery's shop on ECS, behind a shared load balancer.

Made in the style of the public module terraform-aws-modules/ecs, with the team's own names and tags: a capacity provider strategy,
a log router beside the container that answers, three listeners, and rules for hosts and for paths. Besides the shop the load
balancer serves the team's blog.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infrastructure.aws.session import Clients

TAGS = {"Example": "ex-bakery", "GithubRepo": "bakery-infra", "Terraform": "true"}
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "5" * 64
PASSWORD = "hunter2-canary"
"""A password in a plain variable, as teams have them."""
HEADER = "cdn-secret-canary"
"""A secret value in a rule's condition."""
STRATEGY = [
    {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 3, "base": 0},
]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Bakery:
    """The names and ARNs of one estate."""

    cluster: str
    service: str
    group: str
    balancer: str
    listener: str
    rule: str
    guard: str
    subnets: Sequence[str]
    domain: str
    definition: str
    repository: str


def _tags() -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in TAGS.items()]


def forward(*groups: str) -> list[dict[str, Any]]:
    """Return the actions that forward to target groups of equal weight, as Terraform's forward block makes them."""
    targets = [{"TargetGroupArn": group, "Weight": 1} for group in groups]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}]


def path(*patterns: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def host(*names: str) -> dict[str, Any]:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(names)}}


def header() -> dict[str, Any]:
    """Return the condition by which the load balancer recognizes the team's CDN."""
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-From-Cdn", "Values": [HEADER]}}


def made(clients: Clients, **service: Any) -> Bakery:
    """Create the estate; ``service`` changes the CreateService request, and a value of None omits a member."""
    number = next(_NUMBERS)
    name, domain = f"ex-bakery{number}", f"shop{number}.bakery.example"
    own = _network(clients)
    balancer = clients.call(
        "elbv2",
        "CreateLoadBalancer",
        Name=name,
        Subnets=own["subnets"],
        SecurityGroups=[own["guard"]],
        Tags=_tags(),
    )["LoadBalancers"][0]["LoadBalancerArn"]
    shop, blog = (_group(clients, f"{name}-{part}", own["vpc"]) for part in ("ecs-task", "blog"))
    listeners = _listeners(clients, balancer, domain, blog)
    rules = {
        50: ([host(domain), path("/news*")], blog),
        100: ([host(domain), header()], shop),
        110: ([host("*.bakery.example")], blog),
    }
    arns = {priority: _rule(clients, listeners["https"], priority, *rule) for priority, rule in rules.items()}
    clients.call("ecs", "CreateCluster", clusterName=name)
    definition = task_definition(clients, name, domain)
    request = {
        "cluster": name,
        "serviceName": "storefront",
        "taskDefinition": definition,
        "desiredCount": 2,
        "capacityProviderStrategy": STRATEGY,
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": own["subnets"], "securityGroups": [own["guard"]]},
        },
        "loadBalancers": [{"targetGroupArn": shop, "containerName": "node", "containerPort": 8080}],
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 66},
        **service,
    }
    clients.call("ecs", "CreateService", **{key: value for key, value in request.items() if value is not None})
    clients.call("ecr", "CreateRepository", repositoryName=name)
    return Bakery(
        name,
        "storefront",
        shop,
        balancer,
        listeners["https"],
        arns[100],
        own["guard"],
        own["subnets"],
        domain,
        definition,
        name,
    )


def _network(clients: Clients) -> Mapping[str, Any]:
    subnets = clients.call("ec2", "DescribeSubnets")["Subnets"][:2]
    guard = clients.call("ec2", "DescribeSecurityGroups")["SecurityGroups"][0]["GroupId"]
    return {"subnets": [one["SubnetId"] for one in subnets], "vpc": subnets[0]["VpcId"], "guard": guard}


def _group(clients: Clients, name: str, vpc: str) -> str:
    answer = clients.call(
        "elbv2",
        "CreateTargetGroup",
        Name=name,
        Protocol="HTTP",
        Port=8080,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/healthz",
        Tags=_tags(),
    )
    return str(answer["TargetGroups"][0]["TargetGroupArn"])


def _listeners(clients: Clients, balancer: str, domain: str, blog: str) -> Mapping[str, str]:
    """Create a listener that redirects, one for everybody, and one for the team's own tools."""
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    certificate = clients.call("acm", "RequestCertificate", DomainName=domain)["CertificateArn"]
    secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}
    requests: Mapping[str, Mapping[str, Any]] = {
        "http": {
            "Port": 80,
            "Protocol": "HTTP",
            "DefaultActions": [{"Type": "redirect", "RedirectConfig": redirect}],
        },
        "https": {"Port": 443, **secure, "DefaultActions": forward(blog)},
        "tools": {"Port": 9443, **secure, "DefaultActions": forward(blog)},
    }
    return {
        name: str(
            clients.call("elbv2", "CreateListener", LoadBalancerArn=balancer, Tags=_tags(), **request)["Listeners"][0][
                "ListenerArn"
            ]
        )
        for name, request in requests.items()
    }


def _rule(clients: Clients, listener: str, priority: int, conditions: list[dict[str, Any]], *groups: str) -> str:
    answer = clients.call(
        "elbv2",
        "CreateRule",
        ListenerArn=listener,
        Priority=priority,
        Conditions=conditions,
        Actions=forward(*groups),
        Tags=_tags(),
    )
    return str(answer["Rules"][0]["RuleArn"])


def task_definition(clients: Clients, family: str, domain: str) -> str:
    """Register a task definition with a log router beside the container that answers."""
    roles = {
        f"{key}RoleArn": f"arn:aws:iam::123456789012:role/{family}-{kind}"
        for key, kind in (("task", "task"), ("execution", "exec"))
    }
    answer = clients.call(
        "ecs",
        "RegisterTaskDefinition",
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="512",
        memory="1024",
        **roles,
        containerDefinitions=[
            {
                "name": "fluent-bit",
                "image": "public.ecr.aws/aws-observability/aws-for-fluent-bit:stable",
                "essential": True,
                "memoryReservation": 50,
                "firelensConfiguration": {"type": "fluentbit"},
            },
            {
                "name": "node",
                "image": f"{HOST}/{family}@{DIGEST}",
                "essential": True,
                "memory": 512,
                "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
                "environment": [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "DOMAIN", "value": domain}],
                "logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch_logs"}},
            },
        ],
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def mend(clients: Clients, own: Bakery) -> None:
    """Change what the team's own Terraform owns, as `adopt` says."""
    circuit = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    clients.call(
        "ecs",
        "UpdateService",
        cluster=own.cluster,
        service=own.service,
        deploymentConfiguration=circuit,
        healthCheckGracePeriodSeconds=60,
    )
    clients.call("ecr", "PutImageTagMutability", repositoryName=own.repository, imageTagMutability="IMMUTABLE")


def complete(clients: Clients, own: Bakery, environment: str) -> None:
    """Create what the printed Terraform would create, and put values into the secrets."""
    vpc = clients.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[own.group])["TargetGroups"][0]["VpcId"]
    green = _group(clients, f"{own.cluster}-ecs-task-green", vpc)
    weighted = [{"TargetGroupArn": group, "Weight": weight} for group, weight in ((own.group, 100), (green, 0))]
    clients.call(
        "elbv2",
        "CreateRule",
        ListenerArn=own.listener,
        Priority=99,
        Conditions=[host(own.domain), header()],
        Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weighted}}],
    )
    certificates = clients.call("elbv2", "DescribeListeners", ListenerArns=[own.listener])["Listeners"][0][
        "Certificates"
    ]
    for port, group in ((8443, own.group), (8444, green)):
        clients.call(
            "elbv2",
            "CreateListener",
            LoadBalancerArn=own.balancer,
            Port=port,
            Protocol="HTTPS",
            Certificates=certificates,
            DefaultActions=forward(group),
        )
    second_service(clients, own, green)
    name = f"{environment}-{own.service}"
    clients.call(
        "dynamodb",
        "CreateTable",
        TableName=f"{name}-deploy-state",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    clients.call("s3", "CreateBucket", Bucket=f"{name}-audit-123456789012")
    for secret in ("smoke-users", "signing-key", "signing-public-key"):
        clients.call("secretsmanager", "CreateSecret", Name=f"{environment}/{own.service}/{secret}", SecretString="x")


def second_service(clients: Clients, own: Bakery, group: str, **changes: Any) -> None:
    """Create a second service like the first one, in another target group."""
    request: dict[str, Any] = {
        "cluster": own.cluster,
        "serviceName": "storefront-green",
        "taskDefinition": own.definition,
        "desiredCount": 2,
        "capacityProviderStrategy": STRATEGY,
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": own.subnets, "securityGroups": [own.guard]},
        },
        "loadBalancers": [{"targetGroupArn": group, "containerName": "node", "containerPort": 8080}],
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        "healthCheckGracePeriodSeconds": 60,
        **changes,
    }
    clients.call("ecs", "CreateService", **request)


# -- changes of the estate ----------------------------------------------------------------------------------------------


def in_the_default_action(clients: Clients, own: Bakery) -> None:
    clients.call("elbv2", "DeleteRule", RuleArn=own.rule)
    clients.call("elbv2", "ModifyListener", ListenerArn=own.listener, DefaultActions=forward(own.group))


def other_group(clients: Clients, own: Bakery, name: str, **more: Any) -> str:
    vpc = clients.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[own.group])["TargetGroups"][0]["VpcId"]
    answer = clients.call("elbv2", "CreateTargetGroup", Name=name, Port=8080, VpcId=vpc, TargetType="ip", **more)
    return str(answer["TargetGroups"][0]["TargetGroupArn"])


def taken_port(clients: Clients, own: Bakery) -> None:
    clients.call(
        "elbv2",
        "CreateListener",
        LoadBalancerArn=own.balancer,
        Port=8443,
        Protocol="HTTP",
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )


def shared_rule(clients: Clients, own: Bakery) -> None:
    groups = [other_group(clients, own, f"{own.cluster}-{name}", Protocol="HTTP") for name in "ab"]
    clients.call("elbv2", "ModifyRule", RuleArn=own.rule, Actions=forward(own.group, *groups))

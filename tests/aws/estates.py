"""Terraform's part of an estate, in moto: a load balancer with two target groups, a zone with two weighted records, ECS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from deployment.model import Colour
from infrastructure.aws.session import Clients

ADDRESSES = {Colour.BLUE: "192.0.2.1", Colour.GREEN: "192.0.2.2"}
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
OLD = f"sha256:{'a' * 64}"
IDENTIFIERS = {colour: str(colour) for colour in Colour}


@dataclass(frozen=True)
class Balancer:
    """The ARNs of one load balancer: its listener, the rule that routes, and a target group for each colour."""

    listener: str
    rule: str
    groups: Mapping[Colour, str]


def balancer(clients: Clients, name: str, *, targets: bool = True) -> Balancer:
    """Create a load balancer whose rule and default action send everything to blue. ``name``: at most 24 characters."""
    subnets = clients.call("ec2", "DescribeSubnets")["Subnets"][:2]
    answer = clients.call("elbv2", "CreateLoadBalancer", Name=name, Subnets=[one["SubnetId"] for one in subnets])
    balancer_arn = answer["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {}
    for colour in Colour:
        made = clients.call(
            "elbv2",
            "CreateTargetGroup",
            Name=f"{name}-{colour}",
            Protocol="HTTP",
            Port=8080,
            VpcId=subnets[0]["VpcId"],
            TargetType="ip",
        )
        groups[colour] = str(made["TargetGroups"][0]["TargetGroupArn"])
        if targets:
            target = {"Id": ADDRESSES[colour], "Port": 8080}
            clients.call("elbv2", "RegisterTargets", TargetGroupArn=groups[colour], Targets=[target])
    weights = [
        {"TargetGroupArn": groups[colour], "Weight": weight} for colour, weight in zip(Colour, (1, 0), strict=True)
    ]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}
    listener = clients.call(
        "elbv2", "CreateListener", LoadBalancerArn=balancer_arn, Protocol="HTTP", Port=80, DefaultActions=[action]
    )["Listeners"][0]["ListenerArn"]
    rule = clients.call(
        "elbv2",
        "CreateRule",
        ListenerArn=listener,
        Priority=10,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["api.telehealth.example"]}}],
        Actions=[action],
    )["Rules"][0]["RuleArn"]
    return Balancer(str(listener), str(rule), groups)


def zone(clients: Clients, name: str) -> str:
    """Create a hosted zone ``NAME.example`` with records ``api.NAME.example``, all weight on blue; return its id."""
    made = clients.call("route53", "CreateHostedZone", Name=f"{name}.example", CallerReference=name)["HostedZone"]["Id"]
    changes = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": {
                "Name": f"api.{name}.example",
                "Type": "A",
                "SetIdentifier": IDENTIFIERS[colour],
                "Weight": weight,
                "TTL": 60,
                "ResourceRecords": [{"Value": ADDRESSES[colour]}],
            },
        }
        for colour, weight in zip(Colour, (100, 0), strict=True)
    ]
    clients.call("route53", "ChangeResourceRecordSets", HostedZoneId=made, ChangeBatch={"Changes": changes})
    return str(made).rpartition("/")[2]


@dataclass(frozen=True)
class Ecs:
    """A cluster with a service for each colour behind its target group; blue wants two tasks, green wants one."""

    cluster: str
    services: Mapping[Colour, str]
    groups: Mapping[Colour, str]


def ecs(clients: Clients, name: str) -> Ecs:
    """Create the cluster. moto starts no task, so a deployment never completes. ``name``: at most 18 characters."""
    made = balancer(clients, name)
    subnet = clients.call("ec2", "DescribeSubnets")["Subnets"][0]["SubnetId"]
    guard = clients.call("ec2", "DescribeSecurityGroups")["SecurityGroups"][0]["GroupId"]
    clients.call("ecs", "CreateCluster", clusterName=name)
    services = {colour: f"{name}-{colour}" for colour in Colour}
    for colour, count in zip(Colour, (2, 1), strict=True):
        definition = clients.call(
            "ecs",
            "RegisterTaskDefinition",
            family=services[colour],
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "api", "image": f"{HOST}/{name}@{OLD}", "memory": 512}],
        )["taskDefinition"]["taskDefinitionArn"]
        clients.call(
            "ecs",
            "CreateService",
            cluster=name,
            serviceName=services[colour],
            taskDefinition=definition,
            desiredCount=count,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [guard]}},
            loadBalancers=[{"targetGroupArn": made.groups[colour], "containerName": "api", "containerPort": 8080}],
        )
        clients.call(
            "application-autoscaling",
            "RegisterScalableTarget",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=f"service/{name}/{services[colour]}",
            MinCapacity=count,
            MaxCapacity=8,
        )
    return Ecs(name, services, made.groups)


def task(clients: Clients, estate: Ecs, colour: Colour) -> None:
    """Start a task that names the service as its group; moto starts a task only on an instance."""
    instance = clients.call("ec2", "RunInstances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]
    clients.call(
        "ecs",
        "RegisterContainerInstance",
        cluster=estate.cluster,
        instanceIdentityDocument=json.dumps({"instanceId": instance["InstanceId"]}),
        instanceIdentityDocumentSignature="x",
    )
    container = {"name": "api", "image": f"{HOST}/{estate.cluster}@{OLD}", "memory": 128}
    definition = clients.call(
        "ecs", "RegisterTaskDefinition", family="on-an-instance", containerDefinitions=[container]
    )
    clients.call(
        "ecs",
        "RunTask",
        cluster=estate.cluster,
        taskDefinition=definition["taskDefinition"]["taskDefinitionArn"],
        launchType="EC2",
        group=f"service:{estate.services[colour]}",
    )

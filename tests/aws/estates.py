"""What Terraform would have made, in moto: a load balancer with two target groups, a zone with two weighted records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployment.model import Colour
from infrastructure.aws.session import Clients

ADDRESSES = {Colour.BLUE: "192.0.2.1", Colour.GREEN: "192.0.2.2"}
IDENTIFIERS = {colour: str(colour) for colour in Colour}


@dataclass(frozen=True)
class Balancer:
    """The ARNs of one load balancer: its listener, the rule that decides, and a target group for each colour."""

    listener: str
    rule: str
    groups: Mapping[Colour, str]


def balancer(clients: Clients, name: str, *, targets: bool = True) -> Balancer:
    """A load balancer whose rule and default action send everything to blue. ``name``: at most 24 characters."""
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
    """A hosted zone ``NAME.example`` with the records ``api.NAME.example``, all weight on blue; returns its id."""
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

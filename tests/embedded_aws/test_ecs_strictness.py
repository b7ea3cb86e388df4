"""The endpoint refuses what ECS and Elastic Load Balancing refuse, with the same errors."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from infrastructure.embedded.aws.protocol import model
from tests.embedded_aws.ecs_harness import CLUSTER, FIXED, NETWORK, Cluster, definition, forward
from tests.embedded_aws.harness import client

LOOSE = {"parameter_validation": False}
UNKNOWN_GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/nobody/0000000000000000"
CONTAINER = "containerDefinitions.0"


def refused(call: Any, **members: Any) -> tuple[str, str]:
    """Make a call that must fail; return the error's code and message."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def with_change(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the document with one member replaced; Ellipsis removes it."""
    changed = copy.deepcopy(document)
    *stem, last = path.split(".")
    place: Any = changed
    for name in stem:
        place = place[int(name) if name.isdigit() else name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


DEFINITIONS: dict[str, tuple[str, Any, str]] = {
    # case: (path, value, part of the message)
    "not for fargate": ("requiresCompatibilities", ["EC2"], "FARGATE"),
    "network mode": ("networkMode", "bridge", "awsvpc"),
    "no cpu": ("cpu", ..., "'cpu' be defined"),
    "no such pair": ("memory", "4096", "No Fargate configuration exists for given values: 256 CPU, 4096 memory"),
    "no containers": ("containerDefinitions", [], "cannot be empty"),
    "no image": (f"{CONTAINER}.image", ..., "Container.image"),
    "no execution role": ("executionRoleArn", ..., "execution role"),
    "other host port": (f"{CONTAINER}.portMappings", [{"containerPort": 3000, "hostPort": 80}], "must match"),
    "stop timeout": (f"{CONTAINER}.stopTimeout", 121, "at most 120"),
    "not a secret": (f"{CONTAINER}.secrets", [{"name": "KEY", "valueFrom": "arn:aws:s3:::bucket"}], "KEY"),
    "secret and variable": (
        f"{CONTAINER}.secrets",
        [{"name": "PLAIN", "valueFrom": "/parameter"}],
        "shared with any new or existing environment variables",
    ),
    "log options": (f"{CONTAINER}.logConfiguration", {"logDriver": "awslogs", "options": {}}, "awslogs-group"),
    "not essential": (f"{CONTAINER}.essential", False, "essential"),
    "a command": (f"{CONTAINER}.command", ["sh"], "does not support Container.command"),
    "unknown member": ("colour", "blue", "colour"),
    "unknown member, nested": (f"{CONTAINER}.Image", "x", "Image"),
    "enum": ("networkMode", "loopback", "enum"),
    "type": ("cpu", 256, "type"),
}


@pytest.mark.parametrize(("path", "value", "said"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_task_definitions(cluster: Cluster, path: str, value: Any, said: str) -> None:
    good = definition("strict", "sha256:" + "0" * 64, variables={"PLAIN": "1"})
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ecs/aws4_request, x"
    target = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"
    answer = httpx.post(  # boto3 does not send members that its model lacks
        cluster.endpoint.url,
        json=with_change(good, path, value),
        headers={"authorization": signed, "x-amz-target": target},
        trust_env=False,
    )
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] in ("ClientException", "InvalidParameterException")
    assert said in answer.json()["Message"]


def service_of(cluster: Cluster, group: str) -> dict[str, Any]:
    return {
        "cluster": CLUSTER,
        "serviceName": "strict",
        "taskDefinition": cluster.definition("strict", "sha256:" + "0" * 64),
        "desiredCount": 0,
        "launchType": "FARGATE",
        "networkConfiguration": copy.deepcopy(NETWORK),
        "loadBalancers": [{"targetGroupArn": group, "containerName": "api", "containerPort": 3000}],
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
    }


BALANCER = "loadBalancers.0"
SERVICES: dict[str, tuple[str, Any, str, str]] = {
    "cluster": ("cluster", "nowhere", "ClusterNotFoundException", "Cluster not found."),
    "task definition": ("taskDefinition", "nobody:1", "ClientException", "TaskDefinition not found."),
    "network": ("networkConfiguration", ..., "InvalidParameterException", "awsvpc"),
    "subnets": ("networkConfiguration.awsvpcConfiguration.subnets", [], "InvalidParameterException", "subnets"),
    "container": (f"{BALANCER}.containerName", "web", "InvalidParameterException", "web does not exist"),
    "port": (f"{BALANCER}.containerPort", 80, "InvalidParameterException", "container port 80"),
    "group": (f"{BALANCER}.targetGroupArn", UNKNOWN_GROUP, "InvalidParameterException", "does not exist"),
    "percentages": (
        "deploymentConfiguration.maximumPercent",
        100,
        "InvalidParameterException",
        "this will block deployments",
    ),
    "strategy": (
        "deploymentConfiguration.strategy",
        "BLUE_GREEN",
        "ClientException",
        "Not supported by the embedded ECS",
    ),
    "count": ("desiredCount", -1, "InvalidParameterException", "non-negative"),
    "capacity": ("capacityProviderStrategy", [{"capacityProvider": "SPOT"}], "ClientException", "capacityProvider"),
}


@pytest.mark.parametrize(("path", "value", "code", "said"), SERVICES.values(), ids=SERVICES)
def test_services(cluster: Cluster, path: str, value: Any, code: str, said: str) -> None:
    group = cluster.group("strict")
    found, message = refused(cluster.ecs.create_service, **with_change(service_of(cluster, group), path, value))
    assert found == code
    assert said in message


def test_a_service_is_created_once_and_its_group_needs_a_load_balancer(cluster: Cluster) -> None:
    lonely = cluster.elb.create_target_group(Name="lonely", TargetType="ip", Protocol="HTTP", Port=3000, VpcId="vpc-1")[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    wanted = service_of(cluster, lonely) | {"serviceName": "once"}
    code, message = refused(cluster.ecs.create_service, **wanted)
    assert (code, "does not have an associated load balancer" in message) == ("InvalidParameterException", True)
    wanted = service_of(cluster, cluster.group("once")) | {"serviceName": "once"}
    cluster.ecs.create_service(**wanted)
    assert refused(cluster.ecs.create_service, **wanted)[1] == "Creation of service was not idempotent."


def test_unknown_resources(cluster: Cluster) -> None:
    ecs = cluster.ecs
    assert refused(ecs.update_service, cluster=CLUSTER, service="nobody")[0] == "ServiceNotFoundException"
    assert refused(ecs.describe_services, cluster="nowhere", services=["x"])[0] == "ClusterNotFoundException"
    assert refused(ecs.stop_task, cluster=CLUSTER, task="0" * 32)[0] == "InvalidParameterException"
    assert refused(ecs.describe_task_definition, taskDefinition="nobody")[1] == "Unable to describe task definition."
    assert refused(ecs.list_tasks, cluster=CLUSTER, serviceName="nobody")[0] == "ServiceNotFoundException"
    missing = ecs.describe_services(cluster=CLUSTER, services=["nobody"])["failures"]
    assert [one["reason"] for one in missing] == ["MISSING"]
    assert ecs.describe_tasks(cluster=CLUSTER, tasks=["0" * 32])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_clusters(clusters=["nowhere"])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]["status"] == "ACTIVE"
    with pytest.raises(ClientError, match="not supported by the embedded endpoint"):
        ecs.run_task(cluster=CLUSTER, taskDefinition="nobody")
    with pytest.raises(ClientError, match="X-Amz-Target names no service of this endpoint"):
        client("apprunner", cluster.endpoint.url).list_services()


def test_a_deregistered_revision_is_not_deployed(cluster: Cluster) -> None:
    cluster.service("gone", cluster.endpoint.image("1"), 0)
    arn = cluster.definition("gone", cluster.endpoint.image("2"))
    assert cluster.ecs.list_task_definitions(familyPrefix="gone", sort="DESC")["taskDefinitionArns"][0] == arn
    cluster.ecs.deregister_task_definition(taskDefinition=arn)
    assert refused(cluster.ecs.update_service, cluster=CLUSTER, service="gone", taskDefinition=arn)[1] == (
        "TaskDefinition is inactive"
    )
    assert cluster.ecs.describe_task_definition(taskDefinition="gone")["taskDefinition"]["revision"] == 1


GROUPS: dict[str, tuple[str, Any, str]] = {
    "interval": ("HealthCheckIntervalSeconds", 4, "at least 5"),
    "timeout": ("HealthCheckTimeoutSeconds", 5, "must be greater than the timeout"),
    "path": ("HealthCheckPath", "health", "must begin with"),
    "matcher": ("Matcher", {"HttpCode": "600"}, "between 200 and 499"),
    "protocol": ("Protocol", "TCP", "not supported"),
    "type": ("TargetType", "instance", "type ip"),
    "vpc": ("VpcId", ..., "VpcId must be specified"),
    "unknown": ("Colour", "blue", "Colour"),
}


@pytest.mark.parametrize(("path", "value", "said"), GROUPS.values(), ids=GROUPS)
def test_target_groups(cluster: Cluster, path: str, value: Any, said: str) -> None:
    good = {"Name": "bad", "TargetType": "ip", "Protocol": "HTTP", "Port": 3000, "VpcId": "vpc-1"}
    good |= {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2}
    wanted = with_change(good, path, value) if value is not ... or path in good else good
    if path == "Colour":  # boto3 does not send members that its model lacks
        assert "Unknown parameters: Colour" in raw(cluster, Action="CreateTargetGroup", Name="bad", Colour="blue")
        return
    code, message = refused(client("elbv2", cluster.endpoint.url, **LOOSE).create_target_group, **wanted)
    assert code in ("ValidationError", "InvalidConfigurationRequest")
    assert said in message


def raw(cluster: Cluster, **form: str) -> str:
    """Send a form and return the answer's body."""
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/elasticloadbalancing/aws4_request, x"
    form |= {"Version": "2015-12-01"}
    return httpx.post(cluster.endpoint.url, data=form, headers={"authorization": signed}, trust_env=False).text


def weighted(*weights: int, group: str = UNKNOWN_GROUP) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": group, "Weight": weight} for weight in weights]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def test_weights_are_0_to_999_of_existing_groups(cluster: Cluster) -> None:
    group = cluster.group("weighted")
    modify, listener = cluster.elb.modify_listener, cluster.listener
    code, message = refused(modify, ListenerArn=listener, DefaultActions=weighted(1000, group=group))
    assert (code, "between 0 and 999" in message) == ("ValidationError", True)
    assert refused(modify, ListenerArn=listener, DefaultActions=weighted(1))[0] == "TargetGroupNotFound"
    assert "each once" in refused(modify, ListenerArn=listener, DefaultActions=weighted(1, 2, group=group))[1]
    assert refused(modify, ListenerArn=listener, DefaultActions=[])[0] == "TooManyActions"
    actions = weighted(999, group=group)
    modify(ListenerArn=listener, DefaultActions=actions)
    shown = cluster.elb.describe_rules(ListenerArn=listener)["Rules"][-1]
    assert shown["IsDefault"]
    assert shown["Actions"][0]["ForwardConfig"]["TargetGroups"] == actions[0]["ForwardConfig"]["TargetGroups"]


def test_rules(cluster: Cluster) -> None:
    group = cluster.group("ruled")
    elb, listener = cluster.elb, cluster.listener
    host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.localhost"]}}]
    path = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}]
    made = elb.create_rule(ListenerArn=listener, Priority=7, Conditions=host, Actions=[forward(group)])["Rules"][0]
    assert [one["Priority"] for one in elb.describe_rules(ListenerArn=listener)["Rules"]] == ["7", "default"]
    again = {"ListenerArn": listener, "Conditions": host, "Actions": FIXED}
    assert refused(elb.create_rule, Priority=7, **again)[0] == "PriorityInUse"
    assert refused(elb.create_rule, Priority=50_001, **again)[0] == "ValidationError"
    assert "path-pattern" in refused(elb.create_rule, Priority=8, **again | {"Conditions": path})[1]
    many = [{"Field": "host-header", "HostHeaderConfig": {"Values": [f"{n}.localhost" for n in range(9)]}}]
    assert refused(elb.create_rule, Priority=8, **again | {"Conditions": many})[0] == "TooManyRules"
    assert refused(elb.modify_rule, RuleArn=made["RuleArn"].replace("a", "b"), Actions=FIXED)[0] == "RuleNotFound"
    default = elb.describe_rules(ListenerArn=listener)["Rules"][-1]["RuleArn"]
    assert refused(elb.modify_rule, RuleArn=default, Actions=FIXED)[0] == "OperationNotPermitted"
    assert refused(elb.describe_rules)[0] == "ValidationError"
    assert elb.describe_tags(ResourceArns=[made["RuleArn"]])["TagDescriptions"][0]["Tags"] == []
    elb.add_tags(ResourceArns=[made["RuleArn"]], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    elb.remove_tags(ResourceArns=[made["RuleArn"]], TagKeys=["a", "absent"])
    tags = elb.describe_tags(ResourceArns=[made["RuleArn"]])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "b", "Value": "2"}]
    too_many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert refused(elb.add_tags, ResourceArns=[made["RuleArn"]], Tags=too_many)[0] == "TooManyTags"
    assert elb.modify_rule(RuleArn=made["RuleArn"], Actions=FIXED)["Rules"][0]["Conditions"][0]["Values"] == [
        "a.localhost"
    ]


def test_transforms(cluster: Cluster) -> None:
    """Transforms are shown as given, kept if only a rule's actions change, and removed on request."""
    elb = cluster.elb
    host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["transformed.localhost"]}}]
    rule = {"ListenerArn": cluster.listener, "Priority": 30, "Conditions": host, "Actions": FIXED}
    good = _rewrite("^.+$", "api.localhost:80")
    for bad, said in (
        ([good, good], "one transform of each type"),
        ([_rewrite("^(.+)$", "$1.localhost")], "replace the whole host"),
        ([_rewrite("^.+$", "no host")], "replace the whole host"),
        (
            [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/", "Replace": "/a"}]}}],
            "url-rewrite",
        ),
        ([{"Type": "host-header-rewrite"}], "exactly one rewrite"),
    ):
        code, message = refused(elb.create_rule, **rule, Transforms=bad)
        assert (code, said in message) == ("ValidationError", True), message
    made = elb.create_rule(**rule, Transforms=[good])["Rules"][0]
    assert made["Transforms"] == [good]
    arn = made["RuleArn"]
    assert elb.modify_rule(RuleArn=arn, Actions=FIXED)["Rules"][0]["Transforms"] == [good]
    assert refused(elb.modify_rule, RuleArn=arn, Transforms=[good], ResetTransforms=True)[0] == "ValidationError"
    assert elb.modify_rule(RuleArn=arn, ResetTransforms=True)["Rules"][0]["Transforms"] == []


def _rewrite(regex: str, replacement: str) -> dict[str, Any]:
    rewrites = [{"Regex": regex, "Replace": replacement}]
    return {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": rewrites}}


def test_listeners_use_the_proxys_ports_and_http(cluster: Cluster) -> None:
    wanted = {"LoadBalancerArn": cluster.balancer, "DefaultActions": FIXED}
    port = cluster.endpoint.settings["listener_ports"][0]
    create = cluster.elb.create_listener
    assert refused(create, Port=port, Protocol="HTTP", **wanted)[0] == "DuplicateListener"
    assert refused(create, Port=81, Protocol="HTTP", **wanted)[0] == "InvalidConfigurationRequest"
    assert refused(create, Port=port, Protocol="HTTPS", **wanted)[0] == "UnsupportedProtocol"


def test_attributes_and_targets(cluster: Cluster) -> None:
    group = cluster.group("attributed")
    change = cluster.elb.modify_target_group_attributes

    def attribute(key: str, value: str) -> Any:
        return {"TargetGroupArn": group, "Attributes": [{"Key": key, "Value": value}]}

    assert refused(change, **attribute("deregistration_delay.timeout_seconds", "3601"))[0] == "ValidationError"
    assert "not recognized" in refused(change, **attribute("colour", "blue"))[1]
    assert "not valid" in refused(change, **attribute("stickiness.enabled", "true"))[1]
    outside = [{"Id": "10.0.0.1", "Port": 1}]
    register = cluster.elb.register_targets
    assert refused(register, TargetGroupArn=group, Targets=outside)[0] == "InvalidTarget"
    nobody = [{"Id": "127.0.0.1", "Port": 1}]
    unknown = cluster.elb.describe_target_health(TargetGroupArn=group, Targets=nobody)["TargetHealthDescriptions"][0]
    assert unknown["TargetHealth"]["Reason"] == "Target.NotRegistered"
    register(TargetGroupArn=group, Targets=nobody)
    initial = cluster.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]["TargetHealth"]
    assert initial["State"] == "initial"
    cluster.elb.deregister_targets(TargetGroupArn=group, Targets=nobody)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MissingAuthenticationToken"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, x"}, "InvalidSignature"),
    ],
)
def test_signatures(cluster: Cluster, headers: dict[str, str], code: str) -> None:
    form = {"Action": "DescribeLoadBalancers", "Version": "2015-12-01"}
    answer = httpx.post(cluster.endpoint.url, data=form, headers=headers, trust_env=False)
    assert (answer.status_code, code in answer.text) == (403, True)
    assert "InvalidAction" in raw(cluster, Action="DeleteEverything")


@pytest.mark.parametrize("service", ["ecs", "elbv2", "iam", "apprunner"])
def test_every_pattern_of_the_models_can_be_checked(service: str) -> None:
    """Each pattern refuses a NUL or a newline, except those in CONTRADICTIONS."""
    described = model.service_model(service)
    shapes = {name: described.shape_for(name) for name in described.shape_names}
    strings = {name: shape for name, shape in shapes.items() if shape.type_name == "string"}
    with_pattern = {name for name, shape in strings.items() if "pattern" in shape.metadata}
    refusing = {
        name
        for name, shape in strings.items()
        if any("pattern" in said.text for bad in ("\0", "\n") for said in model.violations(shape, bad, name))
    }
    assert with_pattern
    assert refusing == {name for name in with_pattern if (name, "pattern") not in model.CONTRADICTIONS}

"""The IAM requests behind one call of an AWS API: its action on each of its resources, and the actions that depend on it.

Actions, resources and condition keys are those of AWS's service authorization reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/). A call that is missing here raises LookupError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.permissions.policies import Request

Parameters = Mapping[str, Any]

PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""The prefix of a service's actions, if it is not botocore's name of the service."""
FREE = {"sts:GetCallerIdentity", "sts:AssumeRole"}
"""Calls that need no permission of the role: everybody may ask who he is, and the role is what is being assumed."""

# App Runner's documents disagree on the service that a role is passed to: AWSAppRunnerFullAccess names the first, the service
# authorization reference the second, and https://github.com/RoboFinSystems/robosystems/pull/1279 reports a denial because the
# call had no such key.
APP_RUNNERS = ("apprunner.amazonaws.com", "bullet.amazonaws.com", None)


@dataclass(frozen=True)
class Place:
    """Account, region and encryption key of an estate; ``cluster`` is the name of the ECS cluster, empty on App Runner."""

    region: str
    account: str
    key: str
    cluster: str = ""

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of a regional service."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def action_of(service: str, operation: str) -> str:
    """Return the IAM action of a call; ``service`` is botocore's name."""
    name = {"HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket"}.get(operation, operation)
    return f"{PREFIXES.get(service, service)}:{name}"


def requests(place: Place, service: str, operation: str, given: Parameters) -> list[Request]:
    """Return every request that IAM must allow for the call. Raises LookupError for a call that is not listed."""
    action = action_of(service, operation)
    if action in FREE:
        return []
    resources, context = _RESOURCES[action](place, given)
    own = [Request(action, resource, context) for resource in resources]
    return [*own, *_DEPENDENT.get(action, _nothing)(place, given), *_encrypted(place, action)]


Found = tuple[Sequence[str], Mapping[str, Sequence[str]]]
Finder = Callable[[Place, Parameters], Found]


def _anything(_place: Place, _given: Parameters) -> Found:
    return ["*"], {}


def _named(key: str) -> Finder:
    """Return a finder for a parameter that is an ARN, or a list of ARNs."""
    return lambda _, given: (given[key] if isinstance(given[key], list) else [given[key]], {})


def _regional(service: str, pattern: str) -> Finder:
    """Return a finder for a resource whose name is a parameter, such as ``table/{TableName}``."""
    return lambda place, given: ([place.arn(service, pattern.format(**given))], {})


def _of_cluster(pattern: str) -> Finder:
    def find(place: Place, given: Parameters) -> Found:
        names = given["services"] if "services" in given else given.get("tasks", [given.get("service", "*")])
        named = [str(name).rpartition("/")[2] for name in names]
        arns = [place.arn("ecs", pattern.format(cluster=place.cluster, name=name)) for name in named]
        return arns, {"ecs:cluster": [place.arn("ecs", f"cluster/{place.cluster}")]}

    return find


def _secret(place: Place, given: Parameters) -> Found:
    name = str(given["SecretId"])
    return [name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}-AbCdEf")], {}


def _records(_: Place, given: Parameters) -> Found:
    sets = [one["ResourceRecordSet"] for one in given["ChangeBatch"]["Changes"]]
    names = [str(one["Name"]).lower().rstrip(".") for one in sets]
    context = {"route53:changeresourcerecordsetsnormalizedrecordnames": names}
    return [f"arn:aws:route53:::hostedzone/{given['HostedZoneId'].rpartition('/')[2]}"], context


def _scalable(place: Place, given: Parameters) -> Found:
    context = {"application-autoscaling:service-namespace": [given["ServiceNamespace"]]}
    return [place.arn("application-autoscaling", "scalable-target/0123")], context


def _created(place: Place, given: Parameters) -> Found:
    """Return the new service's ARN, and those of the estate's resources that the request names: IAM checks each."""
    network = given.get("NetworkConfiguration", {}).get("EgressConfiguration", {}).get("VpcConnectorArn")
    watched = given.get("ObservabilityConfiguration", {}).get("ObservabilityConfigurationArn")
    others = [given.get("AutoScalingConfigurationArn"), network, watched]
    return [place.arn("apprunner", f"service/{given['ServiceName']}/0123"), *filter(None, others)], {}


_REPOSITORY = _regional("ecr", "repository/{repositoryName}")
_RESOURCES: Mapping[str, Finder] = {
    "application-autoscaling:DescribeScalableTargets": _anything,
    "application-autoscaling:RegisterScalableTarget": _scalable,
    "apprunner:CreateService": _created,
    "apprunner:DescribeService": _named("ServiceArn"),
    "apprunner:ListOperations": _named("ServiceArn"),
    "apprunner:ListServices": _anything,
    "apprunner:ListTagsForResource": _named("ResourceArn"),
    "apprunner:PauseService": _named("ServiceArn"),
    "apprunner:ResumeService": _named("ServiceArn"),
    "apprunner:StartDeployment": _named("ServiceArn"),
    "apprunner:UpdateService": _named("ServiceArn"),
    "cloudfront:DescribeFunction": _anything,
    "cloudfront:ListDistributions": _anything,
    "cloudfront-keyvaluestore:DescribeKeyValueStore": _named("KvsARN"),
    "cloudfront-keyvaluestore:GetKey": _named("KvsARN"),
    "cloudfront-keyvaluestore:UpdateKeys": _named("KvsARN"),
    "cloudwatch:DescribeAlarms": _anything,
    "cloudwatch:GetMetricData": _anything,
    "dynamodb:DescribeTable": _regional("dynamodb", "table/{TableName}"),
    "dynamodb:GetItem": _regional("dynamodb", "table/{TableName}"),
    "dynamodb:UpdateItem": _regional("dynamodb", "table/{TableName}"),
    "ecr:BatchGetImage": _REPOSITORY,
    "ecr:DescribeImages": _REPOSITORY,
    "ecr:DescribeRepositories": lambda place, given: (
        [place.arn("ecr", f"repository/{name}") for name in given["repositoryNames"]],
        {},
    ),
    "ecr:DescribeImageScanFindings": _REPOSITORY,
    "ecr:GetAuthorizationToken": _anything,
    "ecs:DescribeServices": _of_cluster("service/{cluster}/{name}"),
    "ecs:DescribeServiceDeployments": _named("serviceDeploymentArns"),
    "ecs:DescribeTaskDefinition": _anything,
    "ecs:DescribeTasks": _of_cluster("task/{cluster}/{name}"),
    "ecs:ListServiceDeployments": _of_cluster("service/{cluster}/{name}"),
    "ecs:ListTasks": _of_cluster("container-instance/{cluster}/*"),
    "ecs:RegisterTaskDefinition": _regional("ecs", "task-definition/{family}:*"),
    "ecs:UpdateService": _of_cluster("service/{cluster}/{name}"),
    "elasticloadbalancing:AddTags": _named("ResourceArns"),
    "elasticloadbalancing:DescribeListenerCertificates": _anything,
    "elasticloadbalancing:DescribeListeners": _anything,
    "elasticloadbalancing:DescribeLoadBalancers": _anything,
    "elasticloadbalancing:DescribeRules": _anything,
    "elasticloadbalancing:DescribeTags": _anything,
    "elasticloadbalancing:DescribeTargetGroupAttributes": _anything,
    "elasticloadbalancing:DescribeTargetGroups": _anything,
    "elasticloadbalancing:DescribeTargetHealth": _anything,
    "elasticloadbalancing:ModifyListener": _named("ListenerArn"),
    "elasticloadbalancing:ModifyRule": _named("RuleArn"),
    "elasticloadbalancing:RemoveTags": _named("ResourceArns"),
    "iam:GetRole": lambda place, given: ([f"arn:aws:iam::{place.account}:role/{given['RoleName']}"], {}),
    "iam:SimulatePrincipalPolicy": _named("PolicySourceArn"),
    "logs:FilterLogEvents": _regional("logs", "log-group:{logGroupName}:log-stream:"),
    "route53:ChangeResourceRecordSets": _records,
    "route53:GetChange": lambda _, given: ([f"arn:aws:route53:::change/{given['Id'].rpartition('/')[2]}"], {}),
    "route53:GetHealthCheckStatus": lambda _, given: ([f"arn:aws:route53:::healthcheck/{given['HealthCheckId']}"], {}),
    "route53:ListResourceRecordSets": lambda _, given: (
        [f"arn:aws:route53:::hostedzone/{given['HostedZoneId'].rpartition('/')[2]}"],
        {},
    ),
    "s3:GetObject": lambda _, given: ([f"arn:aws:s3:::{given['Bucket']}/{given['Key']}"], {}),
    "s3:ListBucket": lambda _, given: ([f"arn:aws:s3:::{given['Bucket']}"], {}),
    "s3:PutObject": lambda _, given: ([f"arn:aws:s3:::{given['Bucket']}/{given['Key']}"], {}),
    "secretsmanager:DescribeSecret": _secret,
    "secretsmanager:GetSecretValue": _secret,
    "servicequotas:ListServiceQuotas": _anything,
    "sns:Publish": _named("TopicArn"),
    "wafv2:AssociateWebACL": lambda _, given: ([given["WebACLArn"], given["ResourceArn"]], {}),
    "wafv2:ListResourcesForWebACL": _named("WebACLArn"),
}


def _nothing(_place: Place, _given: Parameters) -> Iterator[Request]:
    return iter(())


def _pass_to_app_runner(_: Place, given: Parameters) -> Iterator[Request]:
    access = given.get("SourceConfiguration", {}).get("AuthenticationConfiguration", {}).get("AccessRoleArn")
    instance = given.get("InstanceConfiguration", {}).get("InstanceRoleArn")
    for role in filter(None, (access, instance)):
        for service in APP_RUNNERS:
            yield Request("iam:PassRole", role, {"iam:passedtoservice": [service]} if service else {})


def _create(place: Place, given: Parameters) -> Iterator[Request]:
    yield from _pass_to_app_runner(place, given)
    if given.get("Tags"):
        yield Request("apprunner:TagResource", place.arn("apprunner", f"service/{given['ServiceName']}/0123"))


def _register(place: Place, given: Parameters) -> Iterator[Request]:
    for role in filter(None, (given.get("taskRoleArn"), given.get("executionRoleArn"))):
        yield Request("iam:PassRole", role, {"iam:passedtoservice": ["ecs-tasks.amazonaws.com"]})
    if given.get("tags"):
        yield Request(
            "ecs:TagResource",
            place.arn("ecs", f"task-definition/{given['family']}:*"),
            {"ecs:createaction": ["RegisterTaskDefinition"]},
        )


def _list(_: Place, given: Parameters) -> Iterator[Request]:
    """Yield the right to list the bucket: without it a missing object is answered with 403, not 404.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    yield Request("s3:ListBucket", f"arn:aws:s3:::{given['Bucket']}")


def _associate(_: Place, given: Parameters) -> Iterator[Request]:
    yield from (Request("apprunner:AssociateWebAcl", given[key]) for key in ("ResourceArn", "WebACLArn"))


def _associated(_: Place, given: Parameters) -> Iterator[Request]:
    yield Request("apprunner:ListAssociatedServicesForWebAcl", given["WebACLArn"])


_DEPENDENT: Mapping[str, Callable[[Place, Parameters], Iterator[Request]]] = {
    "apprunner:CreateService": _create,
    "apprunner:UpdateService": _pass_to_app_runner,
    "ecs:RegisterTaskDefinition": _register,
    "s3:GetObject": _list,
    "wafv2:AssociateWebACL": _associate,
    "wafv2:ListResourcesForWebACL": _associated,
}
_KEY_USES = {
    "dynamodb:GetItem": ("Decrypt",),
    "dynamodb:UpdateItem": ("Decrypt",),
    "s3:GetObject": ("Decrypt",),
    "s3:PutObject": ("GenerateDataKey",),
    "secretsmanager:GetSecretValue": ("Decrypt",),
    "sns:Publish": ("Decrypt", "GenerateDataKey"),
}
"""How a service uses the estate's key on behalf of the caller.

A write to DynamoDB needs Decrypt as well (https://github.com/aws/aws-cdk/issues/10010).
"""


def _encrypted(place: Place, action: str) -> list[Request]:
    service = action.partition(":")[0]
    context = {"kms:viaservice": [f"{service}.{place.region}.amazonaws.com"]}
    return [Request(f"kms:{use}", place.key, context) for use in _KEY_USES.get(action, ())]

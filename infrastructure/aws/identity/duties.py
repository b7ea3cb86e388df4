"""The AWS actions of each duty, by the kind of resource that they act on, for each platform and router.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/ (list_awsapprunner, list_amazonelasticcontainerservice,
list_awselasticloadbalancingv2, list_amazonroute53, list_cloudfront-keyvaluestore, list_amazondynamodb,
list_amazonelasticcontainerregistry, list_applicationautoscaling, list_amazonsns, list_amazoncloudwatch). CloudWatch returns
composite alarms only to a caller who may describe alarms on ``*``:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SERVICES, READ_SERVICES, ROLES, TASKS, DEFINITIONS = "services", "both services", "roles", "tasks", "task definitions"
DEPLOYMENTS, INSTANCES = "service deployments", "container instances"
ROUTES, CHANGES, LEASE, IMAGES, SCALING = "routes", "changes", "lease", "images", "scalable targets"
TOPIC, ALARMS, HEALTH_CHECKS, ANYTHING = "topic", "alarms", "health checks", "*"
WEB_ACL, PROTECTED = "web ACL", "services behind the web ACL"

Rights = Mapping[str, Sequence[str]]
"""Actions by the kind of resource that they act on.

``SERVICES``, their ``DEPLOYMENTS``, ``ROLES`` and ``DEFINITIONS`` belong to the target colour only. ``WEB_ACL`` and
``PROTECTED`` (the same services) are empty if the settings name no web ACL. A run only reads the other colour, except that a
rollback on ECS also tries to start more of its tasks.
"""

_LEASE: Rights = {LEASE: ("dynamodb:GetItem", "dynamodb:UpdateItem")}
_NOTIFY: Rights = {TOPIC: ("sns:Publish",)}
_WATCH: Rights = {ALARMS: ("cloudwatch:DescribeAlarms",), HEALTH_CHECKS: ("route53:GetHealthCheckStatus",)}
_IMAGES: Rights = {IMAGES: ("ecr:BatchGetImage", "ecr:DescribeImages")}

_ECS_READ: Rights = {
    ANYTHING: ("ecs:DescribeTaskDefinition", "elasticloadbalancing:DescribeTargetHealth"),
    READ_SERVICES: ("ecs:DescribeServices",),
}
_ECS_STOP: Rights = {
    ANYTHING: (
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetGroupAttributes",
        "cloudwatch:GetMetricData",
        "application-autoscaling:DescribeScalableTargets",
    ),
    SERVICES: ("ecs:UpdateService",),
    SCALING: ("application-autoscaling:RegisterScalableTarget",),
}
_APPRUNNER_STOP: Rights = {
    ANYTHING: ("apprunner:ListServices",),
    READ_SERVICES: ("apprunner:DescribeService", "apprunner:ListOperations"),
    SERVICES: ("apprunner:PauseService",),
}
_ASSOCIATE = ("wafv2:AssociateWebACL", "apprunner:AssociateWebAcl")

BRING_UP: Mapping[str, Sequence[Rights]] = {
    "apprunner": (
        _APPRUNNER_STOP,
        # Without it no colour is paused. A rollback is not refused for that: it moves traffic, and leaves the colour running.
        {ANYTHING: ("cloudwatch:GetMetricData",)},
        {
            SERVICES: ("apprunner:UpdateService", "apprunner:StartDeployment", "apprunner:ResumeService"),
            ROLES: ("iam:PassRole",),
        },
        # A release is ready only if its service is listed under the web ACL. Each call needs the right of AWS WAF and of App Runner.
        {
            WEB_ACL: ("wafv2:ListResourcesForWebACL", "apprunner:ListAssociatedServicesForWebAcl", *_ASSOCIATE),
            PROTECTED: _ASSOCIATE,
        },
    ),
    "ecs": (
        _ECS_READ,
        _ECS_STOP,
        {
            TASKS: ("ecs:DescribeTasks",),
            INSTANCES: ("ecs:ListTasks",),  # also for a service on Fargate, which has none
            SERVICES: ("ecs:ListServiceDeployments",),
            DEPLOYMENTS: ("ecs:DescribeServiceDeployments",),
            DEFINITIONS: ("ecs:RegisterTaskDefinition", "ecs:TagResource"),
            ROLES: ("iam:PassRole",),
        },
    ),
}
STOP: Mapping[str, Sequence[Rights]] = {"apprunner": (_APPRUNNER_STOP,), "ecs": (_ECS_READ, _ECS_STOP)}

READ_ROUTES: Mapping[str, Rights] = {
    "cloudfront": {ROUTES: ("cloudfront-keyvaluestore:DescribeKeyValueStore", "cloudfront-keyvaluestore:GetKey")},
    "alb": {
        ANYTHING: (
            # The ARN in the settings decides between DescribeRules and DescribeListeners, and between the Modify actions.
            "elasticloadbalancing:DescribeTags",
        )
    },
    "route53": {ROUTES: ("route53:ListResourceRecordSets",)},
}
WRITE_ROUTES: Mapping[str, Rights] = {
    "cloudfront": {ROUTES: ("cloudfront-keyvaluestore:UpdateKeys",)},
    "alb": {
        ANYTHING: ("elasticloadbalancing:DescribeTargetHealth",),
        ROUTES: ("elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"),
    },
    "route53": {ROUTES: ("route53:ChangeResourceRecordSets",), CHANGES: ("route53:GetChange",)},
}
PASSED_TO: Mapping[str, Sequence[str]] = {
    "apprunner": ("apprunner.amazonaws.com",),
    "ecs": ("ecs-tasks.amazonaws.com",),
}


def rights(duty: str, platform: str, router: str) -> Sequence[Rights]:
    """Return the actions that a duty needs, except reading the smoke users' secret: a run does that before it asks IAM."""
    read, write = READ_ROUTES[router], WRITE_ROUTES[router]
    return {
        "deploy": (*BRING_UP[platform], _IMAGES, read, _LEASE, _NOTIFY, _WATCH),
        "promote": (read, write, _LEASE, _NOTIFY, _WATCH),
        "rollback": (*STOP[platform], read, write, _LEASE, _NOTIFY),
        "approve": (_LEASE,),
        "waive": (),
    }[duty]


def needs(duties: Sequence[str], platform: str, router: str) -> Rights:
    """Return the actions that duties need together, by kind, each once; kinds whose ARNs need no look-up come first."""
    order = (
        ANYTHING,
        LEASE,
        ROUTES,
        CHANGES,
        IMAGES,
        TOPIC,
        ALARMS,
        HEALTH_CHECKS,
        WEB_ACL,
        SCALING,
        TASKS,
        INSTANCES,
        READ_SERVICES,
        SERVICES,
        PROTECTED,
        ROLES,
        DEFINITIONS,
        DEPLOYMENTS,
    )
    found: dict[str, dict[str, None]] = {kind: {} for kind in order}
    for duty in duties:
        for part in rights(duty, platform, router):
            for kind, actions in part.items():
                found[kind] |= dict.fromkeys(actions)
    return {kind: list(actions) for kind, actions in found.items() if actions}

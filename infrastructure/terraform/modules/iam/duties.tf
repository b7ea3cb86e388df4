# What each duty may do, and to what. docs/aws.md lists the calls of each role's commands, and a test compares them with these policies.
# Nothing here can delete evidence or change the estate.

locals {
  everything = ["*"] # calls that know no resource

  dns_suffixes = var.partition == "aws-cn" ? ["amazonaws.com", "amazonaws.com.cn"] : ["amazonaws.com"]

  # Without the right to list, a missing object is answered with 403 instead of 404.
  find_evidence = { actions = ["s3:ListBucket"], resources = [var.audit_bucket_arn] }
  signing_key   = { actions = ["secretsmanager:GetSecretValue"], resources = [var.signing_key_secret_arn] }

  logs = { actions = ["logs:FilterLogEvents"], resources = var.log_group_arns }

  lease      = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [var.lease_table_arn] }
  read_lease = { actions = ["dynamodb:GetItem"], resources = [var.lease_table_arn] }

  # Lock, evidence and secrets are encrypted with the estate's key, and used by way of these services only.
  decrypt = {
    actions   = ["kms:Decrypt"]
    resources = var.kms_key_arns
    condition = { test = "StringEquals", variable = "kms:ViaService", values = [for pair in setproduct(["dynamodb", "s3", "secretsmanager", "sns"], local.dns_suffixes) : "${pair[0]}.${var.region}.${pair[1]}"] }
  }

  encrypt = {
    actions   = ["kms:GenerateDataKey"]
    resources = var.kms_key_arns
    condition = { test = "StringEquals", variable = "kms:ViaService", values = [for pair in setproduct(["s3", "sns"], local.dns_suffixes) : "${pair[0]}.${var.region}.${pair[1]}"] }
  }

  look = {
    apprunner = [
      { actions = ["apprunner:ListServices"], resources = local.everything },
      { actions = ["apprunner:DescribeService", "apprunner:ListOperations"], resources = values(var.service_arns) },
    ]
    ecs = [
      { actions = ["ecs:DescribeServices"], resources = values(var.service_arns) },
      { actions = ["ecs:DescribeTaskDefinition", "elasticloadbalancing:DescribeTargetHealth"], resources = local.everything },
    ]
  }[var.platform]

  # What really runs, by its digest; who only goes back need not know.
  tasks = { apprunner = [], ecs = [{ actions = ["ecs:DescribeTasks", "ecs:ListTasks"], resources = local.everything, condition = local.in_cluster }] }[var.platform]

  in_cluster = { test = "ArnEquals", variable = "ecs:cluster", values = [var.cluster_arn] }

  # Composite alarms are shown to those alone who may describe alarms on `*`.
  watch = [
    { actions = ["cloudwatch:DescribeAlarms"], resources = local.everything },
    { actions = ["route53:GetHealthCheckStatus"], resources = var.health_check_arns },
  ]

  read_routes = {
    cloudfront = [{ actions = ["cloudfront-keyvaluestore:DescribeKeyValueStore", "cloudfront-keyvaluestore:GetKey"], resources = var.route_arns }]
    alb        = [{ actions = ["elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetHealth"], resources = local.everything }]
    route53 = [
      { actions = ["route53:ListResourceRecordSets"], resources = var.route_arns },
      { actions = ["route53:GetChange"], resources = ["arn:${var.partition}:route53:::change/*"] },
    ]
  }[var.router]

  write_routes = {
    cloudfront = [{ actions = ["cloudfront-keyvaluestore:UpdateKeys"], resources = var.route_arns }]
    alb        = [{ actions = ["elasticloadbalancing:AddTags", "elasticloadbalancing:ModifyRule", "elasticloadbalancing:RemoveTags"], resources = var.route_arns }]
    route53    = [{ actions = ["route53:ChangeResourceRecordSets"], resources = var.route_arns, condition = local.live_record }]
  }[var.router]

  live_record = { test = "ForAllValues:StringEquals", variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames", values = [var.domain_name, "_deployment-routes.${var.domain_name}"] }

  stop = {
    for colour, arn in var.service_arns : colour => {
      apprunner = [
        { actions = ["apprunner:PauseService"], resources = [arn] },
        # A service is paused only after it had no request.
        { actions = ["cloudwatch:GetMetricData"], resources = local.everything },
      ]
      ecs = [
        { actions = ["ecs:UpdateService"], resources = [arn] },
        # Nobody may ask it any more, and autoscaling must not bring it back; a candidate gets the live colour's bounds.
        { actions = ["application-autoscaling:DescribeScalableTargets", "cloudwatch:GetMetricData", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes"], resources = local.everything },
        {
          actions   = ["application-autoscaling:RegisterScalableTarget"]
          resources = ["arn:${var.partition}:application-autoscaling:${var.region}:${var.account}:scalable-target/*"]
          condition = { test = "StringEquals", variable = "application-autoscaling:service-namespace", values = ["ecs"] }
        },
      ]
    }[var.platform]
  }

  bring_up = {
    for colour, arn in var.service_arns : colour => {
      apprunner = concat([
        { actions = ["apprunner:UpdateService", "apprunner:StartDeployment", "apprunner:ResumeService"], resources = [arn] },
        # A service that is gone is created again, as the other colour's is configured; IAM checks each part that the request names.
        { actions = ["apprunner:CreateService"], resources = concat([arn], var.shared_arns) },
        { actions = ["apprunner:TagResource"], resources = [arn] },
        { actions = ["apprunner:ListTagsForResource"], resources = values(var.service_arns) },
        # No request to App Runner names a web ACL, so the deployer associates it with the service that it created. Each call needs the
        # right of both services, AWS WAF and App Runner. The ACL itself cannot be read: it contains the front door's header.
        ], length(var.web_acl_arns) == 0 ? [] : [
        { actions = ["wafv2:ListResourcesForWebACL", "apprunner:ListAssociatedServicesForWebAcl"], resources = var.web_acl_arns },
        { actions = ["wafv2:AssociateWebACL", "apprunner:AssociateWebAcl"], resources = concat([arn], var.web_acl_arns) },
      ])
      ecs = [
        { actions = ["ecs:RegisterTaskDefinition", "ecs:TagResource"], resources = ["arn:${var.partition}:ecs:${var.region}:${var.account}:task-definition/${var.service_names[colour]}:*"] },
        # What became of a deployment that the service no longer lists: ECS may have rolled it back.
        { actions = ["ecs:ListServiceDeployments"], resources = [arn] },
        { actions = ["ecs:DescribeServiceDeployments"], resources = ["${replace(arn, ":service/", ":service-deployment/")}/*"] },
      ]
    }[var.platform]
  }

  # AWS's documents disagree on the service to which App Runner passes a role, and calls without this key were seen. So the key is
  # compared if it is there; in any case only these roles can be passed, and they trust App Runner only.
  pass_roles = {
    actions   = ["iam:PassRole"]
    resources = var.passed_role_arns
    condition = {
      apprunner = { test = "StringEqualsIfExists", variable = "iam:PassedToService", values = ["apprunner.amazonaws.com", "build.apprunner.amazonaws.com", "bullet.amazonaws.com", "tasks.apprunner.amazonaws.com"] }
      ecs       = { test = "StringEquals", variable = "iam:PassedToService", values = ["ecs-tasks.amazonaws.com"] }
    }[var.platform]
  }

  duties = merge(
    {
      plan = concat(local.look, local.read_routes, local.watch, [
        { actions = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeImageScanFindings"], resources = [var.repository_arn] },
        # ECR answers with Inspector's findings only to those who may ask Inspector.
        ], var.enhanced_scanning ? [{ actions = ["inspector2:ListCoverage", "inspector2:ListFindings"], resources = local.everything }] : [], [
        # Preflight can do without these two, and says so: how much of the quotas is used, and whether secrets are there (not what they are).
        { actions = ["servicequotas:ListServiceQuotas", "cloudwatch:GetMetricData"], resources = local.everything },
        { actions = ["secretsmanager:DescribeSecret"], resources = var.secret_arns },
        local.read_lease,
        { actions = ["iam:GetRole", "iam:SimulatePrincipalPolicy"], resources = local.own_role_arns },
        local.decrypt,
      ])
      promote  = concat(local.read_routes, local.write_routes, local.watch, [local.lease, local.decrypt])
      rollback = concat(local.look, local.read_routes, local.write_routes, local.stop["blue"], local.stop["green"], [local.lease, local.logs, local.decrypt])
      approve  = [local.lease, local.decrypt]
      smoke    = [{ actions = ["secretsmanager:GetSecretValue"], resources = [var.smoke_users_secret_arn] }, local.decrypt]
      # Writes evidence, and never over any: there is no right to delete, or to pass by the retention.
      evidence = [
        { actions = ["s3:PutObject", "s3:GetObject"], resources = ["${var.audit_bucket_arn}/*"] },
        local.find_evidence,
        local.signing_key,
        { actions = ["sns:Publish"], resources = var.topic_arns },
        local.decrypt,
        local.encrypt,
      ]
      # Adds images; a tag that is there cannot be moved, since the repository's tags are immutable.
      push = [
        { actions = ["ecr:GetAuthorizationToken"], resources = local.everything },
        { actions = ["ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"], resources = [var.repository_arn] },
      ]
      # The public half of the key alone: who can read the key itself can sign any report.
      audit = [
        { actions = ["s3:GetObject"], resources = ["${var.audit_bucket_arn}/*"] },
        local.find_evidence,
        { actions = ["secretsmanager:GetSecretValue"], resources = [var.public_key_secret_arn] },
        local.read_lease,
        local.decrypt,
      ]
    },
    {
      for colour in keys(var.service_arns) : "deploy-${colour}" => concat(local.look, local.tasks, local.stop[colour], local.bring_up[colour], local.read_routes, [
        local.pass_roles,
        { actions = ["ecr:BatchGetImage", "ecr:DescribeImages"], resources = [var.repository_arn] },
        # Why a release did not come up.
        local.logs,
        local.lease,
        local.decrypt,
      ])
    },
    # Checks read these, if the environment lets them: `checked_secrets`.
    length(var.checked_secret_arns) == 0 ? {} : { checked = [{ actions = ["secretsmanager:GetSecretValue"], resources = var.checked_secret_arns }, local.decrypt] },
  )
}

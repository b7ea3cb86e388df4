# What each duty may do, and to what: infrastructure/aws/identity/permissions.py lists the calls. Nothing here can delete evidence, read a
# database's password, or change the estate.

locals {
  everything = ["*"] # calls that know no resource

  lease = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [var.lease_table_arn] }

  # Lock, evidence and secrets are encrypted with the estate's key, by way of these services alone.
  decrypt = {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
    condition = { test = "StringEquals", variable = "kms:ViaService", values = [for service in ["dynamodb", "s3", "secretsmanager", "sns"] : "${service}.${var.region}.amazonaws.com"] }
  }

  look = {
    apprunner = [
      { actions = ["apprunner:ListServices"], resources = local.everything },
      { actions = ["apprunner:DescribeService", "apprunner:ListOperations", "apprunner:ListTagsForResource"], resources = values(var.service_arns) },
    ]
    ecs = [
      { actions = ["ecs:DescribeServices"], resources = values(var.service_arns) },
      { actions = ["ecs:DescribeTaskDefinition", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTargetHealth"], resources = local.everything },
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
      { actions = ["route53:GetChange"], resources = ["arn:aws:route53:::change/*"] },
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
      apprunner = [{ actions = ["apprunner:PauseService"], resources = [arn] }]
      ecs = [
        { actions = ["ecs:UpdateService"], resources = [arn] },
        # Nobody may ask it any more, and autoscaling must not bring it back; a candidate gets the live colour's bounds.
        { actions = ["application-autoscaling:DescribeScalableTargets", "cloudwatch:GetMetricData"], resources = local.everything },
        {
          actions   = ["application-autoscaling:RegisterScalableTarget"]
          resources = ["arn:aws:application-autoscaling:${var.region}:${var.account}:scalable-target/*"]
          condition = { test = "StringEquals", variable = "application-autoscaling:service-namespace", values = ["ecs"] }
        },
      ]
    }[var.platform]
  }

  bring_up = {
    for colour, arn in var.service_arns : colour => {
      apprunner = [{ actions = ["apprunner:UpdateService", "apprunner:StartDeployment", "apprunner:ResumeService"], resources = [arn] }]
      ecs       = [{ actions = ["ecs:RegisterTaskDefinition", "ecs:TagResource"], resources = ["arn:aws:ecs:${var.region}:${var.account}:task-definition/${var.service_names[colour]}:*"] }]
    }[var.platform]
  }

  pass_roles = {
    actions   = ["iam:PassRole"]
    resources = var.passed_role_arns
    condition = { test = "StringEquals", variable = "iam:PassedToService", values = { apprunner = ["build.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com"], ecs = ["ecs-tasks.amazonaws.com"] }[var.platform] }
  }

  duties = merge(
    {
      plan = concat(local.look, local.tasks, local.read_routes, local.watch, [
        { actions = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeImageScanFindings"], resources = [var.repository_arn] },
        { actions = ["cloudwatch:GetMetricData", "sts:GetCallerIdentity"], resources = local.everything },
        # Preflight can do without these two, and says so: how much of the quotas is used, and whether secrets are there (not what they are).
        { actions = ["servicequotas:ListServiceQuotas"], resources = local.everything },
        { actions = ["secretsmanager:DescribeSecret"], resources = ["arn:aws:secretsmanager:${var.region}:${var.account}:secret:${var.environment}/telehealth/*"] },
        { actions = ["logs:FilterLogEvents"], resources = var.log_group_arns },
        { actions = ["dynamodb:GetItem"], resources = [var.lease_table_arn] },
        { actions = ["iam:GetRole", "iam:SimulatePrincipalPolicy"], resources = local.own_role_arns },
        local.decrypt,
      ])
      promote  = concat(local.read_routes, local.write_routes, local.watch, [local.lease, local.decrypt])
      rollback = concat(local.look, local.read_routes, local.write_routes, local.stop["blue"], local.stop["green"], [local.lease, local.decrypt])
      approve  = [local.lease, local.decrypt]
      smoke    = [{ actions = ["secretsmanager:GetSecretValue"], resources = [var.smoke_users_secret_arn] }, { actions = ["cognito-idp:AdminInitiateAuth"], resources = [var.user_pool_arn] }, local.decrypt]
      # Writes evidence, and never over any: there is no right to delete, or to pass by the retention.
      evidence = [
        { actions = ["s3:PutObject", "s3:GetObject"], resources = ["${var.audit_bucket_arn}/*"] },
        { actions = ["s3:ListBucket"], resources = [var.audit_bucket_arn] },
        { actions = ["secretsmanager:GetSecretValue"], resources = [var.signing_key_secret_arn] },
        { actions = ["sns:Publish"], resources = [var.topic_arn] },
        local.decrypt,
      ]
      # Adds images; a tag that is there cannot be moved, since the repository's tags are immutable.
      push = [
        { actions = ["ecr:GetAuthorizationToken"], resources = local.everything },
        { actions = ["ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"], resources = [var.repository_arn] },
      ]
      audit = [
        { actions = ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion"], resources = ["${var.audit_bucket_arn}/*"] },
        { actions = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketObjectLockConfiguration"], resources = [var.audit_bucket_arn] },
        local.decrypt,
      ]
    },
    {
      for colour in keys(var.service_arns) : "deploy-${colour}" => concat(local.look, local.tasks, local.stop[colour], local.bring_up[colour], local.read_routes, [
        local.pass_roles,
        { actions = ["ecr:BatchGetImage", "ecr:DescribeImages"], resources = [var.repository_arn] },
        local.lease,
        local.decrypt,
      ])
    },
  )
}

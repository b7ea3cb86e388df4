# A role for each duty, made of the policies of the duties that it needs. Who may take them: people on call, by their own roles, and
# GitHub's jobs of this repository, in this environment, which GitHub can guard with reviewers.

locals {
  # `release` is the role of a whole run, which verifies what it brought up and moves traffic to it; `build-release` builds first;
  # `deploy-blue` and `deploy-green` make such runs to that colour alone, and can take traffic away from it again. The others do
  # one thing.
  run = concat(["plan", "promote", "smoke", "evidence"], length(var.checked_secret_arns) == 0 ? [] : ["checked"])
  roles = {
    plan          = ["plan"]
    release       = concat(local.run, ["deploy-blue", "deploy-green"])
    build-release = concat(local.run, ["deploy-blue", "deploy-green", "push"])
    build         = ["push"]
    deploy-blue   = concat(local.run, ["deploy-blue"])
    deploy-green  = concat(local.run, ["deploy-green"])
    rollback      = ["rollback", "smoke", "evidence"]
    approve       = ["approve"]
    smoke         = ["smoke"]
    audit         = ["audit"]
  }

  role_names    = { for role in keys(local.roles) : role => "${var.name}-${role}" }
  own_role_arns = [for name in values(local.role_names) : "arn:${var.partition}:iam::${var.account}:role/${name}"]
  attachments   = merge([for role, duties in local.roles : { for duty in duties : "${role}/${duty}" => { role = role, duty = duty } }]...)

  # As tokens name the repository: by its names, or by names and ids.
  github_repositories = var.github_repository == null ? [] : concat(
    var.github_ids != null && var.github_ids.only ? [] : [var.github_repository],
    var.github_ids == null ? [] : [format("%s@%s/%s@%s", split("/", var.github_repository)[0], var.github_ids.owner, split("/", var.github_repository)[1], var.github_ids.repository)],
  )

  github_provider = var.github_repository == null ? null : coalesce(var.github_oidc_provider_arn, try(aws_iam_openid_connect_provider.github[0].arn, null))
  # Without any of both the account's own administrators decide who may take a role.
  people = length(var.operators) > 0 ? var.operators : var.github_repository == null ? ["arn:${var.partition}:iam::${var.account}:root"] : []
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.github_oidc_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = length(local.people) > 0 ? [local.people] : []

    content {
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = statement.value
      }
    }
  }

  dynamic "statement" {
    for_each = var.github_repository == null ? [] : [local.github_provider]

    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]

      principals {
        type        = "Federated"
        identifiers = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:aud"
        values   = ["sts.amazonaws.com"]
      }

      # The whole of it, without a wildcard: no other repository, branch or environment. Repositories that were created, renamed or
      # transferred since 2026-07-15 present names with their ids, which are never given to another repository
      # (https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens).
      condition {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:sub"
        values   = [for repository in local.github_repositories : "repo:${repository}:environment:${var.environment}"]
      }
    }
  }
}

data "aws_iam_policy_document" "duty" {
  for_each = local.duties

  dynamic "statement" {
    # IAM refuses a statement without a resource.
    for_each = [for one in each.value : one if length(one.resources) > 0]

    content {
      actions   = statement.value.actions
      resources = statement.value.resources

      dynamic "condition" {
        for_each = try([statement.value.condition], [])

        content {
          test     = condition.value.test
          variable = condition.value.variable
          values   = condition.value.values
        }
      }
    }
  }
}

resource "aws_iam_policy" "duty" {
  for_each = local.duties

  name   = "${var.name}-${each.key}"
  policy = data.aws_iam_policy_document.duty[each.key].json
}

resource "aws_iam_role" "duty" {
  for_each = local.roles

  name                 = local.role_names[each.key]
  description          = "Deployments of ${var.name}: ${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = var.session_seconds
}

resource "aws_iam_role_policy_attachment" "duty" {
  for_each = local.attachments

  role       = aws_iam_role.duty[each.value.role].name
  policy_arn = aws_iam_policy.duty[each.value.duty].arn
}

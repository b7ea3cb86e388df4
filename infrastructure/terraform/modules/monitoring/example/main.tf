# Alarms and a dashboard for two colours behind a load balancer that exists.

provider "aws" {
  region = "us-east-1"
}

module "monitoring" {
  source = "../"

  name             = "shop"
  region           = "us-east-1"
  platform         = "ecs"
  colours          = { blue = { LoadBalancer = "app/shop/0123456789abcdef", TargetGroup = "targetgroup/shop-blue/0123456789abcdef" }, green = { LoadBalancer = "app/shop/0123456789abcdef", TargetGroup = "targetgroup/shop-green/0123456789abcdef" } }
  latency_alarm_ms = 1000
  errors_alarm     = 10
  topic_arn        = "arn:aws:sns:us-east-1:123456789012:shop-deployments"
}
